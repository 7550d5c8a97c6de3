"""What is known of why a queued run does not run yet: facts of one moment, for `core.waiting` to put in words."""

from datetime import datetime

from msgspec import Struct

from rota.domain.ids import RunId
from rota.domain.limit import LimitKind


class LimitFact(Struct, frozen=True):
    """A limit that concerns a run. `running_count` is counted to `concurrency_max` and no further; `room` is how many
    more may begin now.
    """

    kind: LimitKind
    name: str
    concurrency_max: int | None
    rate_per_second: float | None
    running_count: int
    room: int


class PlaceFact(Struct, frozen=True):
    """The concurrency key, or without one the schedule, of a run that has no place yet: `taken_count` of
    `concurrency_max` are taken by runs that are running or about to.
    """

    key: str | None
    concurrency_max: int
    taken_count: int


class WaitFacts(Struct, frozen=True):
    """Of a run that is queued. `due_at` is None while it waits for other runs, `upstreams_count` of which are live.

    `turn_run_id` is the serial run of its schedule that is running. `listeners_count` counts workers that take
    runs from its queue, `capable_count` those of them that know its task (all, where its target is no task).
    """

    now: datetime
    queue: str
    due_at: datetime | None
    attempts_count: int = 0
    task: str | None = None
    upstreams_count: int = 0
    turn_run_id: RunId | None = None
    limits: tuple[LimitFact, ...] = ()
    place: PlaceFact | None = None
    listeners_count: int = 0
    capable_count: int = 0
