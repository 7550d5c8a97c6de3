"""Check cycles in PostgreSQL, through the service login: their events, and the one row of their sums."""

import msgspec

from rota.core.cycles import add_sums, report_events
from rota.domain.cycle import CheckReport, CheckSums, CheckTotals
from rota.domain.errors import Bug
from rota.storage.postgres.connections import transaction
from rota.storage.postgres.driver import Pool, Row
from rota.storage.postgres.events import insert_events
from rota.storage.postgres.query_files import query

_READ_TOTALS = query("check_totals/read_totals")
_LOCK_TOTALS = query("check_totals/lock_totals")
_SAVE_LOCKED = query("check_totals/save_locked")

_SUMS: msgspec.json.Decoder[CheckSums] = msgspec.json.Decoder(CheckSums)


class PostgresCycleStore:
    """See `rota.ports.cycle_store.CycleStore`."""

    def __init__(self, service_pool: Pool) -> None:
        self._pool = service_pool

    async def record(self, report: CheckReport) -> CheckTotals:
        async with transaction(self._pool, doing="recording check cycles") as connection:
            before = _totals(await connection.fetchrow(_LOCK_TOTALS))
            number, sums = before.reports_count + 1, add_sums(before.sums, report.sums)
            saved = _totals(await connection.fetchrow(_SAVE_LOCKED, number, msgspec.json.encode(sums).decode()))
            await insert_events(connection, report_events(report, number))
        return saved

    async def totals(self) -> CheckTotals:
        async with transaction(self._pool, readonly=True, doing="reading check cycles") as connection:
            return _totals(await connection.fetchrow(_READ_TOTALS))


def _totals(row: Row | None) -> CheckTotals:
    if row is None:
        raise Bug("the totals of check cycles are gone")
    return CheckTotals(row["since"], row["reports_count"], row["last_at"], _SUMS.decode(row["sums"]))
