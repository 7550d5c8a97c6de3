"""Every run that ends is counted once, however it ends, and stays counted."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from rota.core.statistics import add, add_all
from rota.domain.ids import ScheduleId, TenantId
from rota.domain.page import PageRequest
from rota.domain.run import RunDraft
from rota.domain.statistics import ComparedHour, RunSums
from rota.domain.tenancy import AuditEntry
from rota.ports.run_statistics import RunCounting, RunStatistics
from rota.ports.tenant_store import EventFilter
from rota.storage.memory.run_statistics import MemoryRunStatistics
from rota.storage.postgres.run_statistics import PostgresRunCounting, PostgresRunStatistics
from tests.contract.records import ACME, GLOBEX, new_id
from tests.contract.run_stores import RunStores, draft, retry, success
from tests.contract.stores import START
from tests.contract.test_firing_store import FENCE, advance, due_schedule, firing_draft, lead, the_due

AUDIT = AuditEntry("ada", "reconcile", "stats", "x", "req-3")
SCHEDULE = ScheduleId(new_id())
OF_SCHEDULE = draft(schedule_id=SCHEDULE)
NEXT_HOUR = START + timedelta(hours=1)


@dataclass(frozen=True)
class Statistics:
    """Both ports. `forget` empties them, as a version without statistics would have left them."""

    of_tenants: RunStatistics
    counting: RunCounting
    runs: RunStores
    forget: Callable[[], Awaitable[None]]

    async def all_hours(self, tenant_id: TenantId = ACME, schedule_id: ScheduleId | None = None) -> dict[int, RunSums]:
        """By hours after `START`."""
        hours = await self.of_tenants.hours(tenant_id, START - timedelta(days=1), schedule_id)
        assert [one.hour for one in hours] == sorted({one.hour for one in hours})
        return {int((one.hour - START).total_seconds()) // 3600: one.sums for one in hours}

    async def ever(self, tenant_id: TenantId = ACME) -> RunSums:
        return (await self.of_tenants.lifetime(tenant_id)).sums

    async def shown(self) -> object:
        """All that readers see."""
        tenants = [(await self.all_hours(each), await self.ever(each)) for each in (ACME, GLOBEX)]
        return tenants, await self.all_hours(schedule_id=SCHEDULE), await self.counting.platform_lifetime()

    async def add_all_up(self) -> int:
        taken = 0
        while added := await self.counting.add_up(2):
            taken += added
        return taken


@pytest.fixture
def statistics(backend: str, runs: RunStores, request: pytest.FixtureRequest) -> Statistics:
    if backend == "memory":
        database = request.getfixturevalue("memory_database")
        made = MemoryRunStatistics(database)

        async def clear() -> None:
            database.runs_state.ended.clear()

        return Statistics(made, made, runs, clear)
    owner_pool = request.getfixturevalue("owner_pool")

    async def delete() -> None:
        for table in ("run_deltas", "run_summaries", "run_totals"):
            await owner_pool.execute(f"DELETE FROM scheduler.{table}")

    api, service = request.getfixturevalue("api_pool"), request.getfixturevalue("service_pool")
    return Statistics(PostgresRunStatistics(api), PostgresRunCounting(service), runs, delete)


async def run_once(
    runs: RunStores, seconds: float, verb: str = "succeed", wait_seconds: float = 0.0, what: RunDraft | None = None
) -> None:
    """A run that waits and then takes so long, by the store's clock."""
    await runs.enqueue(what or draft())
    worker_id = await runs.worker(lease_seconds=10_000.0)
    await runs.base.clock.advance(wait_seconds)
    (claimed,) = await runs.claim(worker_id)
    await runs.base.clock.advance(seconds)
    outcome = {"succeed": "succeeded", "fail": "failed", "cancel": "cancelled"}[verb]
    await runs.claims.settle_batch([success(claimed, verb=verb, outcome=outcome)])


async def a_busy_time(runs: RunStores) -> None:
    """Of each ending one, in two hours and two tenants; with a schedule and without."""
    await run_once(runs, 2.0, what=OF_SCHEDULE)
    await run_once(runs, 40.0, "fail", wait_seconds=61.0)
    await run_once(runs, 0.0, "cancel", what=OF_SCHEDULE)
    (waiting,) = await runs.enqueue(draft())
    await runs.control.cancel_if_live(ACME, waiting, AuditEntry("ada", "cancel", "run", waiting))
    await runs.base.clock.set(NEXT_HOUR)
    await run_once(runs, 5.0, what=OF_SCHEDULE)
    await run_once(runs, 0.02, what=draft(tenant_id=GLOBEX))


EVER = add_all(
    [
        RunSums(succeeded_count=2, failed_count=1, cancelled_count=2, late_starts_count=1, waits_count=4),
        RunSums(wait_ms_sum=61_000, wait_ms_max=61_000, duration_ms_sum=47_000, duration_ms_max=40_000),
        RunSums(duration_counts=(1, 0, 0, 0, 0, 1, 1, 0, 1, *(0,) * 7)),
    ]
)


async def test_each_ending_is_in_its_hour_in_its_schedule_s_and_in_the_lifetime(statistics: Statistics) -> None:
    await a_busy_time(statistics.runs)
    of_tenant, of_schedule = await statistics.all_hours(), await statistics.all_hours(schedule_id=SCHEDULE)

    assert {hour: sums.ended_count for hour, sums in of_tenant.items()} == {0: 4, 1: 1}
    assert {hour: (sums.succeeded_count, sums.cancelled_count) for hour, sums in of_schedule.items()} == {
        0: (1, 1),
        1: (1, 0),
    }
    assert add_all(of_tenant.values()) == await statistics.ever() == EVER
    assert (await statistics.of_tenants.lifetime(ACME)).since == START
    assert await statistics.all_hours(schedule_id=ScheduleId("no uuid")) == {}
    assert (await statistics.of_tenants.hours(ACME, NEXT_HOUR + timedelta(minutes=59)))[0].sums == of_tenant[1]


async def test_adding_up_changes_nothing_that_is_seen_and_counts_each_delta_once(statistics: Statistics) -> None:
    await a_busy_time(statistics.runs)
    before = await statistics.shown()

    assert await statistics.add_all_up() == 6
    assert await statistics.counting.add_up(100) == 0
    assert await statistics.shown() == before

    await run_once(statistics.runs, 1.0)
    assert (await statistics.ever()).succeeded_count == 3
    await statistics.add_all_up()
    assert (await statistics.ever()).succeeded_count == 3
    assert add_all((await statistics.all_hours()).values()) == await statistics.ever()


async def test_each_tenant_sees_its_own_and_the_platform_sees_the_sum(statistics: Statistics) -> None:
    await a_busy_time(statistics.runs)
    for _ in range(2):
        mine, theirs = await statistics.ever(ACME), await statistics.ever(GLOBEX)
        assert (mine.ended_count, theirs.ended_count) == (5, 1)
        assert (await statistics.counting.platform_lifetime()).sums == add(mine, theirs)
        assert await statistics.all_hours(GLOBEX, SCHEDULE) == {}
        await statistics.add_all_up()


async def test_a_run_that_is_tried_again_is_counted_when_it_ends(statistics: Statistics) -> None:
    runs = statistics.runs
    worker_id, claimed = await runs.claim_one()
    await runs.claims.settle_batch([retry(claimed)])
    assert await statistics.ever() == RunSums()
    (again,) = await runs.claim(worker_id)
    await runs.claims.settle_batch([success(again)])
    counts = (1, *(0,) * 15)
    assert await statistics.ever() == RunSums(succeeded_count=1, duration_counts=counts)


async def test_what_a_firing_skips_or_cancels_is_counted_with_it(statistics: Statistics) -> None:
    runs = statistics.runs
    await lead(runs)
    made = await due_schedule(runs)
    due = await the_due(runs)
    times = [START - timedelta(hours=hours) for hours in (2, 1)]
    skipped = tuple(firing_draft(due, at, reason="skipped: 2 runs are live") for at in times)
    await runs.firing.apply(FENCE, [advance(due, skipped=skipped, next_fire_at=START)])
    again = firing_draft(due, START + timedelta(seconds=1))
    await runs.firing.apply(FENCE, [advance(await the_due(runs), runs=(again,), cancel_live=True)])

    for _ in range(2):
        (of_schedule,) = (await statistics.all_hours(schedule_id=made.id)).values()
        assert (of_schedule.skipped_count, of_schedule.cancelled_count, of_schedule.ended_count) == (2, 1, 3)
        assert await statistics.ever() == of_schedule
        await statistics.add_all_up()


async def test_nothing_ended_is_no_hours_and_a_lifetime_without_a_beginning(statistics: Statistics) -> None:
    await statistics.runs.enqueue(draft())
    assert await statistics.all_hours() == {}
    assert (await statistics.of_tenants.lifetime(ACME)).since is None
    assert await statistics.counting.add_up(10) == 0


async def test_what_the_statistics_lack_is_found_and_counted_once_with_an_audit_entry(statistics: Statistics) -> None:
    await a_busy_time(statistics.runs)
    since = START
    whole = await statistics.shown()
    in_order = await statistics.of_tenants.compare(ACME, since)
    assert in_order == (ComparedHour(START, 4, 0), ComparedHour(NEXT_HOUR, 1, 0))
    await statistics.add_all_up()
    assert await statistics.of_tenants.compare(ACME, since) == in_order
    await statistics.forget()
    drifted = (ComparedHour(START, 4, 4), ComparedHour(NEXT_HOUR, 1, 1))
    assert await statistics.of_tenants.compare(ACME, since) == drifted
    assert await statistics.ever() == RunSums()

    assert await statistics.of_tenants.reconcile(ACME, since, AUDIT) == drifted
    assert await statistics.of_tenants.reconcile(ACME, since, AUDIT) == in_order
    await statistics.of_tenants.reconcile(GLOBEX, since, AUDIT)

    assert await statistics.shown() == whole
    await statistics.add_all_up()
    assert await statistics.shown() == whole
    events = await statistics.runs.base.events.page(EventFilter(ACME, types=("StatisticsReconciled",)), PageRequest())
    assert [(one.tenant_id, one.actor, one.data["added_count"]) for one in events.items] == [(ACME, "ada", 5)]
    assert (await statistics.runs.base.audit.audit_of(ACME)).count(AUDIT) == 2


async def test_of_an_hour_that_is_counted_in_part_only_the_rest_is_added(statistics: Statistics) -> None:
    await run_once(statistics.runs, 1.0)
    await run_once(statistics.runs, 1.0, what=OF_SCHEDULE)
    await statistics.forget()
    await run_once(statistics.runs, 7.0, what=OF_SCHEDULE)
    await statistics.add_all_up()
    await run_once(statistics.runs, 9.0)

    added = await statistics.of_tenants.reconcile(ACME, START, AUDIT)

    assert added == (ComparedHour(START, 4, 2),)
    assert (await statistics.ever()).succeeded_count == 4
    assert (await statistics.all_hours(schedule_id=SCHEDULE))[0].succeeded_count == 2
    assert (await statistics.of_tenants.compare(ACME, START))[0].uncounted_count == 0
