"""Fan-out in the store: what planning attempts find, what the leader ends, and what tenants see."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias

from msgspec import Struct

from rota.domain.fan_out import EndedFanOut, FanOut, Impact, Segment, SegmentRef
from rota.domain.ids import AttemptToken, RunId, TenantId
from rota.domain.page import Page, PageRequest
from rota.domain.targets import Target

LaunchOutcome: TypeAlias = Literal["launched", "planned", "cancelled", "stale"]


class PlanningAttempt(Struct, frozen=True):
    """Who plans: what it stores counts under its token alone."""

    tenant_id: TenantId
    run_id: RunId
    token: AttemptToken


class Cut(Struct, frozen=True):
    """`segments_count` so far; `is_all`: nothing is left to be cut."""

    segments_count: int
    is_all: bool


class Launch(Struct, frozen=True):
    """What became of a plan. `launched`: the run waits for its segments, without a worker. `planned`: there is nothing
    to launch, and the attempt is to be settled. `cancelled`: so was the run. `stale`: the attempt is not current.
    """

    outcome: LaunchOutcome
    items_total: int = 0
    segments_count: int = 0


class FanOutPlans(Protocol):
    """For workers. Whatever crashes in between, a run gets one snapshot, and each segment one child run."""

    async def stage_items(self, attempt: PlanningAttempt, items: Sequence[str]) -> None:
        """Canonical items, in any order; a known one is there already. Raises `Stale`."""
        ...

    async def stage_unsuccessful(
        self, attempt: PlanningAttempt, of_run: RunId, after_no: int, segments_max: int
    ) -> int | None:
        """The items of segments of another run of the tenant that did not succeed, behind one of them. Gives the number
        of the last one, to go on behind it; None where none is left.
        """
        ...

    async def cut_segments(self, attempt: PlanningAttempt, segment_size: int, segments_max: int) -> Cut:
        """Up to `segments_max` more segments of what was staged."""
        ...

    async def launch(self, attempt: PlanningAttempt, fan_out: FanOut) -> Launch:
        """Snapshot, child runs and the waiting of the run: all or nothing. Repeating it changes nothing."""
        ...

    async def read_slices(self, segments: Sequence[tuple[TenantId, SegmentRef]]) -> dict[SegmentRef, Target]:
        """What each segment does, with its items. One that is not there, or not the tenant's, is not in the answer."""
        ...

    async def has_snapshot(self, tenant_id: TenantId, run_id: RunId) -> bool:
        """Whether the run was planned to the end."""
        ...


class FanOutLook(Struct, frozen=True):
    """`has_open`: a run waits for its segments. `must_stop`, `has_ended`: there is something to do about one."""

    has_open: bool
    must_stop: bool
    has_ended: bool


class FanOutKeeping(Protocol):
    """Only for the leader: it looks across tenants. What two leaders do at once is done once."""

    async def look(self) -> FanOutLook:
        """One cheap look."""
        ...

    async def end_segments(self, limit: int) -> int:
        """Counts the segments of up to `limit` ended children, each once; how many ends were taken."""
        ...

    async def stop_segments(self, limit: int) -> int:
        """Of runs that were cancelled, are overdue, or failed too often: cancels up to `limit` children. How many."""
        ...

    async def list_ended(self, limit: int) -> tuple[EndedFanOut, ...]:
        """Runs all of whose segments have ended: to be settled under their token, then closed."""
        ...

    async def close(self, ended: Sequence[EndedFanOut]) -> None:
        """They do not wait any more."""
        ...


class ImpactReader(Protocol):
    """What a tenant sees; never writes (law 10). A run that was not planned to the end has no impact: NOT_FOUND."""

    async def get(self, tenant_id: TenantId, run_id: RunId) -> Impact: ...

    async def page_items(self, tenant_id: TenantId, run_id: RunId, page: PageRequest) -> Page[Any]:
        """In the order of their canonical JSON."""
        ...

    async def page_segments(self, tenant_id: TenantId, run_id: RunId, page: PageRequest) -> Page[Segment]:
        """By number."""
        ...
