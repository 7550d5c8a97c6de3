"""Firing in memory: the oracle of `rota.storage.postgres.firing`."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import structs

from rota.domain.errors import Stale
from rota.domain.event import EventDraft
from rota.domain.firing import FIRED_BY, DueBatch, DuePosition, DueTrigger, FireDraft, TriggerAdvance
from rota.domain.ids import RunId, ScheduleId
from rota.domain.lease import Fence
from rota.domain.run import RunDraft
from rota.domain.schedule import Schedule, TriggerState
from rota.ports.firing_store import FiringResult, LeaderLook
from rota.storage.firing_events import OVERLAP_CANCEL_REASON, firing_events
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.run_tables import StoredLease


class MemoryFiringStore:
    """See `rota.ports.firing_store.FiringStore`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._runs = database.runs_state

    async def look(self, overdue_grace_seconds: float | None, overdue_since: datetime | None = None) -> LeaderLook:
        now, workers = self._database.now(), self._runs.workers
        waiting = [trigger.next_fire_at for _, trigger in self._triggers() if trigger.next_fire_at is not None]
        until = None if overdue_grace_seconds is None else now - timedelta(seconds=overdue_grace_seconds)
        living = {worker_id for worker_id, worker in workers.items() if not worker.has_left}
        return LeaderLook(
            next_fire_in_seconds=(min(waiting) - now).total_seconds() if waiting else None,
            lost_workers=any(
                worker.is_suspect(now) or (worker.has_left and not worker.is_cleared) for worker in workers.values()
            ),
            overdue_attempts=until is not None
            and any(live.is_overdue(overdue_since, until) for live in self._runs.held() if live.worker_id in living),
            now=now,
            ended_for=tuple(sorted({follower for follower, _ in self._runs.ends})),
            follows_live=any(live.followers for live in self._runs.live.values()),
        )

    async def look_fully(self) -> None:
        """Looks leave nothing out here."""

    async def due_triggers(self, limit: int, after: DuePosition | None = None) -> DueBatch:
        now = self._database.now()
        due = [
            (DuePosition(trigger.next_fire_at, trigger.id), schedule, trigger)
            for schedule, trigger in self._triggers()
            if trigger.next_fire_at is not None
            and trigger.next_fire_at <= now
            and schedule.enabled
            and schedule.deleted_at is None
        ]
        due = sorted((found for found in due if after is None or found[0] > after), key=lambda found: found[0])[:limit]
        end = due[-1][0] if len(due) == limit else None
        return DueBatch(now, tuple(self._due(schedule, trigger) for _, schedule, trigger in due), end)

    async def apply(self, fence: Fence, advances: Sequence[TriggerAdvance]) -> FiringResult:
        if not advances:
            return FiringResult(0, 0, 0, 0, ())
        lease = self._runs.leases.get(fence.lease_name)
        if lease is None or (lease.epoch, lease.holder) != (fence.epoch, fence.holder) or self._has_ended(lease):
            raise Stale(f"epoch {fence.epoch} of lease {fence.lease_name!r} has ended: nothing was fired")
        applied = [advance for advance in advances if self._advance(advance)]
        for schedule_id in {advance.schedule_id for advance in applied if advance.cancel_live}:
            self._cancel_live(schedule_id)
        queues = [queue for advance in applied for queue in self._give_birth(advance)]
        skipped_count = sum(self._record_skipped(advance) for advance in applied)
        for advance in applied:
            self._database.record_events(firing_events(advance))
        refused_count = len(advances) - len(applied)
        return FiringResult(len(queues), skipped_count, len(applied), refused_count, tuple(sorted(set(queues))))

    def _has_ended(self, lease: StoredLease) -> bool:
        return lease.expires_at <= self._database.now()

    def _triggers(self) -> list[tuple[Schedule, TriggerState]]:
        return [(schedule, trigger) for schedule in self._database.schedules.values() for trigger in schedule.triggers]

    def _due(self, schedule: Schedule, trigger: TriggerState) -> DueTrigger:
        live = [live.state for live in self._runs.live.values() if live.schedule_id == schedule.id]
        return DueTrigger(
            tenant_id=schedule.tenant_id,
            schedule_id=schedule.id,
            schedule_version=schedule.version,
            schedule_name=schedule.name,
            trigger=trigger,
            policies=schedule.policies,
            queued_count=live.count("queued"),
            running_count=live.count("running"),
            is_withheld=not self._database.is_firing(schedule.tenant_id),
        )

    def _advance(self, advance: TriggerAdvance) -> bool:
        """Compare-and-set of one trigger's progress."""
        schedule = self._database.schedules.get(advance.schedule_id)
        if schedule is None or schedule.version != advance.schedule_version:
            return False
        if not schedule.enabled or schedule.deleted_at is not None:
            return False
        before = advance.trigger_before
        stored = next((trigger for trigger in schedule.triggers if trigger.id == before.id), None)
        if stored is None or stored.next_fire_at is None or stored.next_fire_at != before.next_fire_at:
            return False
        moved = structs.replace(
            stored,
            next_fire_at=advance.next_fire_at,
            fired_through=max(stored.fired_through or advance.fired_through, advance.fired_through),
            fires_count=advance.fires_count,
        )
        triggers = tuple(moved if trigger.id == moved.id else trigger for trigger in schedule.triggers)
        self._database.schedules[schedule.id] = structs.replace(schedule, triggers=triggers)
        return True

    def _cancel_live(self, schedule_id: ScheduleId) -> None:
        now = self._database.now()
        for live in [live for live in self._runs.live.values() if live.schedule_id == schedule_id]:
            if live.state == "running":
                live.cancel_requested_at = live.cancel_requested_at or now
                continue
            self._runs.end(live.run_id, now, "cancelled", reason=OVERLAP_CANCEL_REASON)
            facts = {
                "schedule_id": schedule_id,
                "attempt_no": live.attempts_count,
                "reason": OVERLAP_CANCEL_REASON,
            }
            self._database.record_events([EventDraft("RunCancelled", live.tenant_id, live.run_id, "", facts)])

    def _give_birth(self, advance: TriggerAdvance) -> list[str]:
        """The queue of each run that was created."""
        return [advance.policies.queue for draft in advance.runs if self._create(advance, draft)]

    def _record_skipped(self, advance: TriggerAdvance) -> int:
        return sum(self._create(advance, draft, skipped=True) for draft in advance.skipped)

    def _create(self, advance: TriggerAdvance, fire: FireDraft, *, skipped: bool = False) -> bool:
        policies = advance.policies
        draft = RunDraft(
            tenant_id=advance.tenant_id,
            target=self._database.schedules[advance.schedule_id].target,
            policy=policies.run_policy(),
            queue=policies.queue,
            priority=policies.priority,
            delay_seconds=fire.delay_seconds,
            key=fire.key,
            schedule_id=advance.schedule_id,
            schedule_version=advance.schedule_version,
            trigger_id=advance.trigger_before.id,
            fire_at=fire.fire_at,
            reason=fire.reason,
            created_by=FIRED_BY,
        )
        return self._runs.create(RunId(self._database.new_id()), draft, self._database.now(), skipped=skipped)
