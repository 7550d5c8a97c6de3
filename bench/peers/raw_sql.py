"""The limit: plain SQL that claims and completes batches of rows as wide as Rota's finished ones, and keeps them.

It counts its rows by the batch and calls nothing. No tokens, leases, limits, retries or tenants: what remains when
everything that Rota promises is left out, on the same server with the same durability.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import asyncpg
import uvloop

from bench.harness.counting import Counter
from bench.harness.serving import Gate, serve

ENQUEUE_BATCH = 5_000
COPIERS = 2

TABLE = """
CREATE TABLE raw_jobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, due_at timestamptz NOT NULL, started_at timestamptz,
    finished_at timestamptz, priority smallint NOT NULL, state smallint NOT NULL DEFAULT 0, tenant_id text NOT NULL,
    queue text NOT NULL, target jsonb NOT NULL, policy jsonb NOT NULL, filler text NOT NULL) WITH (fillfactor = 50)
"""
INDEX = "CREATE INDEX ON raw_jobs (queue, priority, id) WHERE state = 0"
COLUMNS = "due_at, priority, tenant_id, queue, target, policy, filler"
POLICY = '{"timeout_seconds": 3600.0}'
WIDTH = """
SELECT pg_column_size(r) FROM (
    SELECT 1::bigint, now(), now(), now(), 0::smallint, 2::smallint, 'bench'::text, 'default'::text,
           '{"kind": "task", "task": "noop", "args": {"n": 12345}}'::jsonb, $1::jsonb, ''::text) AS r
"""
CLAIM = """
UPDATE raw_jobs SET state = 1, started_at = clock_timestamp()
 WHERE id = ANY (ARRAY(SELECT id FROM raw_jobs WHERE state = 0 AND queue = 'default' ORDER BY priority, id
                        LIMIT $1 FOR UPDATE SKIP LOCKED))
RETURNING id, target, policy
"""
SETTLE = "UPDATE raw_jobs SET state = 2, finished_at = clock_timestamp() WHERE id = ANY ($1::bigint[])"


class Raw:
    """Options: `batch` rows a statement, over `connections` connections; finished rows are `row_bytes` wide."""

    async def open(self, dsn: str, options: Mapping[str, Any]) -> None:
        self._options = options
        self._pool = await asyncpg.create_pool(dsn, min_size=COPIERS, max_size=max(COPIERS, options["connections"]))

    async def install(self) -> None:
        await self._pool.execute(TABLE)
        await self._pool.execute(INDEX)

    async def enqueue(self, count: int, /) -> None:
        width: int = await self._pool.fetchval(WIDTH, POLICY)
        filler = "x" * max(0, self._options["row_bytes"] - width)
        starts = iter(range(0, count, ENQUEUE_BATCH))

        async def copy_batches() -> None:
            for start in starts:
                await self._copy(start, min(start + ENQUEUE_BATCH, count), filler)

        await asyncio.gather(*(copy_batches() for _ in range(COPIERS)))

    async def _copy(self, start: int, end: int, filler: str) -> None:
        async with self._pool.acquire() as connection:
            now = await connection.fetchval("SELECT now()::text")
            ahead = f'{now}\t0\tbench\tdefault\t{{"kind": "task", "task": "noop", "args": {{"n": '
            after = f"}}}}\t{POLICY}\t{filler}\n"
            rows = "".join([f"{ahead}{number}{after}" for number in range(start, end)])
            await connection.copy_to_table("raw_jobs", source=_once(rows.encode()), columns=COLUMNS.split(", "))

    async def enqueue_one(self, number: int) -> None:
        await self._pool.execute(
            f"INSERT INTO raw_jobs ({COLUMNS}) VALUES (now(), 0, 'bench', 'default', $1, $2, '')",  # noqa: S608
            f'{{"args": {{"n": {number}}}}}',
            POLICY,
        )

    async def unfinished_count(self) -> int:
        return await self._pool.fetchval("SELECT count(*) FROM raw_jobs WHERE state <> 2")

    async def work(self, counter: Counter, gate: Gate) -> None:
        await gate.pass_when_open()
        await asyncio.gather(*(self._drain(counter) for _ in range(self._options["connections"])))

    async def _drain(self, counter: Counter) -> None:
        async with self._pool.acquire() as connection:
            while rows := await connection.fetch(CLAIM, self._options["batch"]):
                await connection.execute(SETTLE, [row["id"] for row in rows])
                for row in rows:
                    counter.ran(row["id"])

    async def close(self) -> None:
        self._pool.terminate()


async def _once(data: bytes) -> Any:  # noqa: ANN401 - an asynchronous generator, which asyncpg takes
    yield data


if __name__ == "__main__":
    serve(Raw(), uvloop.run)
