"""The state of `rota.worker.session`: explicit, without behaviour of its own, changed by `step` alone.

attempt:   waiting → sent → begun → stopping     (any → gone, with exactly one Settle or GiveBack)
executor:  starting → ready → retired → gone
"""

from typing import Literal, TypeAlias

from msgspec import Struct, field

from rota.domain.run import ClaimedRun
from rota.worker.protocol import TaskFacts
from rota.worker.session_pace import Pace
from rota.worker.session_words import SessionLimits

AttemptPhase: TypeAlias = Literal["waiting", "sent", "begun", "stopping"]
ExecutorPhase: TypeAlias = Literal["starting", "ready", "retired"]

NEVER = float("inf")


class AttemptState(Struct):
    """A run that we hold. `executor` is None exactly while it waits for one.

    `claimed` carries the policy that counts. `soft_at` and `hard_at` are set when it begins. `give_back_at` ends the
    patience for a slot, `begin_until` that for a process that has been told, `stop_until` the grace for ending.
    """

    key: int
    claimed: ClaimedRun
    is_process: bool
    phase: AttemptPhase = "waiting"
    executor: int | None = None
    give_back_at: float = NEVER
    begin_until: float = NEVER
    soft_at: float = NEVER
    hard_at: float = NEVER
    stop_until: float = NEVER


class ExecutorState(Struct):
    """A process that runs handlers. `solo_key` names the only attempt of a process of its own.

    `held` are the attempts that we hold and it has; `overdue` are handlers of attempts that are settled already and
    that have not returned yet, with the end of their grace: a process that keeps one beyond it is retired.
    """

    id: int
    phase: ExecutorPhase = "starting"
    solo_key: int | None = None
    ready_at: float = NEVER
    kill_at: float = NEVER
    is_killed: bool = False
    held: set[int] = field(default_factory=set[int])
    overdue: dict[int, float] = field(default_factory=dict[int, float])


class Session(Struct):
    """Everything that a worker knows between two events. `check_at` is when it wants its next `Tick`: never later than
    anything is due; earlier where what was due has happened meanwhile.

    `waiting` are the attempts without an executor, in the order in which they are to begin: the others take up a slot
    each. `claiming` are the limits of claims in flight: slots that are spoken for. `drain_until` is None until a drain
    is asked for, and NEVER once its patience is over.
    """

    limits: SessionLimits
    attempts: dict[int, AttemptState] = field(default_factory=dict[int, AttemptState])
    waiting: dict[int, AttemptState] = field(default_factory=dict[int, AttemptState])
    executors: dict[int, ExecutorState] = field(default_factory=dict[int, ExecutorState])
    tasks: dict[str, TaskFacts] = field(default_factory=dict[str, TaskFacts])
    claiming: list[int] = field(default_factory=list[int])
    pace: Pace = field(default_factory=Pace)
    is_registered: bool = False
    is_finished: bool = False
    work_hinted: bool = True
    hinted_again: bool = False
    claim_not_before: float = 0.0
    work_due_at: float = NEVER
    drain_until: float | None = None
    restarts_in_a_row: int = 0
    last_key: int = 0
    last_executor: int = 0
    check_at: float = NEVER

    @property
    def free_slots(self) -> int:
        """How many attempts may begin now."""
        return self.limits.slots - len(self.attempts) + len(self.waiting)

    @property
    def is_draining(self) -> bool:
        return self.drain_until is not None
