"""What a chaos run has seen, as plain values. Times are microseconds since the epoch, all from one machine's clock.

Facts come from three witnesses that do not know one another: the plan (what was asked for), the database (what Rota
says it did) and the side-effect files (what handlers really did). The checker compares them; nothing here decides.
"""

from msgspec import Struct


class PlannedTrigger(Struct, frozen=True):
    """What one schedule was asked to do: fire at `start_us + n × every_us`, up to and including `end_us`."""

    name: str
    start_us: int
    every_us: int
    end_us: int


class RunFact(Struct, frozen=True):
    """A run's row. `is_live` tells of its row among the live ones; `result_attempt` is what the handler returned."""

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


class AttemptFact(Struct, frozen=True):
    """An attempt that ended without success."""

    run_id: str
    attempt_no: int
    worker_id: str
    outcome: str
    started_us: int
    finished_us: int


class EffectFact(Struct, frozen=True):
    """What a handler did, in its own words; `worker` is the process that the harness had started."""

    run_id: str
    attempt_no: int
    trigger: str
    fire_at_us: int
    started_us: int
    finished_us: int
    worker: str


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


class Facts(Struct, frozen=True):
    """All of it. `terms` and `advances` are in the order in which they were committed."""

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
