"""awa-pg. Appends jobs to rings of partitions and completes them by appending receipts.

A ring's segment is truncated once all in it is done, so that a completed job's row goes within seconds. Acknowledges in
batches after the handlers; a job whose worker died is rescued by its heartbeat. At least once.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg
import awa
import uvloop

from bench.harness.counting import Counter
from bench.harness.serving import Gate, serve

ENQUEUE_BATCH = 5_000
QUEUE = "default"
# Its own `queue_stats` takes half a second with 20,000 jobs, which would be counted as work.
COMPLETED = """
SELECT (SELECT coalesce(sum(completed_count), 0) FROM awa.receipt_completion_batches)
     + (SELECT coalesce(sum(pruned_completed_count), 0) FROM awa.queue_terminal_rollups)
"""


@dataclass
class Noop:
    """The argument of a job: its number."""

    number: int


class Awa:
    """Options: `workers` handlers at a time, `batch` jobs a claim, by `claimers`, over `connections` connections."""

    async def open(self, dsn: str, options: Mapping[str, Any]) -> None:
        self._options = options
        self._enqueued_count = 0
        self._looks = await asyncpg.create_pool(dsn, min_size=0, max_size=1)
        # Its parser wants a host even where the socket's directory is given.
        self._client = awa.AsyncClient(dsn.replace("@/", "@localhost/"), options["connections"])

    async def install(self) -> None:
        await self._client.migrate()
        # Without this it works in its older, slower tables, and its bulk insertion is refused.
        await self._client.install_queue_storage()

    async def enqueue(self, count: int, /) -> None:
        starts = range(0, count, ENQUEUE_BATCH)
        await asyncio.gather(*(self._enqueue_batch(start, min(start + ENQUEUE_BATCH, count)) for start in starts))

    async def _enqueue_batch(self, start: int, end: int) -> None:
        await self._client.enqueue_many_copy([Noop(number) for number in range(start, end)], queue=QUEUE)
        self._enqueued_count += end - start

    async def enqueue_one(self, number: int) -> None:
        await self._client.insert(Noop(number), queue=QUEUE)
        self._enqueued_count += 1

    async def unfinished_count(self) -> int:
        return self._enqueued_count - int(await self._looks.fetchval(COMPLETED))

    async def work(self, counter: Counter, gate: Gate) -> None:
        @self._client.task(Noop, queue=QUEUE)
        async def noop(job: "awa.Job[Noop]") -> None:
            counter.ran(job.args.number)

        await gate.pass_when_open()
        queue = {
            "name": QUEUE,
            "max_workers": self._options["workers"],
            "claim_batch_size": self._options["batch"],
            "claimers": self._options["claimers"],
        }
        await self._client.start([queue], poll_interval_ms=self._options["poll_milliseconds"])
        await asyncio.Event().wait()

    async def close(self) -> None:
        self._looks.terminate()
        await self._client.close()


if __name__ == "__main__":
    serve(Awa(), uvloop.run)
