"""The words of `rota.worker.session`: what happens to a worker (events) and what is to be done (effects)."""

from typing import TypeAlias

from msgspec import Struct

from rota.domain.run import AttemptOutcome, ClaimedRun, RunError
from rota.worker.protocol import AttemptEnd, AttemptOrder, StopReason, TaskFacts


class SessionLimits(Struct, frozen=True):
    """`slots` bounds the runs that are executed at a time, `executors` the pool of processes they run in (those that
    are being retired come on top, at most as many again).

    Held ahead, beyond the slots, is what will be begun within `ahead_seconds` at the pace of late, at most `ahead_max`
    runs. What has waited here for `ahead_patience_seconds` goes back to its queue: the pace has changed.

    An attempt that has not begun within its time-out is given up, but not before `unbegun_seconds_min`: a process may
    take longer to start than a handler may run. It is less than the leader's grace, so that we speak first.
    """

    slots: int
    executors: int
    stop_grace_seconds: float = 3.0
    begin_seconds_max: float = 5.0
    unbegun_seconds_min: float = 8.0
    retire_seconds_max: float = 30.0
    drain_seconds: float = 30.0
    restart_seconds_base: float = 0.1
    restart_seconds_cap: float = 10.0
    claim_retry_seconds: float = 0.5
    claims_in_flight_max: int = 2
    claim_runs_max: int = 1_000
    ahead_seconds: float = 0.05
    ahead_max: int = 1_000
    ahead_patience_seconds: float = 0.5


# Events


class Launched(Struct, frozen=True):
    """The session begins: executors are needed."""


class Registered(Struct, frozen=True):
    """The lease is held: claiming may begin."""


class WorkHinted(Struct, frozen=True):
    """Work may wait in a queue of ours; a hint may be wrong, and may be lost."""


class WorkDueIn(Struct, frozen=True):
    """The next run of our queues comes due in `seconds`."""

    seconds: float


class Claimed(Struct, frozen=True):
    """The answer to a claim of `limit` runs."""

    runs: tuple[ClaimedRun, ...]
    limit: int


class ClaimFailed(Struct, frozen=True):
    """The store did not answer a claim of `limit` runs."""

    limit: int


class CancelAsked(Struct, frozen=True):
    """Said again with every renewal until the runs have ended."""

    run_ids: tuple[str, ...]


class ExecutorReady(Struct, frozen=True):
    """The process has loaded its tasks and takes attempts."""

    executor: int
    tasks: tuple[TaskFacts, ...]


class ExecutorGone(Struct, frozen=True):
    """The process has ended, asked or not; nothing of it runs any more."""

    executor: int
    description: str


class AttemptsBegun(Struct, frozen=True):
    """Their handlers have begun; said before the first instruction."""

    executor: int
    keys: tuple[int, ...]


class AttemptsWithdrawn(Struct, frozen=True):
    """They were not begun there, and never will be."""

    executor: int
    keys: tuple[int, ...]


class AttemptsEnded(Struct, frozen=True):
    """Handlers have ended, and this is how."""

    executor: int
    ends: tuple[AttemptEnd, ...]


class DrainAsked(Struct, frozen=True):
    """Claim no more, let what has begun finish."""


class Tick(Struct, frozen=True):
    """Time has passed; `Session.check_at` says when the next one is wanted."""


Event: TypeAlias = (
    Launched
    | Registered
    | WorkHinted
    | WorkDueIn
    | Claimed
    | ClaimFailed
    | CancelAsked
    | ExecutorReady
    | ExecutorGone
    | AttemptsBegun
    | AttemptsWithdrawn
    | AttemptsEnded
    | DrainAsked
    | Tick
)


# Effects


class Claim(Struct, frozen=True):
    """Ask the store for up to `limit` runs; answered by `Claimed` or `ClaimFailed`."""

    limit: int


class StartExecutor(Struct, frozen=True):
    """Answered by `ExecutorReady` or `ExecutorGone`."""

    executor: int
    delay_seconds: float = 0.0


class BeginAttempts(Struct, frozen=True):
    """Hand the orders to the process."""

    executor: int
    orders: tuple[AttemptOrder, ...]


class StopAttempt(Struct, frozen=True):
    """Ask a handler to end, or raise its soft flag."""

    executor: int
    key: int
    reason: StopReason


class WithdrawAttempts(Struct, frozen=True):
    """Ask for what was not begun; answered by `AttemptsWithdrawn`."""

    executor: int
    keys: tuple[int, ...]


class KillExecutor(Struct, frozen=True):
    """At once and for certain; answered by `ExecutorGone`."""

    executor: int
    reason: str


class Settle(Struct, frozen=True):
    """The attempt has ended. `claimed` carries the policy that counts, the task's own taken into account."""

    key: int
    claimed: ClaimedRun
    outcome: AttemptOutcome
    result_json: str | None = None
    error: RunError | None = None


class GiveBack(Struct, frozen=True):
    """These were provably never begun."""

    claims: tuple[ClaimedRun, ...]


class Finish(Struct, frozen=True):
    """The drain is complete: nothing is held any more."""


Effect: TypeAlias = (
    Claim | StartExecutor | BeginAttempts | StopAttempt | WithdrawAttempts | KillExecutor | Settle | GiveBack | Finish
)
