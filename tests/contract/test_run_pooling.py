"""The stores of runs behind a pooler in transaction mode, which keeps no prepared statement and no session."""

import asyncio
from collections.abc import AsyncGenerator, Iterator

import pytest

from rota.domain.ids import WorkerId
from rota.domain.worker import WorkerSpec
from rota.storage.postgres.connections import PoolOptions, open_pool
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.firing import PostgresFiringStore
from rota.storage.postgres.logins import Login
from rota.storage.postgres.run_claims import PostgresRunClaims
from rota.storage.postgres.run_intake import PostgresRunIntake
from rota.storage.postgres.run_reading import PostgresRunReader
from rota.storage.postgres.workers import PostgresWorkerStore
from tests.contract.records import ACME, new_id
from tests.contract.run_stores import AUDIT, draft, success
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import ClonedDatabase
from tests.support.waiting import loop_sleep

POOLED = PoolOptions(pooled_by_transaction=True, connections_max=6)


@pytest.fixture
def pooled(database: ClonedDatabase) -> Iterator[ClonedDatabase]:
    pooler = PgBouncer(database)
    yield pooler.database
    pooler.close()


@pytest.fixture
async def pools(pooled: ClonedDatabase) -> AsyncGenerator[tuple[Pool, Pool]]:
    """The tenant's and the platform's, through the pooler."""
    api, service = [
        await open_pool(url, login, application_name="test", sleep=loop_sleep, options=POOLED)
        for url, login in ((pooled.urls.api, Login.API), (pooled.urls.service, Login.SERVICE))
    ]
    yield api, service
    await api.close()
    await service.close()


async def test_runs_are_executed_through_a_pooler(pools: tuple[Pool, Pool]) -> None:
    api, service = pools
    claims = PostgresRunClaims(service, pooled_by_transaction=True)
    workers = PostgresWorkerStore(service, pooled_by_transaction=True)
    spec = WorkerSpec(WorkerId(new_id()), "w", ("default",), 10, (), "host", 1, "0.1")
    await workers.register(spec, 60)
    made = await PostgresRunIntake(api).enqueue(ACME, [draft() for _ in range(60)], AUDIT)
    batches = await asyncio.gather(*(claims.claim_batch(spec.id, ["default"], 10) for _ in range(6)))
    held = await claims.list_held(spec.id, 100)
    settled = await asyncio.gather(*(claims.settle_batch([success(c) for c in batch]) for batch in batches))
    renewal = await workers.renew_if_live(spec.id, ["default"], 60)
    look = await PostgresFiringStore(service, pooled_by_transaction=True).look(5)

    assert sorted(c.run_id for batch in batches for c in batch) == sorted(answer.run_id for answer in made)
    assert {each.run_id for each in held} == {answer.run_id for answer in made}
    assert all(result.accepted for results in settled for result in results)
    assert renewal is not None
    assert not look.lost_workers
    assert await PostgresRunReader(api).count_by_state(ACME, 1) == {"succeeded": 60}
