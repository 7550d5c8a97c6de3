"""A backfill: the firings of a past window of a schedule that were not made, made now, at a rate of their own.

It keeps the triggers as they were when it was asked for, so that what was shown is what is done. Each nominal time is
run once, whoever makes it: see `core.backfilling` for the keys.
"""

from datetime import datetime
from typing import Literal, TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from rota.domain.firing import FireDraft
from rota.domain.ids import BackfillId, ScheduleId, TenantId, TriggerId
from rota.domain.lifecycle import Lifecycle, Transition
from rota.domain.policies import Policies, RunPolicy
from rota.domain.schedule import TriggerState

BackfillState: TypeAlias = Literal["running", "finished", "cancelled"]
BackfillOverlap: TypeAlias = Literal["queue_all", "allow"]

BACKFILL_TIMES_MAX = 50_000
BACKFILLS_RUNNING_MAX = 20
BACKFILLS_KEPT_MAX = 1_000
RUNS_PER_MINUTE_MAX = 60_000.0
RUNS_PER_MINUTE_MIN = 0.01

BACKFILL_LIFECYCLE = Lifecycle(
    name="backfill",
    initial=frozenset({"running"}),
    terminal=frozenset({"finished", "cancelled"}),
    transitions=(
        Transition("running", "finish", "finished", "every time of its window was made a run, or had one"),
        Transition("running", "cancel", "cancelled", "somebody cancelled it, or its schedule was deleted"),
    ),
)


class BackfillRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller asks for: the firings from `from` to `to`, both inclusive.

    `overlap`: `queue_all`, one after another, or `allow`, side by side. Without `priority` the schedule's own is taken.
    """

    since: datetime = field(name="from")
    to: datetime
    dry_run: bool = False
    overlap: BackfillOverlap = "queue_all"
    priority: int | None = None
    runs_per_minute_max: float = 60.0


class Backfill(Struct, frozen=True):
    """The whole of one. `done_through` and `done_place` name the last (time, trigger) that was decided.

    `paced_at` is the time up to which its rate is used up; `resume_at` is when there is more to do, None at its end.
    `steps_count` grows with every step, which is written only by who has read the step before.
    """

    id: BackfillId
    tenant_id: TenantId
    schedule_id: ScheduleId
    state: BackfillState
    since: datetime
    to: datetime
    overlap: BackfillOverlap
    priority: int | None
    runs_per_minute_max: float
    triggers: tuple[TriggerState, ...]
    total_count: int
    created_at: datetime
    created_by: str
    paced_at: datetime
    resume_at: datetime | None
    created_count: int = 0
    skipped_count: int = 0
    steps_count: int = 0
    done_through: datetime | None = None
    done_place: int = 0
    reason: str | None = None
    ended_at: datetime | None = None


class DueBackfill(Struct, frozen=True):
    """A backfill with more to do, and all that deciding its next step needs. `now` is the store's.

    `schedule_version` is None where the schedule is deleted or its tenant revoked. `live_count` counts the live runs of
    the schedule, not above a bound. `is_withheld`: the flag `firing` is off.
    """

    backfill: Backfill
    schedule_version: int | None
    policies: Policies
    live_count: int
    now: datetime
    is_withheld: bool = False


class BackfillStep(Struct, frozen=True):
    """One decided step: `drafts` become runs of `trigger_ids`, each under its key; the record becomes `after`."""

    after: Backfill
    schedule_version: int | None
    policies: Policies
    priority: int
    trigger_ids: tuple[TriggerId, ...]
    drafts: tuple[FireDraft, ...]
    reason: str = ""

    def run_policy(self) -> RunPolicy:
        """The schedule's, but serial by the backfill's own overlap."""
        return replace(self.policies.run_policy(), serial=self.after.overlap != "allow")


class BackfillTime(Struct, frozen=True, order=True):
    """A nominal time of the trigger at `place`."""

    at: datetime
    place: int
