"""Check cycles in memory: the oracle of `rota.storage.postgres.cycles`."""

from rota.core.cycles import add_sums, report_events
from rota.domain.cycle import CheckReport, CheckSums, CheckTotals
from rota.storage.memory.database import MemoryDatabase


class MemoryCycleStore:
    """See `rota.ports.cycle_store.CycleStore`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._totals = CheckTotals(database.now(), 0, None, CheckSums())

    async def record(self, report: CheckReport) -> CheckTotals:
        before = self._totals
        number = before.reports_count + 1
        self._database.record_events(report_events(report, number))
        now = self._database.now()
        last_at = now if before.last_at is None else max(before.last_at, now)
        self._totals = CheckTotals(before.since, number, last_at, add_sums(before.sums, report.sums))
        return self._totals

    async def totals(self) -> CheckTotals:
        return self._totals
