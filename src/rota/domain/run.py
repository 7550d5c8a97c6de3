"""A run: one firing to be executed once. Its record, its lifecycle, and what a worker is handed.

Identity is (trigger, fire_at) or a caller's idempotency key. While a run is live, its moving parts (state, due time,
token, worker) are kept apart from its record; `Run` is the joined view that readers get.
"""

from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from rota.domain.dependencies import DependencyRule, Upstream
from rota.domain.ids import AttemptToken, RunId, ScheduleId, TenantId, TriggerId, WorkerId
from rota.domain.lifecycle import Lifecycle, Transition
from rota.domain.policies import RunPolicy
from rota.domain.targets import HandedTarget, Target
from rota.domain.uniqueness import Unique

RunState: TypeAlias = Literal["scheduled", "queued", "running", "succeeded", "failed", "cancelled", "skipped"]
AttemptOutcome: TypeAlias = Literal["succeeded", "failed", "timed_out", "lost", "cancelled"]
FailureClass: TypeAlias = Literal["api_limit", "auth", "network", "config", "timeout", "unknown"]

RUN_LIFECYCLE = Lifecycle(
    name="run",
    initial=frozenset({"scheduled", "queued", "skipped"}),
    terminal=frozenset({"succeeded", "failed", "cancelled", "skipped"}),
    transitions=(
        Transition("scheduled", "come_due", "queued", "its due time has passed; no write is needed"),
        Transition("scheduled", "cancel", "cancelled", "cancelled before it was due"),
        Transition("scheduled", "skip", "skipped", "the runs that it waited for cannot meet its rule any more"),
        Transition("queued", "claim", "running", "a worker claimed it and holds its attempt token"),
        Transition("queued", "cancel", "cancelled", "cancelled before a worker claimed it"),
        Transition("running", "succeed", "succeeded", "the attempt succeeded under its token"),
        Transition("running", "retry", "queued", "the attempt failed, timed out or was lost with tries left"),
        Transition("running", "fail", "failed", "the attempt failed and no try is left, or it may not be retried"),
        Transition("running", "cancel", "cancelled", "the attempt was cancelled on request"),
        Transition("running", "await", "running", "it waits for its segments, or to be called back, without a worker"),
    ),
)

# Who holds a run that waits for its segments, or to be called back: nobody. No worker has this id, so that the run is
# neither claimed nor asked for, no lease of it can end, and its attempt has no deadline of a worker's: the leader ends
# it, under its token.
AWAITING_SEGMENTS = WorkerId("ffffffff-ffff-ffff-ffff-ffffffffffff")

ATTEMPT_LIFECYCLE = Lifecycle(
    name="attempt",
    initial=frozenset({"running"}),
    terminal=frozenset({"succeeded", "failed", "timed_out", "lost", "cancelled"}),
    transitions=(
        Transition("running", "return", "succeeded", "the handler returned"),
        Transition("running", "raise", "failed", "the handler raised, or returned a failure"),
        Transition("running", "overrun", "timed_out", "the hard time-out passed"),
        Transition("running", "lose", "lost", "the worker's lease ended or its executor process died"),
        Transition("running", "stop", "cancelled", "it was cancelled on request"),
    ),
)


class RunError(Struct, frozen=True, omit_defaults=True):
    """Why an attempt did not succeed. `type` is the exception's qualified name where there was one."""

    message: str
    type: str = ""
    traceback: str = ""
    failure_class: FailureClass = "unknown"
    retryable: bool = True
    retry_after_seconds: float | None = None


class RunDraft(Struct, frozen=True):
    """A run that a caller asks for. The store gives it its id and its clock times.

    `key` is the 16-byte identity (hex) under which the run is unique, or None: see `core.run_identity`. `followers` are
    told when it has ended: see `rota.ports.run_ends`. It is due at `due_at` where that is given, else after its delay.
    `unique_key` is what alike runs share: see `core.uniqueness`. It waits for the runs that it `depends_on`; `name` is
    for those of the same call.
    """

    tenant_id: TenantId
    target: Target
    policy: RunPolicy
    queue: str = "default"
    priority: int = 0
    delay_seconds: float = 0.0
    key: str | None = None
    idempotency_key: str | None = None
    schedule_id: ScheduleId | None = None
    schedule_version: int | None = None
    trigger_id: TriggerId | None = None
    fire_at: datetime | None = None
    reason: str = "enqueued"
    retry_of: RunId | None = None
    created_by: str = ""
    followers: tuple[str, ...] = ()
    due_at: datetime | None = None
    unique: Unique | None = None
    unique_key: str | None = None
    name: str | None = None
    depends_on: tuple[Upstream, ...] = ()
    when: DependencyRule = "all_succeeded"

    @property
    def is_serial(self) -> bool:
        """Whether it needs its schedule's turn to run."""
        return self.policy.serial and self.schedule_id is not None


class Enqueued(Struct, frozen=True):
    """`created` is False where the key was known: `run_id` then names the run that has it."""

    run_id: RunId
    created: bool


class Run(Struct, frozen=True):
    """The whole of a run as readers see it. Times are UTC; `reason` says why it exists, was skipped or ended.

    `parent_id` is the run whose segment it does.
    """

    id: RunId
    tenant_id: TenantId
    state: RunState
    reason: str
    due_at: datetime
    created_at: datetime
    queue: str
    priority: int
    target: Target
    policy: RunPolicy
    attempts_count: int = 0
    schedule_id: ScheduleId | None = None
    schedule_version: int | None = None
    trigger_id: TriggerId | None = None
    fire_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    worker_id: WorkerId | None = None
    cancel_requested_at: datetime | None = None
    result: Any = None
    error: RunError | None = None
    dead_lettered: bool = False
    retry_of: RunId | None = None
    idempotency_key: str | None = None
    created_by: str = ""
    parent_id: RunId | None = None


class Attempt(Struct, frozen=True):
    """One try of a run by one worker. An open attempt has no outcome yet."""

    run_id: RunId
    attempt_no: int
    worker_id: WorkerId | None
    started_at: datetime
    finished_at: datetime | None = None
    outcome: AttemptOutcome | None = None
    error: RunError | None = None


class LogLine(Struct, frozen=True):
    """One line of an attempt's output. `seq` grows by one per attempt; `stream` is stdout, stderr or log."""

    run_id: RunId
    attempt_no: int
    seq: int
    at: datetime
    stream: str
    text: str


class ClaimedRun(Struct, frozen=True):
    """What a worker is handed: enough to execute one attempt and to settle it, and nothing else."""

    run_id: RunId
    tenant_id: TenantId
    token: AttemptToken
    attempt_no: int
    target: HandedTarget
    policy: RunPolicy
    queue: str
    claimed_at: datetime
    schedule_id: ScheduleId | None = None
    fire_at: datetime | None = None
    losses_count: int = 0
    priority: int = 0


SettlementVerb: TypeAlias = Literal["succeed", "retry", "fail", "cancel"]


class Settlement(Struct, frozen=True):
    """The decided end of one attempt; the store accepts it only under the attempt's token.

    `verb` is an event of `RUN_LIFECYCLE`; `retry_delay_seconds` belongs to `retry` alone. `result_json` and
    `error_json` are encoded once, by the process that has them.
    """

    run_id: RunId
    token: AttemptToken
    verb: SettlementVerb
    outcome: AttemptOutcome
    reason: str = ""
    retry_delay_seconds: float = 0.0
    result_json: str | None = None
    error_json: str | None = None
    dead_letter: bool = False
