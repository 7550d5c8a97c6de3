"""Runs as their tenants use them (intake, reading, control) and as workers execute them (claims)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from rota.domain.bulk import BulkFilter
from rota.domain.ids import AttemptToken, RunId, ScheduleId, TenantId, WorkerId
from rota.domain.page import Page, PageRequest
from rota.domain.run import (
    Attempt,
    AttemptOutcome,
    ClaimedRun,
    Enqueued,
    FailureClass,
    LogLine,
    Run,
    RunDraft,
    RunState,
    Settlement,
)
from rota.domain.tenancy import AuditEntry


class RunFilter(Struct, frozen=True):
    """All given conditions must hold. Without any, all runs of the tenant, newest first."""

    schedule_id: ScheduleId | None = None
    state: RunState | None = None
    task: str | None = None
    queue: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    failure_class: FailureClass | None = None
    dead_lettered: bool | None = None


def runs_in(wanted: BulkFilter, state: RunState) -> RunFilter:
    """The part of a filter that is in one state."""
    return RunFilter(
        wanted.schedule_id,
        state,
        wanted.task,
        wanted.queue,
        wanted.created_after,
        wanted.created_before,
        wanted.failure_class,
        wanted.dead_lettered,
    )


class RunMark(Struct, frozen=True):
    """The least that is to be said of a run, for readers who want many."""

    id: RunId
    state: RunState
    due_at: datetime


class RunIntake(Protocol):
    """New runs of one tenant."""

    async def enqueue(self, tenant_id: TenantId, drafts: Sequence[RunDraft], audit: AuditEntry) -> tuple[Enqueued, ...]:
        """One answer per draft, in order. A known key creates nothing and names the run that has it (law 7).

        All drafts are stored together or not at all. No notification is sent inside the transaction.
        """
        ...


class RunReader(Protocol):
    """What readers see; never writes (law 10)."""

    async def get(self, tenant_id: TenantId, run_id: RunId) -> Run:
        """While it waits for its next try, `error` is that of the last one; a page does not tell it."""
        ...

    async def page(self, tenant_id: TenantId, where: RunFilter, page: PageRequest) -> Page[Run]:
        """Newest first, by id."""
        ...

    async def attempts(self, tenant_id: TenantId, run_id: RunId) -> tuple[Attempt, ...]:
        """In order; an open attempt is the last and has no outcome."""
        ...

    async def log_lines(
        self, tenant_id: TenantId, run_id: RunId, after: tuple[int, int], limit: int
    ) -> tuple[LogLine, ...]:
        """Lines behind (attempt_no, seq), in order."""
        ...

    async def log_tails(
        self, tenant_id: TenantId, run_ids: Sequence[RunId], lines_per_run: int
    ) -> dict[RunId, tuple[LogLine, ...]]:
        """The last lines of each run, in order. A run without output, or not of this tenant, is not in the answer."""
        ...

    async def latest_of_schedules(
        self, tenant_id: TenantId, schedule_ids: Sequence[ScheduleId], runs_per_schedule: int
    ) -> dict[ScheduleId, tuple[RunMark, ...]]:
        """The latest runs of each schedule, newest first. A schedule without runs is not in the answer."""
        ...

    async def count_by_state(self, tenant_id: TenantId, since_hours: int) -> dict[str, int]:
        """Live runs by state, and by end state those that ended from the beginning of the hour `since_hours` ago on."""
        ...


class RunControl(Protocol):
    """Changes that a tenant makes to runs that exist."""

    async def cancel_if_live(self, tenant_id: TenantId, run_id: RunId, audit: AuditEntry) -> Run:
        """Queued: cancelled at once. Running: marked, and its worker is told. Terminal: STATE_CONFLICT."""
        ...

    async def clone_if_terminal(self, tenant_id: TenantId, run_id: RunId, audit: AuditEntry) -> Run:
        """A new run with the same target, policy and order, `retry_of` the old one, which is no dead letter any more.
        Not terminal: STATE_CONFLICT.
        """
        ...

    async def replay_if_dead(self, tenant_id: TenantId, run_id: RunId, audit: AuditEntry) -> Enqueued:
        """The clone of a dead-lettered run, made once: who comes later is told of the first clone, however it was made.
        Never dead-lettered: STATE_CONFLICT.
        """
        ...


class HeldRun(Struct, frozen=True):
    """A run that a worker holds, by the store's word: under `token`, whether or not that worker knows."""

    run_id: RunId
    token: AttemptToken
    queue: str


class LostAttempt(Struct, frozen=True):
    """An attempt whose worker is gone or which overran its deadline unanswered: to be decided by `core.settlement`."""

    claimed: ClaimedRun
    worker_id: WorkerId | None
    outcome: AttemptOutcome


class SettleResult(Struct, frozen=True):
    """`accepted` is False where the token was no longer current: the attempt had been given to somebody else.

    `startable_queues`: where a run of its schedule is due that had to wait for it. They want to be announced.
    """

    run_id: RunId
    accepted: bool
    startable_queues: tuple[str, ...] = ()


class RunClaims(Protocol):
    """The workers' side, over all tenants."""

    async def claim_batch(self, worker_id: WorkerId, queues: Sequence[str], limit: int) -> tuple[ClaimedRun, ...]:
        """Take up to `limit` due runs, highest priority first, then longest due. Raises `Stale` when the worker's lease
        has ended.

        A serial run whose schedule has another one running is passed over, and holds up nothing behind it. After
        `Unavailable`, or without an answer, runs may be held that nobody was told of: see `list_held`.
        """
        ...

    async def settle_batch(self, settlements: Sequence[Settlement]) -> tuple[SettleResult, ...]:
        """Store the end of attempts, each under its token; a refused one changes nothing and harms no neighbour."""
        ...

    async def list_held(self, worker_id: WorkerId, limit: int) -> tuple[HeldRun, ...]:
        """The runs that `worker_id` holds, earliest deadline first. A claim under way is in the answer or is not."""
        ...

    async def give_back_batch(self, claims: Sequence[ClaimedRun | HeldRun]) -> int:
        """Return claims that were never begun to their queue at once, without counting an attempt."""
        ...

    async def find_lost(
        self, grace_seconds: float, limit: int, overdue_since: datetime | None = None
    ) -> tuple[LostAttempt, ...]:
        """Attempts held by workers whose lease has ended, or past their hard deadline by `grace_seconds`.

        With `overdue_since` it leaves out what live workers hold with a deadline until then, and what is held by
        workers that are unknown or were cleared (`WorkerStore.clear_departed`).
        """
        ...

    async def append_log_lines(self, lines: Sequence[LogLine], tenants: Sequence[TenantId]) -> None:
        """`tenants[i]` owns `lines[i]`. A line that is already stored is left as it is."""
        ...
