"""How fast runs go through the store: enqueued in bulk, claimed and settled in batches, fired; beside raw SQL.

Durable: the embedded server as users get it, with fsync. The limit is plain SQL on the same server, its rows as wide as
ours and kept (one table, one partial index; no tokens, leases or attempts), measured turn by turn with ours.
"""

import argparse
import asyncio
import secrets
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from rota.core.firing import plan_firing
from rota.domain.ids import TenantId, WorkerId
from rota.domain.policies import RunPolicy
from rota.domain.run import RunDraft, Settlement
from rota.domain.targets import TaskTarget
from rota.domain.tenancy import AuditEntry
from rota.domain.worker import WorkerSpec
from rota.storage.postgres.connections import PoolOptions, open_pool
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.embedded import EmbeddedPostgres
from rota.storage.postgres.firing import PostgresFiringStore
from rota.storage.postgres.leases import PostgresLeaseStore
from rota.storage.postgres.logins import DatabaseOptions, Login, resolve_urls
from rota.storage.postgres.migrator import Migrator
from rota.storage.postgres.run_claims import PostgresRunClaims
from rota.storage.postgres.run_intake import PostgresRunIntake
from rota.storage.postgres.workers import PostgresWorkerStore

RUNS_COUNT = 20_000
ENQUEUE_BATCH = 5_000
ROUNDS = 3
SETTINGS = ((1, 100), (1, 500), (1, 1_000), (2, 500), (2, 1_000))
TRIGGERS_COUNT = 10_000
FIRE_BATCH = 1_000
TENANT = TenantId("bench")
AUDIT = AuditEntry("bench", "enqueue", "run", "")
LEASE_SECONDS = 3_600.0

RAW_TABLE = """
CREATE TABLE public.raw_jobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, state smallint NOT NULL DEFAULT 0, priority smallint NOT NULL,
    due_at timestamptz NOT NULL, started_at timestamptz, finished_at timestamptz, tenant_id text NOT NULL,
    queue text NOT NULL, target jsonb NOT NULL, policy jsonb NOT NULL, filler text NOT NULL)
"""
RAW_INDEX = "CREATE INDEX ON public.raw_jobs (queue, priority, id) WHERE state = 0"
RAW_INSERT = """
INSERT INTO public.raw_jobs (priority, due_at, tenant_id, queue, target, policy, filler)
SELECT 0, now(), 'bench', 'default', t, '{}', repeat('x', 60) FROM unnest($1::jsonb[]) AS u (t)
"""
RAW_CLAIM = """
UPDATE public.raw_jobs SET state = 1, started_at = now()
 WHERE id = ANY (ARRAY(SELECT id FROM public.raw_jobs WHERE state = 0 AND queue = 'default' ORDER BY priority, id
                        LIMIT $1 FOR UPDATE SKIP LOCKED))
RETURNING id, target, policy
"""
RAW_SETTLE = "UPDATE public.raw_jobs SET state = 2, finished_at = now() WHERE id = ANY ($1::bigint[])"
TRIGGERS_SQL = """
WITH made AS (
    INSERT INTO scheduler.schedules (id, tenant_id, name, enabled, target, policies, created_at, created_by, updated_at,
                                     updated_by)
    SELECT scheduler.uuid7_at(clock_timestamp()), $1, 'round ' || $3::text || ' schedule ' || n, true,
           '{"kind": "task", "task": "noop"}', '{}', now(), 'bench', now(), 'bench'
      FROM generate_series(1, $2::integer) AS n
    RETURNING id)
INSERT INTO scheduler.triggers (id, schedule_id, tenant_id, position, spec, anchor_at, next_fire_at)
SELECT scheduler.uuid7_at(clock_timestamp()), id, $1, 0, '{"kind": "interval", "every_seconds": 3600.0}', now(), now()
  FROM made
"""


class Bench(NamedTuple):
    """The pools of one database."""

    admin: Pool
    api: Pool
    service: Pool


def say(text: str) -> None:
    print(text, file=sys.stderr)


async def each(connections: int, work: Callable[[int], Awaitable[Any]]) -> None:
    await asyncio.gather(*(work(number) for number in range(connections)))


async def per_second(count: int, work: Callable[[], Awaitable[Any]]) -> float:
    start = time.perf_counter()
    await work()
    return count / (time.perf_counter() - start)


async def enqueue(bench: Bench, connections: int = 1) -> None:
    intake = PostgresRunIntake(bench.api)
    drafts = [RunDraft(TENANT, TaskTarget("noop", {"n": n}), RunPolicy()) for n in range(ENQUEUE_BATCH)]

    async def batches(_: int) -> None:
        for _ in range(RUNS_COUNT // ENQUEUE_BATCH // connections):
            await intake.enqueue(TENANT, drafts, AUDIT)

    await each(connections, batches)


async def raw_enqueue(bench: Bench, connections: int = 1) -> None:
    targets = [TaskTarget("noop", {"n": n}) for n in range(ENQUEUE_BATCH)]

    async def batches(_: int) -> None:
        for _ in range(RUNS_COUNT // ENQUEUE_BATCH // connections):
            await bench.admin.execute(RAW_INSERT, targets)

    await each(connections, batches)


async def drain(bench: Bench, worker_id: WorkerId, connections: int, batch: int) -> None:
    claims = PostgresRunClaims(bench.service)

    async def until_empty(_: int) -> None:
        while claimed := await claims.claim_batch(worker_id, ["default"], batch):
            await claims.settle_batch([Settlement(run.run_id, run.token, "succeed", "succeeded") for run in claimed])

    await each(connections, until_empty)


async def raw_drain(bench: Bench, connections: int, batch: int) -> None:
    async def until_empty(_: int) -> None:
        while rows := await bench.admin.fetch(RAW_CLAIM, batch):
            await bench.admin.execute(RAW_SETTLE, [row["id"] for row in rows])

    await each(connections, until_empty)


async def fire_all(bench: Bench) -> None:
    lease = await PostgresLeaseStore(bench.service).acquire_if_free("bench", uuid.uuid4().hex, LEASE_SECONDS)
    store = PostgresFiringStore(bench.service)
    while advances := plan_firing(await store.due_triggers(FIRE_BATCH)):
        await store.apply(lease.fence, advances)


async def wal_bytes(bench: Bench, work: Callable[[], Awaitable[Any]]) -> float:
    before = await bench.admin.fetchval("SELECT pg_current_wal_insert_lsn()")
    await work()
    return float(await bench.admin.fetchval("SELECT pg_current_wal_insert_lsn() - $1::pg_lsn", before))


async def measure(bench: Bench) -> dict[str, list[float]]:
    """The figures of all rounds by name. Ours and the limit's take turns."""
    found: dict[str, list[float]] = {}
    await bench.admin.execute(RAW_TABLE)
    await bench.admin.execute(RAW_INDEX)
    worker_id = WorkerId(str(uuid.uuid4()))
    spec = WorkerSpec(worker_id, "bench", ("default",), 1_000, (), "host", 1, "0")
    await PostgresWorkerStore(bench.service).register(spec, LEASE_SECONDS)
    await bench.admin.execute("INSERT INTO scheduler.tenants VALUES ($1, 'Bench', now(), 'bench')", TENANT)
    for number in range(ROUNDS):
        for connections, batch in SETTINGS:
            say(f"round {number + 1} of {ROUNDS}: {connections} connections, batches of {batch}")
            await round_of(bench, worker_id, connections, batch, found)
        await bench.admin.execute(TRIGGERS_SQL, TENANT, TRIGGERS_COUNT, str(number))
        start = time.perf_counter()
        await fire_all(bench)
        found.setdefault("fire 10k seconds", []).append(time.perf_counter() - start)
        await drain(bench, worker_id, 1, 1_000)
    return found


async def round_of(
    bench: Bench, worker_id: WorkerId, connections: int, batch: int, found: dict[str, list[float]]
) -> None:
    named = f"{connections} connections, batch {batch}"

    async def both() -> None:
        found.setdefault(f"enqueue, {connections} connections", []).append(
            await per_second(RUNS_COUNT, lambda: enqueue(bench, connections))
        )
        found.setdefault(f"drain, {named}", []).append(
            await per_second(RUNS_COUNT, lambda: drain(bench, worker_id, connections, batch))
        )

    found.setdefault(f"wal, {named}", []).append(await wal_bytes(bench, both) / RUNS_COUNT)
    found.setdefault(f"raw enqueue, {connections} connections", []).append(
        await per_second(RUNS_COUNT, lambda: raw_enqueue(bench, connections))
    )
    found.setdefault(f"raw drain, {named}", []).append(
        await per_second(RUNS_COUNT, lambda: raw_drain(bench, connections, batch))
    )


def rows_of(found: dict[str, list[float]]) -> list[dict[str, object]]:
    """The rows of `make bench`; a figure with a raw twin says its share of it."""
    rows: list[dict[str, object]] = []
    for name, runs in found.items():
        if name.startswith("raw "):
            continue
        value = statistics.median(runs)
        unit = "s" if name.endswith("seconds") else "B/run" if name.startswith("wal") else "runs/s"
        row: dict[str, object] = {"name": f"queue: {name}", "value": value, "unit": unit, "runs": runs}
        limit = found.get(f"raw {name}")
        if limit is not None:
            row |= {"ratio_to_limit": value / statistics.median(limit), "peers": {"raw SQL": statistics.median(limit)}}
        rows.append(row)
    return rows


async def run(admin_url: str) -> dict[str, list[float]]:
    urls = resolve_urls(DatabaseOptions(url=admin_url))
    await Migrator(urls, sleep=asyncio.sleep).migrate()
    assert urls.admin is not None
    options = PoolOptions(connections_min=2, connections_max=2)
    opened = [
        await open_pool(url, login, application_name="bench", sleep=asyncio.sleep, options=options)
        for url, login in ((urls.admin, Login.OWNER), (urls.api, Login.API), (urls.service, Login.SERVICE))
    ]
    try:
        return await measure(Bench(*opened))
    finally:
        for pool in opened:
            await pool.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the queue's store on an embedded server.")
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    as_json: bool = parser.parse_args().json
    with tempfile.TemporaryDirectory(prefix="rota-bench-") as directory:
        server = EmbeddedPostgres(Path(directory), new_secret=lambda: secrets.token_hex(16))
        try:
            rows = rows_of(asyncio.run(run(server.start())))
        finally:
            server.stop()
    if as_json:
        print(msgspec.json.encode(rows).decode())
        return
    for row in rows:
        print(f"{row['name']:45} {row['value']:>12,.3f} {row['unit']} {row.get('ratio_to_limit', '')}")


if __name__ == "__main__":
    main()
