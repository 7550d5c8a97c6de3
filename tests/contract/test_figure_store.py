"""The platform's figures over every backend."""

import pytest
from msgspec import structs

from rota.domain.figures import PlatformFigures
from rota.ports.figure_store import FigureStore
from rota.ports.run_statistics import RunCounting
from rota.storage.memory.figures import MemoryFigureStore
from rota.storage.memory.run_statistics import MemoryRunStatistics
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.figures import PostgresFigureStore
from rota.storage.postgres.query_files import query
from rota.storage.postgres.run_statistics import PostgresRunCounting
from tests.contract.records import GLOBEX
from tests.contract.run_stores import RunStores, draft, success
from tests.integration.plans.plans import PLAN_MODES, rows_read


@pytest.fixture
def figures(backend: str, runs: RunStores, request: pytest.FixtureRequest) -> FigureStore:
    del runs
    if backend == "memory":
        return MemoryFigureStore(request.getfixturevalue("memory_database"))
    return PostgresFigureStore(request.getfixturevalue("service_pool"))


@pytest.fixture
def counting(backend: str, runs: RunStores, request: pytest.FixtureRequest) -> RunCounting:
    del runs
    if backend == "memory":
        return MemoryRunStatistics(request.getfixturevalue("memory_database"))
    return PostgresRunCounting(request.getfixturevalue("service_pool"))


async def told(figures: FigureStore) -> PlatformFigures:
    """Without strays: the clock of the test stands where no partition is."""
    return structs.replace(await figures.platform_figures(), stray_partitions_count=0)


async def test_of_all_that_waits_the_longest_is_told(figures: FigureStore, runs: RunStores) -> None:
    assert await told(figures) == PlatformFigures()
    await runs.enqueue(draft(delay_seconds=3_600.0))
    assert (await figures.platform_figures()).waiting_seconds == 0
    await runs.enqueue(draft(queue="slow", delay_seconds=30.0))
    await runs.base.clock.advance(60)
    await runs.enqueue(draft(tenant_id=GLOBEX), draft(tenant_id=GLOBEX, priority=5))
    assert (await figures.platform_figures()).waiting_seconds == 30
    await runs.claim(await runs.worker(queues=("slow",)), queues=("slow",))
    await runs.base.clock.advance(7)
    assert (await figures.platform_figures()).waiting_seconds == 7
    await runs.claim(await runs.worker())
    assert (await figures.platform_figures()).waiting_seconds == 0


async def test_what_ended_is_told_when_it_is_added_up_and_until_then_how_long_ago_it_was(
    figures: FigureStore, counting: RunCounting, runs: RunStores
) -> None:
    _, first = await runs.claim_one()
    await runs.claims.settle_batch([success(first)])
    _, second = await runs.claim_one()
    await runs.claims.settle_batch([success(second, verb="fail", outcome="failed", reason="no")])
    await runs.base.clock.advance(20)
    assert await told(figures) == PlatformFigures(uncounted_seconds=20)
    await counting.add_up(10)
    assert await told(figures) == PlatformFigures(ended_count=2, failed_count=1)


LANES, CROWD = (
    12,
    """
INSERT INTO scheduler.live_runs (run_id, tenant_id, queue, priority, due_at, timeout_seconds, state)
SELECT gen_random_uuid(), 't' || n % 3, 'q' || n % 4, 0, now() - make_interval(secs => n), 60, 'queued'
  FROM generate_series(1, 20000) AS n
""",
)


@pytest.mark.both_engines
async def test_a_long_queue_is_not_read_for_it(service_pool: Pool, owner_pool: Pool) -> None:
    await owner_pool.execute(CROWD)
    await owner_pool.execute("ANALYZE scheduler.live_runs")
    for mode in PLAN_MODES:
        async with service_pool.acquire() as connection, connection.transaction():
            read = await rows_read(connection, mode, query("figures/read_figures"), 2_000)
        assert read <= LANES + 60, mode


async def test_a_record_of_a_day_without_a_partition_is_told(service_pool: Pool, owner_pool: Pool) -> None:
    store = PostgresFigureStore(service_pool)
    assert (await store.platform_figures()).stray_partitions_count == 0
    await owner_pool.execute(
        "INSERT INTO scheduler.events (id, at, type) VALUES (scheduler.uuid7_at('2001-01-01'), '2001-01-01', 'X')"
    )
    assert (await store.platform_figures()).stray_partitions_count == 1
