"""Sums of runs in PostgreSQL: a tenant's through the api login, the leader's through the service login.

What ends runs leaves a delta in its own transaction, whatever it is (a trigger writes it); here they are added up.
"""

from collections.abc import Iterable
from datetime import datetime

from rota.core.statistics import add, add_all, hour_of
from rota.domain.errors import Bug
from rota.domain.event import EventDraft
from rota.domain.ids import ScheduleId, TenantId
from rota.domain.statistics import ComparedHour, HourSums, LifetimeSums, RunSums
from rota.domain.tenancy import AuditEntry
from rota.storage.page_cursor import is_uuid
from rota.storage.postgres.audit import insert_audit
from rota.storage.postgres.connections import tenant_transaction
from rota.storage.postgres.driver import Pool, Row
from rota.storage.postgres.events import insert_events
from rota.storage.postgres.query_files import query
from rota.storage.postgres.single_statements import SingleStatements

_MERGE_DELTAS = query("run_statistics/merge_deltas")
_LIST_HOURS_OF_TENANT = query("run_statistics/list_hours_of_tenant")
_LIST_HOURS_OF_SCHEDULE = query("run_statistics/list_hours_of_schedule")
_READ_TOTALS = query("run_statistics/read_totals")
_READ_PLATFORM_TOTALS = query("run_statistics/read_platform_totals")
_COMPARE_RECORDS = query("run_statistics/compare_records")
_LOCK_RECONCILING = query("run_statistics/lock_reconciling")
_NOTE_UNCOUNTED = query("run_statistics/note_uncounted")


class PostgresRunStatistics:
    """See `rota.ports.run_statistics.RunStatistics`."""

    def __init__(self, api_pool: Pool) -> None:
        self._pool = api_pool

    async def hours(
        self, tenant_id: TenantId, since: datetime, schedule_id: ScheduleId | None = None
    ) -> tuple[HourSums, ...]:
        if schedule_id is not None and not is_uuid(schedule_id):
            return ()
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            if schedule_id is None:
                rows = await connection.fetch(_LIST_HOURS_OF_TENANT, tenant_id, hour_of(since))
            else:
                rows = await connection.fetch(_LIST_HOURS_OF_SCHEDULE, tenant_id, hour_of(since), schedule_id)
        hours: dict[datetime, RunSums] = {}
        for row in rows:
            hours[row["hour"]] = add(hours.get(row["hour"], RunSums()), _sums(row))
        return tuple(HourSums(hour, sums) for hour, sums in hours.items())

    async def lifetime(self, tenant_id: TenantId) -> LifetimeSums:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            return _lifetime(await connection.fetch(_READ_TOTALS, tenant_id))

    async def compare(self, tenant_id: TenantId, since: datetime) -> tuple[ComparedHour, ...]:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            return _compared(await connection.fetch(_COMPARE_RECORDS, tenant_id, hour_of(since)))

    async def reconcile(self, tenant_id: TenantId, since: datetime, audit: AuditEntry) -> tuple[ComparedHour, ...]:
        async with tenant_transaction(self._pool, tenant_id) as connection:
            await connection.execute(_LOCK_RECONCILING, tenant_id)
            compared = _compared(await connection.fetch(_NOTE_UNCOUNTED, tenant_id, hour_of(since)))
            added = sum(one.uncounted_count for one in compared)
            if added:
                data = {"since": hour_of(since).isoformat(), "added_count": added}
                await insert_events(connection, [EventDraft("StatisticsReconciled", tenant_id, "", audit.actor, data)])
            await insert_audit(connection, tenant_id, audit)
        return compared


class PostgresRunCounting:
    """See `rota.ports.run_statistics.RunCounting`."""

    def __init__(self, service_pool: Pool, *, pooled_by_transaction: bool = False) -> None:
        self._statements = SingleStatements(service_pool, pooled_by_transaction=pooled_by_transaction)

    async def add_up(self, limit: int) -> int:
        row = await self._statements.fetch_one("adding up what ended", _MERGE_DELTAS, limit)
        if row is None:
            raise Bug("a count is a row")
        return int(row["taken_count"])

    async def platform_lifetime(self) -> LifetimeSums:
        return _lifetime(await self._statements.fetch("reading lifetime totals", _READ_PLATFORM_TOTALS))


def _lifetime(rows: Iterable[Row]) -> LifetimeSums:
    parts = list(rows)
    return LifetimeSums(min((row["since"] for row in parts), default=None), add_all(_sums(row) for row in parts))


def _sums(row: Row) -> RunSums:
    return RunSums(
        row["succeeded_count"],
        row["failed_count"],
        row["cancelled_count"],
        row["skipped_count"],
        row["late_starts_count"],
        row["waits_count"],
        row["wait_ms_sum"],
        row["wait_ms_max"],
        row["duration_ms_sum"],
        row["duration_ms_max"],
        tuple(row["duration_counts"]),
    )


def _compared(rows: Iterable[Row]) -> tuple[ComparedHour, ...]:
    return tuple(ComparedHour(row["hour"], row["found_count"], row["uncounted_count"]) for row in rows)
