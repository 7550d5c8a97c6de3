"""What becomes of bindings: declared, their schedule made where it is missing, updated where it is outdated, deleted.

Pure; the store holds the binding while these decide, so that of many who reconcile at once one makes the schedule and
the others find it.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import json, structs

from rota.core.calendar_rules import require_known_calendars
from rota.core.schedule_changes import Change, create_schedule, delete_schedule, replace_schedule
from rota.core.templates import draft_of_template, rendered
from rota.domain.binding import (
    Binding,
    BindingChange,
    BindingDraft,
    BindingKey,
    Bound,
    Parameters,
    RecordedChange,
    ScheduleTemplate,
    TemplateDraft,
)
from rota.domain.event import EventDraft
from rota.domain.ids import ScheduleId, TenantId, TriggerId
from rota.domain.schedule import ScheduleDraft
from rota.domain.tenancy import AuditEntry


def written_template(
    known: ScheduleTemplate | None, tenant_id: TenantId, name: str, draft: TemplateDraft, change: Change
) -> ScheduleTemplate:
    """The template as `draft` describes it; `known` itself where nothing changes."""
    if known is None:
        return ScheduleTemplate(
            tenant_id,
            name,
            1,
            draft.body,
            draft.defaults,
            draft.description,
            created_at=change.now,
            created_by=change.actor,
            updated_at=change.now,
            updated_by=change.actor,
        )
    if _same(draft_of_template(known), draft):
        return known
    return structs.replace(
        known,
        version=known.version + 1,
        body=draft.body,
        defaults=draft.defaults,
        description=draft.description,
        updated_at=change.now,
        updated_by=change.actor,
    )


def declared(
    known: Binding | None, key: BindingKey, draft: BindingDraft, template: ScheduleTemplate, change: Change
) -> Binding:
    """The binding as `draft` describes it; `known` itself where nothing changes. Raises INVALID_INPUT where the
    template makes no schedule of it.
    """
    _planned(template, key, draft.parameters, change)
    if known is None:
        return Binding(
            template.tenant_id,
            key,
            template.name,
            draft.parameters,
            1,
            created_at=change.now,
            created_by=change.actor,
            updated_at=change.now,
            updated_by=change.actor,
            template_version=template.version,
        )
    if _same(BindingDraft(known.template, known.parameters), draft):
        return known
    return structs.replace(
        known,
        template=template.name,
        parameters=draft.parameters,
        revision=known.revision + 1,
        template_version=template.version,
        updated_at=change.now,
        updated_by=change.actor,
    )


def made_if_missing(
    bound: Bound, schedule_id: ScheduleId, trigger_ids: Sequence[TriggerId], change: Change, audit: AuditEntry
) -> BindingChange | None:
    """The schedule, where there is none; None where it is there. Raises INVALID_INPUT as `rendered` does."""
    if bound.schedule is not None:
        return None
    draft = _planned(bound.template, bound.binding.key, bound.binding.parameters, change)
    schedule, events = create_schedule(
        draft,
        schedule_id=schedule_id,
        tenant_id=bound.binding.tenant_id,
        trigger_ids=trigger_ids,
        change=change,
    )
    return BindingChange(_made(bound, schedule_id), schedule, RecordedChange(events, (audit,)))


def updated_if_outdated(
    bound: Bound, trigger_ids: Sequence[TriggerId], change: Change, audit: AuditEntry
) -> BindingChange | None:
    """The schedule as its template makes it now; None where it is that, or missing. A paused one stays paused: who
    paused it knew why.
    """
    if bound.schedule is None or bound.binding.state != "outdated":
        return None
    draft = _planned(bound.template, bound.binding.key, bound.binding.parameters, change)
    kept = structs.replace(draft, enabled=bound.schedule.enabled)
    schedule, events = replace_schedule(bound.schedule, kept, trigger_ids=trigger_ids, change=change)
    changed = None if schedule == bound.schedule else schedule
    return BindingChange(_made(bound, bound.schedule.id), changed, RecordedChange(events, (audit,)))


def taken_away(bound: Bound, change: Change, audit: AuditEntry, *, with_schedule: bool) -> BindingChange:
    """The binding ends; its schedule goes with it, or stays and is nobody's."""
    event = _event("BindingDeleted", bound.binding.key, bound.binding.tenant_id, change.actor, {})
    if not with_schedule or bound.schedule is None:
        return BindingChange(None, None, RecordedChange((event,), (audit,)))
    deleted, events = delete_schedule(bound.schedule, change=change)
    entry = AuditEntry(audit.actor, "delete", "schedule", deleted.id, audit.request_id)
    return BindingChange(None, deleted, RecordedChange((event, *events), (audit, entry)))


def binding_event(known: Binding | None, after: Binding) -> EventDraft:
    """That it was declared, or declared otherwise than before."""
    name = "BindingDeclared" if known is None else "BindingChanged"
    return _event(name, after.key, after.tenant_id, after.updated_by, {"template": after.template})


def template_event(known: ScheduleTemplate | None, after: ScheduleTemplate) -> EventDraft:
    """That it was made, or changed."""
    name = "ScheduleTemplateCreated" if known is None else "ScheduleTemplateChanged"
    return EventDraft(name, after.tenant_id, after.name, after.updated_by, {"version": after.version})


def _planned(template: ScheduleTemplate, key: BindingKey, parameters: Parameters, change: Change) -> ScheduleDraft:
    """As `rendered`, and every calendar that it names is there."""
    draft = rendered(template, key, parameters)
    require_known_calendars(draft.triggers, change.calendars, "body.")
    return draft


def _made(bound: Bound, schedule_id: ScheduleId) -> Binding:
    return structs.replace(
        bound.binding,
        schedule_id=schedule_id,
        made_revision=bound.binding.revision,
        made_template_version=bound.template.version,
        has_schedule=True,
    )


def _event(name: str, key: BindingKey, tenant_id: TenantId, actor: str, data: dict[str, Any]) -> EventDraft:
    return EventDraft(name, tenant_id, str(key), actor, {"kind": key.kind, "subject": key.subject, **data})


def _same(one: object, other: object) -> bool:
    """By what they are on the wire: to Python, true equals 1."""
    return json.encode(one, order="deterministic") == json.encode(other, order="deterministic")
