"""pgqueuer. Deletes a finished job from its queue and adds a row to its log.

Acknowledges after the handlers through a buffer, when it is full or after about 0.1 s; a job whose worker died is taken
again when its heartbeat is stale. At least once.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import asyncpg
import uvloop
from pgqueuer.db import AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.qm import QueueManager
from pgqueuer.queries import Queries

from bench.harness.counting import Counter
from bench.harness.serving import Gate, serve

ENQUEUE_BATCH = 5_000


class PgQueuer:
    """Options: `batch` jobs are taken at once, over `connections` connections."""

    async def open(self, dsn: str, options: Mapping[str, Any]) -> None:
        self._options = options
        self._pool = await asyncpg.create_pool(dsn, min_size=2, max_size=options["connections"])
        self._queries = Queries(AsyncpgPoolDriver(self._pool))

    async def install(self) -> None:
        await self._queries.install()

    async def enqueue(self, count: int, /) -> None:
        starts = range(0, count, ENQUEUE_BATCH)
        await asyncio.gather(*(self._enqueue_batch(start, min(start + ENQUEUE_BATCH, count)) for start in starts))

    async def _enqueue_batch(self, start: int, end: int) -> None:
        payloads: list[bytes | None] = [str(number).encode() for number in range(start, end)]
        await self._queries.enqueue(["noop"] * len(payloads), payloads, [0] * len(payloads))

    async def enqueue_one(self, number: int) -> None:
        await self._queries.enqueue("noop", str(number).encode(), 0)

    async def unfinished_count(self) -> int:
        return await self._pool.fetchval("SELECT count(*) FROM pgqueuer")

    async def work(self, counter: Counter, gate: Gate) -> None:
        manager = QueueManager(self._queries)

        @manager.entrypoint("noop")
        async def noop(job: Job) -> None:
            counter.ran(int(job.payload or b"0"))

        await gate.pass_when_open()
        await manager.run(batch_size=self._options["batch"])

    async def close(self) -> None:
        self._pool.terminate()


if __name__ == "__main__":
    serve(PgQueuer(), uvloop.run)
