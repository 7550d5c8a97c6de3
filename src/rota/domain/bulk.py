"""A bulk operation: one verb on all of a tenant's runs that a filter names, batch by batch, resumable after any stop.

It touches runs that were there when it began, each at most once, and no more than its caller expected.
"""

from datetime import datetime
from typing import Literal, NewType, TypeAlias

from msgspec import Struct

from rota.domain.ids import ScheduleId, TenantId
from rota.domain.run import FailureClass, RunState

BulkId = NewType("BulkId", str)
BulkVerb: TypeAlias = Literal["retry", "cancel", "delete"]

STATES_OF_VERB: dict[BulkVerb, tuple[RunState, ...]] = {
    "retry": ("failed", "cancelled", "skipped", "succeeded"),
    "cancel": ("scheduled", "queued", "running"),
    "delete": ("failed", "cancelled", "skipped", "succeeded"),
}
"""What a verb can act on, in the order in which it does: a run that moves on meanwhile is met in its later state."""


class BulkFilter(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """All given conditions must hold. Without `states`: failed runs for `retry`, all that are live for `cancel`, all
    that have ended for `delete`.
    """

    states: tuple[RunState, ...] | None = None
    schedule_id: ScheduleId | None = None
    task: str | None = None
    queue: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    failure_class: FailureClass | None = None
    dead_lettered: bool | None = None


class BulkDraft(Struct, frozen=True):
    """`states` are those of the filter, in the order of the verb's."""

    id: BulkId
    tenant_id: TenantId
    verb: BulkVerb
    filter: BulkFilter
    states: tuple[RunState, ...]
    expected_count: int
    created_by: str


class BulkOperation(Struct, frozen=True):
    """`done_count` runs were changed; `skipped_count` had ended, or been retried or deleted, before their turn came, or
    could not be deleted yet, since somebody was still to act on their end.
    """

    id: BulkId
    tenant_id: TenantId
    verb: BulkVerb
    filter: BulkFilter
    expected_count: int
    created_at: datetime
    created_by: str
    done_count: int = 0
    skipped_count: int = 0
    finished_at: datetime | None = None

    @property
    def handled_count(self) -> int:
        return self.done_count + self.skipped_count
