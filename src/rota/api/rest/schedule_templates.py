"""Templates of schedules: put, read, list, delete."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.api.rest.page_wire import PageBody, PageQuery, page_body
from rota.api.rest.versions import etag, expected_version
from rota.domain.binding import ParameterValue, ScheduleTemplate, TemplateDraft
from rota.domain.ids import TenantId

READ = Access("templates", "read")
ONE = "/schedule-templates/{template_name}"
TEMPLATE_EXAMPLE = {
    "body": {
        "name": "insights of ${subject}",
        "triggers": [{"kind": "cron", "expression": "H ${parameters.hour} * * *"}],
        "target": {"kind": "task", "task": "insights.refresh", "args": {"account": "${subject}"}},
        "labels": {"kind": "${kind}"},
    },
    "defaults": {"hour": 3},
    "description": "one refresh a day for each connected account",
}


class TemplateView(Struct, frozen=True):
    """A template of schedules."""

    tenant_id: TenantId
    name: str
    version: int
    body: dict[str, Any]
    defaults: dict[str, ParameterValue]
    description: str
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str


def _view(template: ScheduleTemplate) -> TemplateView:
    return TemplateView(**{name: getattr(template, name) for name in TemplateView.__struct_fields__})


def _answer(template: ScheduleTemplate) -> Answer:
    return Answer(_view(template), headers={"ETag": etag(template.version)})


@endpoint(
    "PUT",
    ONE,
    Access("templates", "change"),
    body=TemplateDraft,
    answers=(TemplateView,),
    version="optional",
    errors=("QUOTA_EXCEEDED", "STATE_CONFLICT"),
    example=TEMPLATE_EXAMPLE,
)
async def put_schedule_template(call: Call[TemplateDraft, Nothing]) -> Answer:
    """Make or change a template; schedules that were made from it stay as they are until they are updated."""
    version = expected_version(call.if_match)
    name = call.path["template_name"]
    return _answer(await call.services.bindings.put_template(call.actor, name, call.body, version))


@endpoint("GET", "/schedule-templates", READ, query=PageQuery, answers=(PageBody[TemplateView],))
async def list_schedule_templates(call: Call[Nothing, PageQuery]) -> Answer:
    """List templates by name."""
    page = await call.services.ports.templates.page(call.tenant_id, call.query.request())
    return Answer(page_body(tuple(_view(one) for one in page.items), page))


@endpoint("GET", ONE, READ, answers=(TemplateView,))
async def get_schedule_template(call: Call[Nothing, Nothing]) -> Answer:
    """Read a template."""
    return _answer(await call.services.ports.templates.get(call.tenant_id, call.path["template_name"]))


@endpoint("DELETE", ONE, Access("templates", "delete"), answers=(TemplateView,), errors=("STATE_CONFLICT",))
async def delete_schedule_template(call: Call[Nothing, Nothing]) -> Answer:
    """Delete a template that no binding names; schedules that were made from it stay."""
    return Answer(_view(await call.services.bindings.delete_template(call.actor, call.path["template_name"])))


ENDPOINTS: tuple[Endpoint, ...] = (
    put_schedule_template,
    list_schedule_templates,
    get_schedule_template,
    delete_schedule_template,
)
