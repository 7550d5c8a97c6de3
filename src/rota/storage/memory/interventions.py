"""Interventions in memory: the oracle of `rota.storage.postgres.interventions`."""

from rota.core.interventions import decide, noted, pattern_of, successes_wanted_since
from rota.core.schedule_changes import Change, Changed, resume_schedule, stop_schedule
from rota.domain.ids import RunId, ScheduleId, TenantId
from rota.domain.intervention import (
    CRITICAL_FAILURES_COUNT,
    InterventionSummary,
    OldestIntervention,
    ScheduleFailure,
)
from rota.domain.run import FailureClass, Run
from rota.domain.schedule import Schedule
from rota.domain.targets import TaskTarget
from rota.domain.tenancy import AuditEntry
from rota.ports.intervention_store import FOLLOWER, FailuresNoted
from rota.storage.intervention_words import STOPPING, resuming, stopping, summed
from rota.storage.memory.database import MemoryDatabase


class MemoryInterventions:
    """See `rota.ports.intervention_store`: both of its ports."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._runs = database.runs_state
        self._failures: dict[ScheduleId, tuple[ScheduleFailure, ...]] = {}

    async def note_failures(self, limit: int) -> FailuresNoted:
        taken = [end for name, end in self._runs.ends if name == FOLLOWER][:limit]
        self._runs.ends = [(name, end) for name, end in self._runs.ends if name != FOLLOWER or end not in taken]
        by_schedule: dict[ScheduleId, list[RunId]] = {}
        for end in taken:
            run = self._runs.records[end.run_id]
            schedule_id = run.schedule_id
            # An attempt at a milestone has a trigger and no nominal time: its own back-off judges it.
            if schedule_id is not None and (run.fire_at is not None or run.trigger_id is None):
                by_schedule.setdefault(schedule_id, []).append(end.run_id)
        stopped: list[FailureClass] = []
        for schedule_id, failed in sorted(by_schedule.items()):
            failure_class = self._judge(schedule_id, failed)
            if failure_class is not None:
                stopped.append(failure_class)
        return FailuresNoted(len(taken), tuple(stopped))

    async def resume_cooled(self, limit: int) -> int:
        now = self._database.now()
        cooled = [one for one, at in self._cooling() if at <= now.timestamp()][:limit]
        for schedule in cooled:
            self._save(resume_schedule(schedule, None, change=Change(STOPPING, now)), resuming(schedule.id))
        return len(cooled)

    async def next_cool_off_in_seconds(self) -> float | None:
        now = self._database.now().timestamp()
        return next((at - now for _, at in self._cooling()), None)

    async def summary(self, tenant_id: TenantId) -> InterventionSummary:
        found = [
            (one, one.intervention)
            for one in self._database.schedules.values()
            if one.tenant_id == tenant_id and one.needs_intervention and one.deleted_at is None
        ]
        oldest = min(((last.opened_at, one.id, one.name) for one, last in found if last is not None), default=None)
        return InterventionSummary(
            len(found),
            summed((_type_of(one), 1) for one, _ in found),
            summed(("unknown" if last is None else last.failure_class, 1) for _, last in found),
            sum(last is not None and last.failures_count >= CRITICAL_FAILURES_COUNT for _, last in found),
            None if oldest is None else OldestIntervention(oldest[1], oldest[2], oldest[0]),
        )

    def _judge(self, schedule_id: ScheduleId, runs: list[RunId]) -> FailureClass | None:
        schedule = self._database.schedules.get(schedule_id)
        if schedule is None or schedule.deleted_at is not None or not self._is_open(schedule):
            return None
        new = [_failure(self._runs.records[run_id]) for run_id in runs]
        failures = self._failures[schedule_id] = noted(self._failures.get(schedule_id, ()), new)
        since, now = successes_wanted_since(schedule, failures), self._database.now()
        ends = [
            one.finished_at
            for one in self._runs.records.values()
            if one.schedule_id == schedule_id and one.state == "succeeded" and one.finished_at is not None
            if since is not None and one.created_at >= since
        ]
        intervention = decide(schedule, failures, max(ends, default=None), now)
        if intervention is None:
            return None
        self._save(stop_schedule(schedule, intervention, change=Change(STOPPING, now)), stopping(schedule_id))
        return intervention.failure_class

    def _save(self, changed: Changed, entry: AuditEntry) -> None:
        after, events = changed
        self._database.schedules[after.id] = after
        self._database.record_events(events)
        self._database.record_audit(after.tenant_id, entry)

    def _cooling(self) -> list[tuple[Schedule, float]]:
        """Those that resume by themselves, each with when, the first one first."""
        waiting = [
            (one, one.intervention.cool_off_until.timestamp())
            for one in self._database.schedules.values()
            if one.intervention is not None and one.intervention.cool_off_until is not None
            if one.deleted_at is None and self._is_open(one)
        ]
        return sorted(waiting, key=lambda item: item[1])

    def _is_open(self, schedule: Schedule) -> bool:
        return self._database.tenants[schedule.tenant_id].revoked_at is None


def _type_of(schedule: Schedule) -> str:
    return schedule.target.task if isinstance(schedule.target, TaskTarget) else "http"


def _failure(run: Run) -> ScheduleFailure:
    error = run.error
    return ScheduleFailure(
        run.id,
        run.created_at,
        run.finished_at or run.created_at,
        "unknown" if error is None else error.failure_class,
        pattern_of((error.message if error is not None else "") or run.reason),
    )
