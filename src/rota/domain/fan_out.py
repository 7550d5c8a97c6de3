"""Fan-out: one run over many items. What a target says of it, and what is kept of a run that was planned.

The *selector* says which items; resolving it gives the *impact snapshot* of the run, which never changes afterwards.
The snapshot is cut into *segments*, each of them the work of one child run. What was not given is left out, so that a
selector is kept, and shown, exactly as it was asked for: an empty list stays an empty list.
"""

from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from rota.domain.ids import AttemptToken, RunId, TenantId

# Bounds by name (law 12). An item is a value in JSON; its size is that of its canonical form.
ITEM_BYTES_MAX = 2_000
ITEMS_PER_RUN_MAX = 500_000
SEGMENT_SIZE_MAX = 1_000
SEGMENTS_PER_RUN_MAX = 10_000
# Of a segment: with a target's arguments it must fit into an order to a process.
SEGMENT_BYTES_MAX = 256 * 1024
TIMEOUT_SECONDS_MAX = 30 * 86_400.0
# Items travel from the resolver to the store in batches of so many.
ITEMS_PER_BATCH_MAX = 1_000
# What a preview shows of them.
SAMPLE_ITEMS_MAX = 20

# The name under which a segment's items reach a task as an argument, and an HTTP target in its body.
ITEMS_ARGUMENT = "items"
# Whose runs tell their ends to the leader: see `RunDraft.followers`.
SEGMENT_FOLLOWER = "segment"

OnSegmentFailure: TypeAlias = Literal["finish_others", "cancel_others"]
SegmentState: TypeAlias = Literal["scheduled", "queued", "running", "succeeded", "failed", "cancelled"]
StopCause: TypeAlias = Literal["cancelled", "timed_out", "too_many_failures"]


class StaticSelector(Struct, frozen=True, tag_field="kind", tag="static", forbid_unknown_fields=True):
    """The items themselves."""

    items: list[Any]


class TaskSelector(Struct, frozen=True, tag_field="kind", tag="task", forbid_unknown_fields=True):
    """A task on a worker, the resolver: it returns the items, or yields them where there are many."""

    task: str
    args: dict[str, Any] | UnsetType = UNSET


class HttpSelector(Struct, frozen=True, tag_field="kind", tag="http", forbid_unknown_fields=True):
    """An address that answers GET with a JSON list, or with `{"items": [...], "next": url or null}` page by page."""

    url: str
    headers: dict[str, str] | UnsetType = UNSET


Selector: TypeAlias = StaticSelector | TaskSelector | HttpSelector


class FanOut(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a target's run is spread over items. `timeout_seconds` is from the plan to the last segment's end.

    More than `tolerated_failures` segments without success fail the run: after the others have ended, or at once with
    `cancel_others`. A `plan_only` run ends with its plan. `again_for` is written by a retry: the items are those that
    did not succeed in that run.
    """

    selector: Selector
    segment_size: int = 100
    segments_max: int = 1_000
    on_segment_failure: OnSegmentFailure = "finish_others"
    tolerated_failures: int = 0
    timeout_seconds: float = 86_400.0
    plan_only: bool = False
    again_for: str | None = None


class SegmentRef(Struct, frozen=True, order=True):
    """A segment of a run, counted from 1."""

    run_id: RunId
    segment_no: int


class SegmentCounts(Struct, frozen=True):
    """Of a run's segments, by state. Those that wait are `queued`, whether due or not."""

    queued: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        return self.queued + self.running + self.succeeded + self.failed + self.cancelled


class ImpactSnapshot(Struct, frozen=True):
    """What a run covers: `items_total` different items of `selector`, cut into `segments_count` segments."""

    run_id: RunId
    tenant_id: TenantId
    selector: Selector
    items_total: int
    segments_count: int
    segment_size: int
    planned_at: datetime


class Impact(Struct, frozen=True):
    """A snapshot and how far its run has come. Segments of a `plan_only` run are counted nowhere."""

    snapshot: ImpactSnapshot
    segments: SegmentCounts


class Segment(Struct, frozen=True):
    """A slice of the snapshot; `child_run_id` is None where it was only planned."""

    run_id: RunId
    segment_no: int
    items_count: int
    first_item: Any
    last_item: Any
    child_run_id: RunId | None = None
    state: SegmentState | None = None


class EndedFanOut(Struct, frozen=True):
    """A run that waits for its segments, when all of them have ended. `stopped` says why the rest were cancelled."""

    run_id: RunId
    token: AttemptToken
    items_total: int
    segments: SegmentCounts
    tolerated_failures: int
    timeout_seconds: float
    stopped: StopCause | None = None
