"""procrastinate. One statement takes a job and one ends it; set here to delete what succeeded, which is its fastest.

A job whose worker died stays `doing` until the user retries what is stalled: at least once only with that.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import procrastinate
import uvloop

from bench.harness.counting import Counter
from bench.harness.serving import Gate, serve

ENQUEUE_BATCH = 1_000


class Procrastinate:
    """Options: `concurrency` jobs at a time, over `connections` connections."""

    async def open(self, dsn: str, options: Mapping[str, Any]) -> None:
        self._options = options
        connector = procrastinate.PsycopgConnector(conninfo=dsn, min_size=2, max_size=options["connections"])
        self._app = procrastinate.App(connector=connector)
        self._counter: Counter | None = None
        self._noop = self._app.task(name="noop")(self._count)
        await self._app.open_async()

    async def _count(self, number: int) -> None:
        assert self._counter is not None
        self._counter.ran(number)

    async def install(self) -> None:
        await self._app.schema_manager.apply_schema_async()

    async def enqueue(self, count: int, /) -> None:
        starts = range(0, count, ENQUEUE_BATCH)
        await asyncio.gather(*(self._enqueue_batch(start, min(start + ENQUEUE_BATCH, count)) for start in starts))

    async def _enqueue_batch(self, start: int, end: int) -> None:
        await self._noop.batch_defer_async(*({"number": number} for number in range(start, end)))

    async def enqueue_one(self, number: int) -> None:
        await self._noop.defer_async(number=number)

    async def unfinished_count(self) -> int:
        rows = await self._app.connector.execute_query_all_async(
            "SELECT count(*) AS n FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
        )
        return rows[0]["n"]

    async def work(self, counter: Counter, gate: Gate) -> None:
        self._counter = counter
        await gate.pass_when_open()
        await self._app.run_worker_async(
            concurrency=self._options["concurrency"], delete_jobs="successful", install_signal_handlers=False
        )

    async def close(self) -> None:
        await self._app.close_async()


if __name__ == "__main__":
    logging.getLogger("procrastinate").setLevel(logging.ERROR)
    serve(Procrastinate(), uvloop.run)
