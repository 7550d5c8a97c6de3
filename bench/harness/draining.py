"""One measured drain: a fresh database, jobs enqueued in bulk, worker processes that execute all of them.

The clock of the drain runs from the word "go" to workers that are connected (for Rota: from the instant at which the
runs come due to workers that idle) until every handler ran and the system's own tables show nothing unfinished.
"""

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from msgspec import Struct

from bench.harness import counting, processor_time
from bench.harness.database import Footprint, Server, footprint, open_session
from bench.harness.systems import AdapterProcess, System, SystemFailed, adapter_process
from rota.storage.postgres.driver import Connection

DRAIN_SECONDS_MAX = 90.0
LOOK_SECONDS = 0.004
LEAD_SECONDS = 3.0
LEAD_JOBS_PER_SECOND = 25_000
LEAD_TRIES_MAX = 3


class Task(Struct, frozen=True):
    """What is drained, and by how many worker processes. `template` is a database in which the system is installed."""

    system: System
    template: str
    count: int
    processes: int = 1
    row_bytes: int = 0


class Drained(Struct, frozen=True):
    """The figures of one drain; those per job count from before the enqueuing to after the last end, or say so."""

    enqueued_per_second: float
    executed_per_second: float
    database_us: float
    worker_us: float
    wal_bytes: float
    commits: float
    dead_tuples: float
    row_bytes: float


class _TooLate(Exception):
    """The jobs came due before all were stored."""


async def install(server: Server, system: System) -> str:
    """A database to clone from, in which *system* is installed."""
    template = await server.create()
    async with adapter_process(system, server.url_of(template), **{"connections": 2} | dict(system.options)) as client:
        await client.order("install")
    return template


async def drain(server: Server, task: Task) -> Drained:
    """Raises SystemFailed when a job is lost, or not finished in time."""
    for attempt in range(LEAD_TRIES_MAX):
        try:
            return await _drain(server, task, LEAD_SECONDS * 2**attempt + task.count / LEAD_JOBS_PER_SECOND)
        except _TooLate:
            continue
    raise SystemFailed(f"{task.system.name}: the machine is too busy to store {task.count} jobs before they come due")


async def _drain(server: Server, task: Task, lead_seconds: float) -> Drained:
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(server.fresh(task.template))
        session = await stack.enter_async_context(open_session(server.url_of(database)))
        counts = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rota-counts-")))
        processes = await stack.enter_async_context(AsyncExitStack())
        dsn, system = server.url_of(database), task.system
        workers = [await processes.enter_async_context(adapter_process(system, dsn)) for _ in range(task.processes)]
        await asyncio.gather(*(one.order("work", counts=str(counts), samples=0) for one in workers))
        due_at = time.time() + lead_seconds
        more = {"due_at": due_at} if system.is_timed else {}
        more |= {"row_bytes": task.row_bytes} if task.row_bytes else {}
        client = await processes.enter_async_context(adapter_process(system, dsn, **more))
        if await client.order("unfinished_count") != 0:
            raise SystemFailed(f"{system.name}: the fresh database is not empty")
        return await _measured(_Scene(server, task, session, counts, workers, client, due_at, processes))


class _Scene(Struct, frozen=True):
    """Everything that is ready for one drain."""

    server: Server
    task: Task
    session: Connection
    counts: Path
    workers: list[AdapterProcess]
    client: AdapterProcess
    due_at: float
    processes: AsyncExitStack

    @property
    def wall_us(self) -> tuple[float, float]:
        """Processor microseconds so far: of the database, of the workers."""
        workers = processor_time.of_trees(one.pid for one in self.workers)
        return 1e6 * processor_time.of_server(self.server.postmaster_pid), 1e6 * workers


async def _measured(scene: _Scene) -> Drained:
    count, session = scene.task.count, scene.session
    before = await footprint(session)
    enqueue_seconds = await scene.client.order("enqueue", count=count)
    stored = await footprint(session)
    await session.execute("VACUUM ANALYZE")
    ready = await footprint(session)
    used = scene.wall_us
    seconds = await _executed(scene)
    used_after = scene.wall_us
    done = await footprint(session)
    # Sessions hand in their counts of rows and commits when they end.
    await scene.processes.aclose()
    settled = await footprint(session)
    return Drained(
        enqueued_per_second=count / enqueue_seconds,
        executed_per_second=count / seconds,
        database_us=(used_after[0] - used[0]) / count,
        worker_us=(used_after[1] - used[1]) / count,
        wal_bytes=(done.wal_bytes - ready.wal_bytes + stored.wal_bytes - before.wal_bytes) / count,
        commits=(settled.commits - before.commits) / count,
        dead_tuples=(settled.dead_tuples - before.dead_tuples) / count,
        row_bytes=await _row_bytes(scene),
    )


async def _executed(scene: _Scene) -> float:
    """Seconds from the beginning until all is done."""
    began = time.monotonic()
    if scene.task.system.is_timed:
        wait_seconds = scene.due_at - time.time()
        if wait_seconds < 0:
            raise _TooLate
        await asyncio.sleep(wait_seconds)
        began += wait_seconds
    else:
        await asyncio.gather(*(one.order("go") for one in scene.workers))
    deadline = began + DRAIN_SECONDS_MAX
    while counting.count_in(scene.counts) < scene.task.count or await scene.client.order("unfinished_count"):
        if time.monotonic() > deadline:
            raise SystemFailed(f"{scene.task.system.name}: {_progress(scene)} after {DRAIN_SECONDS_MAX:.0f} s")
        await asyncio.sleep(LOOK_SECONDS)
    return time.monotonic() - began


def _progress(scene: _Scene) -> str:
    return f"{counting.count_in(scene.counts)} of {scene.task.count} handlers ran"


async def _row_bytes(scene: _Scene) -> float:
    """How wide a finished row is where the system keeps them all; refuses a system that lost one."""
    query = scene.task.system.finished_query
    if not query:
        return 0.0
    row = await scene.session.fetchrow(query)
    assert row is not None
    if row[0] != scene.task.count:
        raise SystemFailed(f"{scene.task.system.name}: {row[0]} of {scene.task.count} jobs are kept as finished")
    return float(row[1])


__all__ = ["Drained", "Footprint", "Task", "drain", "install"]
