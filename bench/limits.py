"""What a limit in force, or a concurrency key, costs the store: claims and ends beside the same without, turn by turn.

No limit stops anybody here: what is measured is heeding it. Processor time of the server per run, one connection.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from bench.harness import processor_time
from bench.harness.database import Server, embedded_server
from bench.harness.rows import Extent, Row, measurement, row, say
from rota.domain.ids import TenantId, WorkerId
from rota.domain.policies import RunPolicy
from rota.domain.run import RunDraft, Settlement
from rota.domain.targets import TaskTarget
from rota.domain.tenancy import AuditEntry
from rota.domain.worker import WorkerSpec
from rota.storage.postgres.connections import PoolOptions, open_pool
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.logins import DatabaseOptions, Login, resolve_urls
from rota.storage.postgres.migrator import Migrator
from rota.storage.postgres.run_claims import PostgresRunClaims
from rota.storage.postgres.run_intake import PostgresRunIntake
from rota.storage.postgres.workers import PostgresWorkerStore

TENANT = TenantId("bench")
RUNS_COUNT = 16_000
BATCHES = (16, 500)
ENQUEUE_BATCH = 4_000
LIMITS = {
    "no limit": "DELETE FROM scheduler.limits",
    "queue limit": """
        INSERT INTO scheduler.limits (kind, name, concurrency_max, tokens_at, updated_at, updated_by)
        VALUES ('queue', 'default', 1000, now(), now(), 'bench')
    """,
    "tenant limit": """
        INSERT INTO scheduler.limits (kind, name, concurrency_max, tokens_at, updated_at, updated_by)
        VALUES ('tenant', 'bench', 1000, now(), now(), 'bench')
    """,
    "queue rate": """
        INSERT INTO scheduler.limits (kind, name, rate_per_second, burst, tokens, tokens_at, updated_at, updated_by)
        VALUES ('queue', 'default', 1000000, 1000000, 1000000, now(), now(), 'bench')
    """,
    "concurrency key": "DELETE FROM scheduler.limits",
}


async def measure(extent: Extent) -> Sequence[Row]:
    found: dict[tuple[str, int], list[float]] = {}
    count = extent.count(RUNS_COUNT, ENQUEUE_BATCH)
    async with embedded_server() as server, _pools(server) as (owner, api, service):
        worker_id = await _worker(owner, service)
        for number in range(extent.rounds):
            say(f"round {number + 1} of {extent.rounds}")
            for batch in BATCHES:
                for name, statement in LIMITS.items():
                    await owner.execute("DELETE FROM scheduler.limits")
                    await owner.execute(statement)
                    await _enqueue(api, count, batch if name == "concurrency key" else None)
                    await owner.execute("CHECKPOINT")
                    before = processor_time.of_server(server.postmaster_pid)
                    await _drain(service, worker_id, batch, count)
                    used = processor_time.of_server(server.postmaster_pid) - before
                    found.setdefault((name, batch), []).append(used / count * 1e6)
    without = {batch: found["no limit", batch] for batch in BATCHES}
    return [
        row(f"limits: {name}, batches of {batch}", "us/run", used, {"no limit": without[batch]})
        for (name, batch), used in found.items()
    ]


@asynccontextmanager
async def _pools(server: Server) -> AsyncGenerator[tuple[Pool, Pool, Pool]]:
    urls = resolve_urls(DatabaseOptions(url=server.url_of(await server.create())))
    await Migrator(urls, sleep=asyncio.sleep).migrate()
    assert urls.admin is not None
    options = PoolOptions(connections_min=1, connections_max=1)
    opened = [
        await open_pool(url, login, application_name="bench", sleep=asyncio.sleep, options=options)
        for url, login in ((urls.admin, Login.OWNER), (urls.api, Login.API), (urls.service, Login.SERVICE))
    ]
    try:
        yield opened[0], opened[1], opened[2]
    finally:
        for pool in opened:
            await pool.close()


async def _worker(owner: Pool, service: Pool) -> WorkerId:
    await owner.execute("INSERT INTO scheduler.tenants VALUES ($1, 'Bench', now(), 'bench')", TENANT)
    worker_id = WorkerId(str(uuid.uuid4()))
    spec = WorkerSpec(worker_id, "bench", ("default",), 1_000, (), "host", 1, "0")
    await PostgresWorkerStore(service).register(spec, 3_600.0)
    return worker_id


async def _enqueue(api: Pool, count: int, places: int | None) -> None:
    policy = RunPolicy() if places is None else RunPolicy(concurrency_key="bench", concurrency_max=places)
    drafts = [RunDraft(TENANT, TaskTarget("noop"), policy)] * ENQUEUE_BATCH
    for _ in range(count // ENQUEUE_BATCH):
        await PostgresRunIntake(api).enqueue(TENANT, drafts, AuditEntry("bench", "enqueue", "run", ""))


async def _drain(service: Pool, worker_id: WorkerId, batch: int, count: int) -> None:
    claims, left = PostgresRunClaims(service), count
    while left:
        claimed = await claims.claim_batch(worker_id, ["default"], batch)
        await claims.settle_batch([Settlement(run.run_id, run.token, "succeed", "succeeded") for run in claimed])
        left -= len(claimed)


if __name__ == "__main__":
    measurement(__doc__, measure)
