"""Drains: jobs enqueued in bulk, and worker processes that execute all of them.

The clock of a drain runs from the word "go" to workers that are connected until every handler ran and the system's own
tables show nothing unfinished.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from msgspec import Struct

from bench.harness import counting, processor_time
from bench.harness.database import Server, footprint, open_session
from bench.harness.systems import AdapterProcess, System, SystemFailed, adapter_process
from rota.storage.postgres.driver import Connection

DRAIN_SECONDS_MAX = 90.0
LOOK_SECONDS = 0.004


class Task(Struct, frozen=True):
    """What is drained, and by how many worker processes. `template` is a database in which the system is installed."""

    system: System
    template: str
    count: int
    processes: int = 1
    row_bytes: int = 0


class Timed(Struct, frozen=True):
    """One drain. `wal_bytes` counts from before the enqueuing on, processor time the drain alone."""

    enqueued_per_second: float
    executed_per_second: float
    database_us: float
    worker_us: float
    wal_bytes: float


class Drained(Struct, frozen=True):
    """A drain of a fresh database, with all that it cost from before the enqueuing to after the last end, per job."""

    timed: Timed
    commits: float
    dead_tuples: float
    row_bytes: float


class Crew:
    """A system's client and its workers on one database. Drains follow one another where its workers can be held."""

    def __init__(self, server: Server, system: System, client: AdapterProcess, workers: list[AdapterProcess]) -> None:
        self._server = server
        self._system = system
        self._client = client
        self._workers = workers
        self._counts = Path()
        self._executed_count = 0

    async def begin(self, counts: Path) -> None:
        """Connects everybody. Raises SystemFailed where there is work already."""
        self._counts = counts
        await asyncio.gather(*(one.order("work", counts=str(counts), samples=0) for one in self._workers))
        if await self._client.order("unfinished_count") != 0:
            raise SystemFailed(f"{self._system.name}: the database is not empty")

    async def drain(self, session: Connection, count: int) -> Timed:
        """Raises SystemFailed when a job is lost, or not finished in time."""
        if self._executed_count:
            await self._tell_workers("hold")
        before = await footprint(session)
        enqueue_seconds: float = await self._client.order("enqueue", count=count)
        stored = await footprint(session)
        await session.execute("VACUUM ANALYZE")
        ready = await footprint(session)
        database, workers = self._processor_us()
        seconds = await self._executed(count)
        database_after, workers_after = self._processor_us()
        done = await footprint(session)
        return Timed(
            enqueued_per_second=count / enqueue_seconds,
            executed_per_second=count / seconds,
            database_us=(database_after - database) / count,
            worker_us=(workers_after - workers) / count,
            wal_bytes=(done.wal_bytes - ready.wal_bytes + stored.wal_bytes - before.wal_bytes) / count,
        )

    async def _executed(self, count: int) -> float:
        """Seconds from the beginning until all is done."""
        began = time.monotonic()
        await self._tell_workers("go")
        deadline = time.monotonic() + DRAIN_SECONDS_MAX
        self._executed_count += count
        while counting.count_in(self._counts) < self._executed_count or await self._client.order("unfinished_count"):
            if time.monotonic() > deadline:
                ran = counting.count_in(self._counts)
                progress = f"{ran} of {self._executed_count} handlers ran after {DRAIN_SECONDS_MAX:.0f} s"
                raise SystemFailed(f"{self._system.name}: {progress}")
            await asyncio.sleep(LOOK_SECONDS)
        return time.monotonic() - began

    async def _tell_workers(self, order: str) -> None:
        await asyncio.gather(*(one.order(order) for one in self._workers))

    def _processor_us(self) -> tuple[float, float]:
        """Processor microseconds so far: of the database, of the workers."""
        workers = processor_time.of_trees(one.pid for one in self._workers)
        return 1e6 * processor_time.of_server(self._server.postmaster_pid), 1e6 * workers


async def install(server: Server, system: System) -> str:
    """A database to clone from, in which *system* is installed."""
    template = await server.create()
    async with adapter_process(system, server.url_of(template)) as client:
        await client.order("install")
    return template


@asynccontextmanager
async def crew(server: Server, task: Task, dsn: str) -> AsyncGenerator[Crew]:
    """Connected and idle."""
    async with AsyncExitStack() as stack:
        counts = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rota-counts-")))
        more = {"row_bytes": task.row_bytes} if task.row_bytes else {}
        members = [
            await stack.enter_async_context(adapter_process(task.system, dsn, **more))
            for _ in range(1 + task.processes)
        ]
        made = Crew(server, task.system, members[0], members[1:])
        await made.begin(counts)
        yield made


async def drain(server: Server, task: Task) -> Drained:
    """One drain of a fresh database."""
    async with server.fresh(task.template) as database, open_session(server.url_of(database)) as session:
        before = await footprint(session)
        async with crew(server, task, server.url_of(database)) as made:
            timed = await made.drain(session, task.count)
        # Sessions hand in their counts of rows and commits when they end: the crew is gone.
        after = await footprint(session)
        return Drained(
            timed,
            commits=(after.commits - before.commits) / task.count,
            dead_tuples=(after.dead_tuples - before.dead_tuples) / task.count,
            row_bytes=await _row_bytes(session, task),
        )


async def _row_bytes(session: Connection, task: Task) -> float:
    """How wide a finished row is where the system keeps them all; refuses a system that lost one."""
    if not task.system.finished_query:
        return 0.0
    row = await session.fetchrow(task.system.finished_query)
    assert row is not None
    if row[0] != task.count:
        raise SystemFailed(f"{task.system.name}: {row[0]} of {task.count} jobs are kept as finished")
    return float(row[1])
