"""An end that commits while a dependent is being enqueued, forced to the worst moment."""

import asyncio

from rota.domain.dependencies import Upstream
from rota.storage.postgres.connections import tenant_transaction
from rota.storage.postgres.driver import Pool
from tests.contract.records import ACME
from tests.contract.run_stores import draft, postgres_run_stores
from tests.contract.stores import Stores
from tests.support.waiting import wait_until

WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"


async def test_an_end_that_commits_between_the_look_and_the_lock_decides(
    stores: Stores, api_pool: Pool, service_pool: Pool, owner_pool: Pool
) -> None:
    runs = postgres_run_stores(stores, api_pool, service_pool)
    (upstream,) = await runs.enqueue(draft())

    async def waits() -> bool:
        return bool(await owner_pool.fetchval(WAITS))

    async with tenant_transaction(api_pool, ACME) as connection:
        await connection.execute(
            "UPDATE scheduler.runs SET state = 'cancelled', finished_at = created_at WHERE tenant_id = $1 AND id = $2",
            ACME,
            upstream,
        )
        await connection.execute("DELETE FROM scheduler.live_runs WHERE tenant_id = $1 AND run_id = $2", ACME, upstream)
        enqueuing = asyncio.create_task(runs.enqueue(draft(depends_on=(Upstream(run_id=upstream),))))
        await wait_until(waits, what="the enqueue to wait for the end")
    (run_id,) = await enqueuing

    assert (await runs.reader.get(ACME, run_id)).state == "skipped"
