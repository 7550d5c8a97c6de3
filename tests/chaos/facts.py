"""What a chaos run has seen, as plain values. Times are microseconds since the epoch, all from one machine's clock.

Facts come from three witnesses that do not know one another: the plan (what was asked for), the database (what Rota
says it did) and the side-effect files (what handlers really did). The checker compares them; nothing here decides.
"""

from typing import Literal, TypeAlias

from msgspec import Struct

SEGMENT_SIZE = 10
NARROW_TENANT = "narrow"
FEW_QUEUE, METERED_QUEUE = "few", "metered"

Origin: TypeAlias = Literal["interval", "fan-out", "segment", "milestone", "node"]
Rule: TypeAlias = Literal["all_succeeded", "any_succeeded", "always"]


class PlannedTrigger(Struct, frozen=True):
    """What one schedule was asked to do: fire at `start_us + n × every_us`, up to and including `end_us`.

    With `items`, each firing is spread over the numbers below it, so many of them to a segment as `SEGMENT_SIZE`.
    The runs of `NARROW_TENANT`, and those of any queue but the default one, are limited.
    """

    name: str
    start_us: int
    every_us: int
    end_us: int
    items: int = 0
    tenant: str = "default"
    queue: str = "default"

    @property
    def limit(self) -> str | None:
        """The name of the limit that its runs have."""
        if self.tenant == NARROW_TENANT:
            return NARROW_TENANT
        return None if self.queue == "default" else self.queue


class PlannedLimit(Struct, frozen=True):
    """How many of its runs may be at work at once, or begin: `burst` at any moment and `rate` more in each second."""

    name: str
    concurrency_max: int | None = None
    rate: float | None = None
    burst: int = 0


class PlannedNode(Struct, frozen=True):
    """A run that is to wait for others, which are planned before it. It fails for good where it is to."""

    name: str
    upstreams: tuple[str, ...]
    rule: Rule
    fails: bool


class PlannedMilestone(Struct, frozen=True):
    """What is to be made once of one subject, from `due_us` on. Its first `failures` attempts fail as planned."""

    name: str
    subject: str
    due_us: int
    failures: int

    @property
    def label(self) -> str:
        return f"{self.name}/{self.subject}"


class RunFact(Struct, frozen=True):
    """A run's row. `is_live` tells of its row among the live ones; `result_attempt` is what the handler returned.

    Of a milestone's run, `trigger` is the milestone's label, `fire_at_us` when it is due, `order_no` which attempt at
    the milestone it is, and `created_by` who began that. Of a segment's run, `trigger` is that of its parent, whose run
    is `parent_id`, and `order_no` is the segment's number. Of a node's run, `trigger` is the node's name.
    """

    id: str
    trigger: str
    fire_at_us: int
    state: str
    attempts_count: int
    started_us: int | None
    finished_us: int | None
    result_attempt: int | None
    is_live: bool = False
    is_keyed: bool = True
    origin: Origin = "interval"
    order_no: int = 0
    created_by: str = ""
    parent_id: str = ""


class AttemptFact(Struct, frozen=True):
    """An attempt that ended without success."""

    run_id: str
    attempt_no: int
    worker_id: str
    outcome: str
    started_us: int
    finished_us: int


class EffectFact(Struct, frozen=True):
    """What a handler did, in its own words; `worker` is the process that the harness had started.

    A segment's handler also tells the items that it was given.
    """

    run_id: str
    attempt_no: int
    trigger: str
    fire_at_us: int
    started_us: int
    finished_us: int
    worker: str
    items: tuple[int, ...] = ()


class AdvanceFact(Struct, frozen=True):
    """One committed change of a trigger's progress."""

    trigger: str
    before_us: int | None
    after_us: int | None


class TriggerFact(Struct, frozen=True):
    """A trigger at the end."""

    name: str
    fires_count: int
    fired_through_us: int | None
    next_fire_at_us: int | None


class TermFact(Struct, frozen=True):
    """Somebody led: as the lease's row said (in the order of its changes), or as the process itself recorded."""

    epoch: int
    holder: str


class WorkerLossFact(Struct, frozen=True):
    """The leader declared a worker lost."""

    worker_id: str
    at_us: int


class FrozenFact(Struct, frozen=True):
    """A worker of which every process stood still at once, so that nobody could stop its handlers in time."""

    worker: str
    from_us: int
    until_us: int


class FanOutFact(Struct, frozen=True):
    """The impact snapshot of a run, and what the run's result says that became of its segments."""

    run_id: str
    items_total: int
    segments_count: int
    result_items: int | None
    result_segments: int | None
    result_succeeded: int | None


class SegmentFact(Struct, frozen=True):
    """A slice of a snapshot. `child_id` is the run that does its work."""

    run_id: str
    segment_no: int
    items_count: int
    child_id: str | None
    state: str | None


class TurnFact(Struct, frozen=True):
    """A run that has a limit was claimed (`begins`), or ended, given back or taken back."""

    run_id: str
    token: int
    begins: bool
    limit: str
    at_us: int


class MilestoneFact(Struct, frozen=True):
    """How far a milestone is with its subject at the end."""

    label: str
    state: str
    attempts_count: int


class MarkerFact(Struct, frozen=True):
    """A done marker. `result_run` and `result_attempt` are what its stored result says of who made it."""

    label: str
    run_id: str
    attempts_count: int
    completed_us: int
    result_run: str | None
    result_attempt: int | None


class OutageFact(Struct, frozen=True):
    """The database was away: from when its last process had ended to when it was started again."""

    from_us: int
    until_us: int


class Facts(Struct, frozen=True):
    """All of it. `terms`, `advances` and `turns` are in the order in which they were written.

    `outage_seconds` is how long the database was to be away, nought where it was not to be.
    """

    seconds: int
    faults_count: int
    planned: tuple[PlannedTrigger, ...]
    runs: tuple[RunFact, ...]
    attempts: tuple[AttemptFact, ...]
    effects: tuple[EffectFact, ...]
    advances: tuple[AdvanceFact, ...]
    triggers: tuple[TriggerFact, ...]
    terms: tuple[TermFact, ...]
    claimed_terms: tuple[TermFact, ...]
    worker_losses: tuple[WorkerLossFact, ...]
    frozen: tuple[FrozenFact, ...] = ()
    milestones_planned: tuple[PlannedMilestone, ...] = ()
    milestones: tuple[MilestoneFact, ...] = ()
    markers: tuple[MarkerFact, ...] = ()
    fan_outs: tuple[FanOutFact, ...] = ()
    segments: tuple[SegmentFact, ...] = ()
    limits: tuple[PlannedLimit, ...] = ()
    turns: tuple[TurnFact, ...] = ()
    nodes_planned: tuple[PlannedNode, ...] = ()
    outage_seconds: float = 0.0
    outages: tuple[OutageFact, ...] = ()
