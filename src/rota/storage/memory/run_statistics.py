"""Sums of runs in memory: the oracle of `rota.storage.postgres.run_statistics`."""

from collections import Counter
from datetime import datetime, timedelta

from rota.core.statistics import add_all, by_hour, ended_run, hour_of, sums_of
from rota.domain.event import EventDraft
from rota.domain.ids import ScheduleId, TenantId
from rota.domain.statistics import ComparedHour, EndedRun, HourSums, LifetimeSums
from rota.domain.tenancy import AuditEntry
from rota.storage.memory.database import MemoryDatabase

LOOK_BACK = timedelta(days=7)


class MemoryRunStatistics:
    """See `rota.ports.run_statistics`: both of its ports. What has ended is kept whole: adding up is for the reader."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._tables = database.runs_state

    async def hours(
        self, tenant_id: TenantId, since: datetime, schedule_id: ScheduleId | None = None
    ) -> tuple[HourSums, ...]:
        return tuple(
            HourSums(hour, sums)
            for (of_tenant, of_schedule, hour), sums in sorted(
                by_hour(self._tables.ended).items(), key=lambda one: one[0][2]
            )
            if (of_tenant, of_schedule) == (tenant_id, schedule_id) and hour >= hour_of(since)
        )

    async def lifetime(self, tenant_id: TenantId) -> LifetimeSums:
        return _lifetime([run for run in self._tables.ended if run.tenant_id == tenant_id])

    async def compare(self, tenant_id: TenantId, since: datetime) -> tuple[ComparedHour, ...]:
        return _compared(*self._found(tenant_id, since))

    async def reconcile(self, tenant_id: TenantId, since: datetime, audit: AuditEntry) -> tuple[ComparedHour, ...]:
        found, uncounted = self._found(tenant_id, since)
        self._tables.ended.extend(uncounted)
        if uncounted:
            data = {"since": hour_of(since).isoformat(), "added_count": len(uncounted)}
            self._database.record_events([EventDraft("StatisticsReconciled", tenant_id, "", audit.actor, data)])
        self._database.record_audit(tenant_id, audit)
        return _compared(found, uncounted)

    async def add_up(self, limit: int) -> int:
        taken = min(limit, len(self._tables.ended) - self._tables.added_up)
        self._tables.added_up += taken
        return taken

    async def platform_lifetime(self) -> LifetimeSums:
        return _lifetime(self._tables.ended)

    def _found(self, tenant_id: TenantId, since: datetime) -> tuple[list[EndedRun], list[EndedRun]]:
        """What the records have, and what of it is not counted."""
        from_hour = hour_of(since)
        records = [
            ended_run(run)
            for run in self._tables.records.values()
            if run.tenant_id == tenant_id and run.state != "queued" and run.created_at >= from_hour - LOOK_BACK
        ]
        found = [run for run in records if run.ended_at >= from_hour]
        counted = Counter(_kind(run) for run in self._tables.ended if run.tenant_id == tenant_id)
        uncounted: list[EndedRun] = []
        for run in sorted(found, key=lambda one: one.ended_at):
            counted[_kind(run)] -= 1
            if counted[_kind(run)] < 0:
                uncounted.append(run)
        return found, uncounted


def _kind(run: EndedRun) -> tuple[ScheduleId | None, datetime, str]:
    return run.schedule_id, hour_of(run.ended_at), run.state


def _lifetime(runs: list[EndedRun]) -> LifetimeSums:
    since = min((hour_of(run.ended_at) for run in runs), default=None)
    return LifetimeSums(since, add_all(sums_of(run) for run in runs))


def _compared(found: list[EndedRun], uncounted: list[EndedRun]) -> tuple[ComparedHour, ...]:
    founds = Counter(hour_of(run.ended_at) for run in found)
    lacking = Counter(hour_of(run.ended_at) for run in uncounted)
    return tuple(ComparedHour(hour, count, lacking[hour]) for hour, count in sorted(founds.items()))
