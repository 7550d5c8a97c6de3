"""Bindings: subjects that must have a schedule, and the templates that their schedules are made from.

A binding is declared; its schedule is made by *reconcile*, and by nothing else. A template holds the body of a schedule
with placeholders; it is versioned, and what was made from an older version stays as it is until somebody updates it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

from rota.domain.event import EventDraft
from rota.domain.ids import ScheduleId, TenantId
from rota.domain.schedule import Schedule
from rota.domain.tenancy import AuditEntry

TEMPLATES_PER_TENANT_MAX = 1_000
BINDINGS_PER_TENANT_MAX = 100_000

ParameterValue: TypeAlias = str | int | float | bool
Parameters: TypeAlias = dict[str, ParameterValue]
BindingState: TypeAlias = Literal["missing", "current", "outdated"]


class TemplateDraft(Struct, frozen=True, forbid_unknown_fields=True):
    """`body` is what `POST /schedules` takes, with `${subject}`, `${kind}`, `${tenant}` and `${parameters.NAME}` in any
    of its texts; a text that is nothing but a parameter takes the parameter's own type. `defaults` are parameters that
    a binding need not give.
    """

    body: dict[str, Any]
    defaults: Parameters = field(default_factory=dict[str, ParameterValue])
    description: str = ""


class ScheduleTemplate(Struct, frozen=True):
    """The stored template. `version` grows with every change."""

    tenant_id: TenantId
    name: str
    version: int
    body: Mapping[str, Any]
    defaults: Parameters
    description: str
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str


class BindingKey(Struct, frozen=True, order=True):
    """What a binding is, within its tenant."""

    kind: str
    subject: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.subject}"


class BindingDraft(Struct, frozen=True, forbid_unknown_fields=True):
    """By which template the subject's schedule is made, and what it says where the template leaves room."""

    template: str
    parameters: Parameters = field(default_factory=dict[str, ParameterValue])


class Binding(Struct, frozen=True):
    """The stored record, with what the template and the schedule are by now.

    `revision` grows with every change of template or parameters. `made_revision` and `made_template_version` say what
    the schedule was made from; `has_schedule` is False where there is none or it was deleted.
    """

    tenant_id: TenantId
    key: BindingKey
    template: str
    parameters: Parameters
    revision: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str
    template_version: int
    schedule_id: ScheduleId | None = None
    made_revision: int | None = None
    made_template_version: int | None = None
    has_schedule: bool = False

    @property
    def state(self) -> BindingState:
        """Whether its schedule is there, and is what a schedule made now would be."""
        if not self.has_schedule:
            return "missing"
        made = (self.made_revision, self.made_template_version)
        return "current" if made == (self.revision, self.template_version) else "outdated"


class Bound(Struct, frozen=True):
    """A binding as it is held: its template, and its schedule where that is there and not deleted.

    `off_because` are the words of the flag `reconcile` where that is off.
    """

    binding: Binding
    template: ScheduleTemplate
    schedule: Schedule | None
    off_because: str | None = None


class RecordedChange(Struct, frozen=True):
    """What is stored with a change, in its transaction."""

    events: tuple[EventDraft, ...]
    audit: tuple[AuditEntry, ...]


class BindingChange(Struct, frozen=True):
    """What becomes of a binding that is held: None takes it away. `schedule` is stored with it where one is given."""

    binding: Binding | None
    schedule: Schedule | None
    recorded: RecordedChange
