"""What crashes, late commits, purges and later changes of records do to the statistics: nothing."""

import asyncio

import pytest

from rota.domain.ids import TenantId
from rota.domain.policies import RunPolicy
from rota.domain.run import RunDraft
from rota.domain.targets import TaskTarget
from rota.domain.tenancy import AuditEntry
from rota.storage.postgres.connections import tenant_transaction
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.partitions import PostgresPartitions
from rota.storage.postgres.query_files import query
from rota.storage.postgres.retention import PostgresRetentionStore
from rota.storage.postgres.run_control import PostgresRunControl
from rota.storage.postgres.run_intake import PostgresRunIntake
from rota.storage.postgres.run_statistics import PostgresRunCounting, PostgresRunStatistics
from tests.support.settable_clock import SettableClock
from tests.support.waiting import wait_until

ACME = TenantId("acme")
AUDIT = AuditEntry("ada", "test", "run", "")
MERGE = query("run_statistics/merge_deltas")
LOCK = query("run_statistics/lock_reconciling")
NOTE = query("run_statistics/note_uncounted")


class House:
    """Runs of one tenant that end by being cancelled, and what is counted of them."""

    def __init__(self, api_pool: Pool, service_pool: Pool) -> None:
        self.intake = PostgresRunIntake(api_pool)
        self.control = PostgresRunControl(api_pool)
        self.statistics = PostgresRunStatistics(api_pool)
        self.counting = PostgresRunCounting(service_pool)

    async def end(self, count: int) -> None:
        drafts = [RunDraft(ACME, TaskTarget("report"), RunPolicy())] * count
        for made in await self.intake.enqueue(ACME, drafts, AUDIT):
            await self.control.cancel_if_live(ACME, made.run_id, AUDIT)

    async def cancelled_ever(self) -> int:
        return (await self.statistics.lifetime(ACME)).sums.cancelled_count


@pytest.fixture
async def house(owner_pool: Pool, api_pool: Pool, service_pool: Pool) -> House:
    await owner_pool.execute("INSERT INTO scheduler.tenants (id, name, created_by) VALUES ('acme', 'acme', 'test')")
    return House(api_pool, service_pool)


async def merged(owner_pool: Pool) -> int:
    return await owner_pool.fetchval("SELECT coalesce(sum(cancelled_count), 0)::integer FROM scheduler.run_totals")


async def test_a_leader_that_dies_before_its_commit_has_counted_nothing_and_lost_nothing(
    house: House, owner_pool: Pool, service_pool: Pool, admin_connection: Connection
) -> None:
    await house.end(3)
    async with service_pool.acquire() as doomed:
        pid = await doomed.fetchval("SELECT pg_backend_pid()")
        await doomed.execute("BEGIN")
        assert await doomed.fetchval(MERGE, 10) == 3
        # Another leader meanwhile takes none of them, and does not wait.
        assert await house.counting.add_up(10) == 0
        await admin_connection.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)
    assert await house.cancelled_ever() == 3
    assert await house.counting.add_up(10) == 3
    assert (await house.cancelled_ever(), await merged(owner_pool)) == (3, 3)


async def test_what_commits_late_is_counted_then(house: House, owner_pool: Pool, api_pool: Pool) -> None:
    (made,) = await house.intake.enqueue(ACME, [RunDraft(ACME, TaskTarget("report"), RunPolicy())], AUDIT)
    async with owner_pool.acquire() as slow, slow.transaction():
        await slow.execute(
            "UPDATE scheduler.runs SET state = 'cancelled', finished_at = scheduler.current_time() WHERE id = $1",
            made.run_id,
        )
        await house.end(2)
        assert await house.counting.add_up(10) == 2
    assert await house.cancelled_ever() == 3
    await house.counting.add_up(10)
    assert await merged(owner_pool) == 3


async def test_a_record_that_is_changed_after_its_end_is_not_counted_again(house: House, owner_pool: Pool) -> None:
    await house.end(2)
    await owner_pool.execute("UPDATE scheduler.runs SET dead_lettered = NOT dead_lettered")
    await owner_pool.execute("UPDATE scheduler.runs SET reason = 'looked at'")
    assert await house.cancelled_ever() == 2


async def test_many_leaders_and_runs_at_once_count_each_run_once(house: House, owner_pool: Pool) -> None:
    async def count() -> None:
        for _ in range(6):
            await house.counting.add_up(3)

    await asyncio.gather(*(house.end(5) for _ in range(6)), *(count() for _ in range(3)))
    assert await house.cancelled_ever() == 30
    while await house.counting.add_up(100):
        pass
    hours = "SELECT sum(cancelled_count)::integer FROM scheduler.run_summaries WHERE schedule_id IS NULL"
    assert (await merged(owner_pool), await owner_pool.fetchval(hours)) == (30, 30)


async def test_reconciling_at_once_adds_what_is_missing_once(
    house: House, owner_pool: Pool, api_pool: Pool, admin_connection: Connection
) -> None:
    await house.end(4)
    await owner_pool.execute("DELETE FROM scheduler.run_deltas")
    since = await owner_pool.fetchval("SELECT date_trunc('hour', scheduler.current_time() - interval '1 hour')")

    async def waits() -> bool:
        return second.done() or bool(
            await admin_connection.fetchval(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND database ="
                " (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        )

    async with tenant_transaction(api_pool, ACME) as first:
        await first.execute(LOCK, ACME)
        assert sum(row["uncounted_count"] for row in await first.fetch(NOTE, ACME, since)) == 4
        second = asyncio.create_task(house.statistics.reconcile(ACME, since, AUDIT))
        await wait_until(waits, what="the second to wait or to end")
    assert sum(one.uncounted_count for one in await second) == 0
    assert await house.cancelled_ever() == 4


async def test_a_purge_of_events_records_and_hours_leaves_the_lifetime_as_it_was(
    house: House, owner_pool: Pool, service_pool: Pool, test_clock: SettableClock
) -> None:
    await PostgresPartitions(service_pool).ensure_ahead()
    day = (await test_clock.now()).date()
    await house.end(3)
    await house.counting.add_up(10)
    retention = PostgresRetentionStore(service_pool)
    await test_clock.advance(86_400 * 500)
    kinds = [one.kind for one in await retention.days_until(await test_clock.now()) if one.day == day]
    assert {await retention.drop_if_aged(kind, day, AUDIT) for kind in kinds} == {"dropped"}
    assert {"runs", "events", "run_summaries"} <= set(kinds)
    for table in ("runs", "run_summaries"):
        assert await owner_pool.fetchval(f"SELECT count(*) FROM scheduler.{table}") == 0

    assert await house.cancelled_ever() == 3
    since = await test_clock.now()
    await house.statistics.reconcile(ACME, since, AUDIT)
    assert await house.cancelled_ever() == 3
    await house.end(1)
    await house.counting.add_up(10)
    assert (await house.cancelled_ever(), await merged(owner_pool)) == (4, 4)
