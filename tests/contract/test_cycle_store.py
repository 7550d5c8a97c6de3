"""Check cycles over every backend: each report is one event, and their sum is kept whatever becomes of the events."""

import asyncio

import pytest

from rota.core.cycles import add_sums
from rota.domain.cycle import CheckReport, CheckSums, DueCounts
from rota.domain.ids import Epoch
from rota.ports.cycle_store import CycleStore
from rota.ports.tenant_store import EventFilter
from rota.storage.memory.cycles import MemoryCycleStore
from rota.storage.postgres.cycles import PostgresCycleStore
from tests.contract.records import ACME
from tests.contract.stores import START, Stores

ONE = CheckSums(3, 1, 2, 0.5, 0.25, {"cron": DueCounts(4, 3, 0, 1, 0), "interval": DueCounts(1, 0, 0, 0, 1)})
TWO = CheckSums(1, 0, 1, 0.125, 0.125, {"cron": DueCounts(1, 1), "milestone": DueCounts(1, 0, 1)})


@pytest.fixture
def cycles(backend: str, stores: Stores, request: pytest.FixtureRequest) -> CycleStore:
    del stores
    if backend == "memory":
        return MemoryCycleStore(request.getfixturevalue("memory_database"))
    return PostgresCycleStore(request.getfixturevalue("service_pool"))


def report(sums: CheckSums, before: float | None = None) -> CheckReport:
    return CheckReport("leader", Epoch(7), "me", sums, 1.3, 0.02, before, "no run is live")


async def test_totals_are_the_sum_of_all_reports(cycles: CycleStore, stores: Stores) -> None:
    assert (await cycles.totals()).sums == CheckSums()
    first = await cycles.record(report(ONE))
    await stores.clock.advance(5)
    second = await cycles.record(report(TWO))
    assert (first.reports_count, first.last_at, first.sums) == (1, START, ONE)
    assert (second.reports_count, second.sums) == (2, add_sums(ONE, TWO))
    assert await cycles.totals() == second
    assert second.since == first.since
    assert second.sums.duration_seconds_max == 0.25


async def test_a_report_is_an_event_of_the_platform(cycles: CycleStore, stores: Stores) -> None:
    await cycles.record(report(ONE))
    (told,) = await stores.events.after(EventFilter(None, ("CheckCycleCompleted", "CheckIntervalChanged")), None, 9)
    assert (told.type, told.tenant_id, told.subject, told.actor) == ("CheckCycleCompleted", None, "leader", "me")
    assert told.data == {
        "number": 1,
        "epoch": 7,
        "checks_count": 3,
        "failed_checks_count": 1,
        "cycles_count": 2,
        "found": 5,
        "executed": 3,
        "failed": 0,
        "skipped": 1,
        "refused": 1,
        "duration_seconds": 0.5,
        "duration_seconds_max": 0.25,
        "next_check_in_seconds": 0.02,
        "interval_seconds": 1.3,
        "by_kind": {
            "cron": {"found": 4, "executed": 3, "failed": 0, "skipped": 1, "refused": 0},
            "interval": {"found": 1, "executed": 0, "failed": 0, "skipped": 0, "refused": 1},
        },
    }
    assert not await stores.events.after(EventFilter(ACME, ("CheckCycleCompleted",)), None, 9)


async def test_another_interval_is_an_event_beside_it(cycles: CycleStore, stores: Stores) -> None:
    await cycles.record(report(TWO, before=0.25))
    told = await stores.events.after(EventFilter(None, ("CheckIntervalChanged",)), None, 9)
    assert [one.data for one in told] == [
        {
            "epoch": 7,
            "previous_interval_seconds": 0.25,
            "new_interval_seconds": 1.3,
            "reason": "no run is live",
        }
    ]


async def test_reports_of_two_leaders_at_once_are_both_counted(cycles: CycleStore) -> None:
    await asyncio.gather(*(cycles.record(report(TWO)) for _ in range(8)))
    totals = await cycles.totals()
    assert (totals.reports_count, totals.sums.checks_count, totals.sums.by_kind["cron"]) == (8, 8, DueCounts(8, 8))
