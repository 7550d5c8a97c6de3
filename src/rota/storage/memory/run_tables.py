"""The tables of runs, workers and leases in memory, and the moves that several stores make on them.

Like the database, it keeps the record of a run apart from its live row, and the joined view is what readers get.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from msgspec import structs

from rota.core.concurrency import places_of
from rota.core.fan_out import parent_of
from rota.core.statistics import ended_run
from rota.domain.dependencies import DependencyRule
from rota.domain.ids import RunId, ScheduleId, TenantId, WorkerId
from rota.domain.run import AWAITING_SEGMENTS, Attempt, LogLine, Run, RunDraft, RunState
from rota.domain.statistics import EndedRun
from rota.domain.worker import WorkerSpec, WorkerState
from rota.ports.intervention_store import FOLLOWER as INTERVENTIONS
from rota.ports.run_ends import RunEnd

NEVER = datetime.max.replace(tzinfo=UTC)
"""The due time of a run that waits for others."""


@dataclass
class Waiting:
    """A run's upstreams with their last states, None for those that have not ended."""

    rule: DependencyRule
    upstreams: dict[RunId, str | None]


@dataclass
class LiveRun:
    """What workers claim and hold. `state` is `queued` or `running`."""

    run_id: RunId
    tenant_id: TenantId
    schedule_id: ScheduleId | None
    queue: str
    priority: int
    due_at: datetime
    timeout_seconds: float
    state: RunState = "queued"
    token: int = 0
    attempts_count: int = 0
    losses_count: int = 0
    worker_id: WorkerId | None = None
    started_at: datetime | None = None
    hard_deadline_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    is_serial: bool = False
    is_limited: bool = False
    key_id: str | None = None
    key_max: int | None = None
    followers: tuple[str, ...] = ()

    @property
    def claim_order(self) -> tuple[int, datetime, str]:
        return -self.priority, self.due_at, self.run_id

    @property
    def is_awaiting(self) -> bool:
        """Whether it waits for its segments."""
        return self.worker_id == AWAITING_SEGMENTS

    @property
    def holder(self) -> WorkerId | None:
        return None if self.is_awaiting else self.worker_id

    def is_overdue(self, since: datetime | None, until: datetime) -> bool:
        """Whether its deadline is after `since`, and not after `until`."""
        deadline = self.hard_deadline_at
        return deadline is not None and deadline <= until and (since is None or deadline > since)

    def release(self) -> None:
        """Back to the queue, held by nobody."""
        self.state = "queued"
        self.worker_id = self.started_at = self.hard_deadline_at = None


@dataclass
class StoredWorker:
    """A worker with its lease."""

    spec: WorkerSpec
    state: WorkerState
    started_at: datetime
    heartbeat_at: datetime
    lease_expires_at: datetime
    is_cleared: bool = False

    @property
    def has_left(self) -> bool:
        return self.state in {"stopped", "lost"}

    def is_suspect(self, now: datetime) -> bool:
        """Its lease has ended, or its heartbeat is still to come, because the clock was set back."""
        return not self.has_left and (self.lease_expires_at <= now or self.heartbeat_at > now)


@dataclass(frozen=True)
class StoredLease:
    """A row of `leases`."""

    epoch: int
    holder: str
    acquired_at: datetime
    expires_at: datetime


@dataclass
class RunTables:
    """`records` hold what is known at birth and at the end; `live` what moves in between."""

    records: dict[RunId, Run] = field(default_factory=dict[RunId, Run])
    live: dict[RunId, LiveRun] = field(default_factory=dict[RunId, LiveRun])
    keys: dict[str, RunId] = field(default_factory=dict[str, RunId])
    attempts: dict[RunId, list[Attempt]] = field(default_factory=dict[RunId, list[Attempt]])
    log_lines: dict[tuple[RunId, int, int], LogLine] = field(default_factory=dict[tuple[RunId, int, int], LogLine])
    workers: dict[WorkerId, StoredWorker] = field(default_factory=dict[WorkerId, StoredWorker])
    leases: dict[str, StoredLease] = field(default_factory=dict[str, StoredLease])
    waiting: dict[RunId, Waiting] = field(default_factory=dict[RunId, Waiting])
    unique_keys: dict[str, tuple[RunId, datetime]] = field(default_factory=dict[str, tuple[RunId, datetime]])
    forever_keys: set[str] = field(default_factory=set[str])
    ended: list[EndedRun] = field(default_factory=list[EndedRun])
    added_up: int = 0
    ends: list[tuple[str, RunEnd]] = field(default_factory=list[tuple[str, RunEnd]])
    ends_count: int = 0

    def create(self, run_id: RunId, draft: RunDraft, now: datetime, *, skipped: bool = False) -> bool:
        """Gives birth to a run, or to the record of a skipped one. False where its key is known."""
        if draft.key is not None:
            if draft.key in self.keys:
                return False
            self.keys[draft.key] = run_id
        record = _record(run_id, draft, now, skipped=skipped)
        self.records[run_id] = record
        if skipped:
            self.ended.append(ended_run(record))
        else:
            self.live[run_id] = LiveRun(
                run_id,
                draft.tenant_id,
                draft.schedule_id,
                draft.queue,
                draft.priority,
                NEVER if draft.depends_on else record.due_at,
                draft.policy.timeout_seconds,
                is_serial=draft.is_serial,
                key_id=places_of(
                    draft.tenant_id, draft.schedule_id, draft.policy.concurrency_key, draft.policy.concurrency_max
                ),
                key_max=draft.policy.concurrency_max,
                followers=tuple(dict.fromkeys(draft.followers)),
            )
        return True

    def forget(self, run_ids: Iterable[RunId]) -> None:
        """Takes back births of a transaction that fails."""
        for run_id in run_ids:
            self.records.pop(run_id)
            self.live.pop(run_id, None)
            self.keys = {key: owner for key, owner in self.keys.items() if owner != run_id}

    def end(self, run_id: RunId, now: datetime, state: RunState, **changes: object) -> None:
        """The live row goes, the record is finished."""
        live = self.live.pop(run_id)
        finished = structs.replace(
            self.records[run_id], state=state, finished_at=now, attempts_count=live.attempts_count
        )
        self.records[run_id] = structs.replace(finished, **changes)
        self.ended.append(ended_run(self.records[run_id]))
        is_for_interventions = state == "failed" and live.schedule_id is not None
        for follower in (*live.followers, *((INTERVENTIONS,) if is_for_interventions else ())):
            self.ends_count += 1
            self.ends.append((follower, RunEnd(self.ends_count, live.tenant_id, run_id, state, now)))

    def joined(self, run_id: RunId, now: datetime) -> Run:
        """The run as readers see it. A run that never was tried and is not due yet is `scheduled`."""
        record, live = self.records[run_id], self.live.get(run_id)
        if live is None:
            return record
        waits = live.state == "queued" and live.attempts_count == 0 and live.due_at > now
        return structs.replace(
            record,
            state="scheduled" if waits else live.state,
            due_at=record.due_at if live.due_at == NEVER else live.due_at,
            attempts_count=live.attempts_count,
            started_at=live.started_at,
            worker_id=live.holder,
            cancel_requested_at=live.cancel_requested_at,
        )

    def of_tenant(self, tenant_id: TenantId, now: datetime) -> Iterator[Run]:
        """All runs of a tenant, newest first."""
        for run_id in sorted(self.records, reverse=True):
            if self.records[run_id].tenant_id == tenant_id:
                yield self.joined(run_id, now)

    def taken_turns(self) -> set[ScheduleId | None]:
        """The schedules of which a serial run is running."""
        return {live.schedule_id for live in self.held() if live.is_serial}

    def has_place(self, live: LiveRun, taken: Sequence[LiveRun]) -> bool:
        """Whether its concurrency key has one for it, beside what runs and `taken`."""
        if live.key_id is None or live.key_max is None:
            return True
        return self.places_taken(live.key_id) + sum(each.key_id == live.key_id for each in taken) < live.key_max

    def places_taken(self, key_id: str | None) -> int:
        return sum(each.key_id == key_id for each in self.held())

    def held(self) -> Iterable[LiveRun]:
        return [live for live in self.live.values() if live.state == "running"]


def _record(run_id: RunId, draft: RunDraft, now: datetime, *, skipped: bool) -> Run:
    return Run(
        id=run_id,
        tenant_id=draft.tenant_id,
        state="skipped" if skipped else "queued",
        reason=draft.reason,
        due_at=draft.due_at or (draft.fire_at or now) + timedelta(seconds=draft.delay_seconds),
        created_at=now,
        queue=draft.queue,
        priority=draft.priority,
        target=draft.target,
        policy=draft.policy,
        schedule_id=draft.schedule_id,
        schedule_version=draft.schedule_version,
        trigger_id=draft.trigger_id,
        fire_at=draft.fire_at,
        finished_at=now if skipped else None,
        retry_of=draft.retry_of,
        idempotency_key=draft.idempotency_key,
        created_by=draft.created_by,
        parent_id=parent_of(draft.target),
    )
