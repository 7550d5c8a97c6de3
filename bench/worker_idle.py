"""What an idle worker costs, as installed: its processes and its statements, with nothing to execute."""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import psutil

from bench.harness import processor_time
from bench.harness.contestants import ROTA_AS_INSTALLED
from bench.harness.database import Server, embedded_server, footprint, open_session
from bench.harness.draining import install
from bench.harness.rows import Extent, Row, measurement, row
from bench.harness.systems import adapter_process

IDLE_SECONDS = 8.0
SETTLE_SECONDS = 3.0
# The first look at the footprint; the second one counts only afterwards.
OWN_COMMITS = 1


async def measure(extent: Extent) -> Sequence[Row]:
    found: dict[str, list[float]] = {"cpu": [], "statements": [], "memory": []}
    async with embedded_server() as server:
        # Vacuuming commits, too, and is no statement of the worker's.
        await server.execute("ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()")
        template = await install(server, ROTA_AS_INSTALLED)
        for _ in range(extent.rounds):
            for name, value in zip(found, await _round(server, template, extent.seconds(IDLE_SECONDS)), strict=True):
                found[name].append(value)
    units = {"cpu": "%", "statements": "/s", "memory": "MB"}
    return [row(f"worker_idle_{name}", units[name], values) for name, values in found.items()]


async def _round(server: Server, template: str, seconds: float) -> tuple[float, float, float]:
    """Percent of a core, statements a second, megabytes of all its processes that no other process shares."""
    async with AsyncExitStack() as stack:
        dsn = server.url_of(await stack.enter_async_context(server.fresh(template)))
        counts = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rota-counts-")))
        session = await stack.enter_async_context(open_session(dsn))
        worker = await stack.enter_async_context(adapter_process(ROTA_AS_INSTALLED, dsn))
        await worker.order("work", counts=str(counts), samples=0)
        await worker.order("go")
        await asyncio.sleep(SETTLE_SECONDS)
        processes = [one for child in psutil.Process(worker.pid).children() for one in _tree(child)]
        before, used, began = await footprint(session), processor_time.of_processes(processes), time.monotonic()
        await asyncio.sleep(seconds)
        after, used_after, passed = (
            await footprint(session),
            processor_time.of_processes(processes),
            time.monotonic() - began,
        )
        memory = sum(one.memory_full_info().uss for one in processes) / 1e6
    statements = (after.commits - before.commits - OWN_COMMITS) / passed
    return 100 * (used_after - used) / passed, max(0.0, statements), memory


def _tree(root: psutil.Process) -> list[psutil.Process]:
    return [root, *root.children(recursive=True)]


if __name__ == "__main__":
    measurement(__doc__, measure)
