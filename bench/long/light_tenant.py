"""A tenant that enqueues a run now and then, behind a million waiting runs of another: how soon each one begins."""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from msgspec import structs

from bench.harness import counting
from bench.harness.contestants import ROTA
from bench.harness.database import Server, embedded_server
from bench.harness.draining import install
from bench.harness.rows import Extent, Row, measurement, row, say
from bench.harness.systems import SystemFailed, adapter_process
from bench.pickup import FIRST_LEFT_OUT, figures_of, latencies

BACKLOG = 1_000_000
SAMPLES = 200
PAUSE_SECONDS = 0.05
BEGIN_SECONDS_MAX = 300.0
LIGHT = structs.replace(ROTA, options={**ROTA.options, "one_tenant": "light"})
HEAVY = structs.replace(ROTA, options={**ROTA.options, "task": "noop_uncounted"})


async def measure(extent: Extent) -> Sequence[Row]:
    figures: list[tuple[float, float, float]] = []
    async with embedded_server() as server:
        template = await install(server, LIGHT)
        for number in range(extent.rounds):
            figures.append(figures_of(await _round(server, template, extent)))
            say(f"round {number + 1}: p50 {figures[-1][0]:.1f}, p99 {figures[-1][1]:.1f} ms, max {figures[-1][2]:.1f}")
    return [
        row(f"light_tenant_{name}", "ms", [found[place] for found in figures])
        for place, name in enumerate(("p50", "p99", "max"))
    ]


async def _round(server: Server, template: str, extent: Extent) -> list[float]:
    """Milliseconds from stored to begun. Raises SystemFailed where the backlog ended before the samples."""
    total = extent.count(SAMPLES, 20) + FIRST_LEFT_OUT
    async with AsyncExitStack() as stack:
        dsn = server.url_of(await stack.enter_async_context(server.fresh(template)))
        counts = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rota-counts-")))
        heavy = await stack.enter_async_context(adapter_process(HEAVY, dsn))
        light = await stack.enter_async_context(adapter_process(LIGHT, dsn))
        await light.order("unfinished_count")
        await heavy.order("enqueue", count=extent.count(BACKLOG, 100_000))
        worker = await stack.enter_async_context(adapter_process(LIGHT, dsn))
        await worker.order("work", counts=str(counts), samples=total)
        await worker.order("go")
        calls = await light.order("enqueue_slowly", count=total, pause_seconds=PAUSE_SECONDS)
        if not await light.order("unfinished_count"):
            raise SystemFailed("the backlog was gone before the last sample; it must be larger for this machine")
        deadline = time.monotonic() + BEGIN_SECONDS_MAX
        while counting.count_in(counts) < total:
            if time.monotonic() > deadline:
                raise SystemFailed(f"{counting.count_in(counts)} of {total} runs of the light tenant have begun")
            await asyncio.sleep(0.05)
        return latencies(calls, counting.beginnings_in(counts, total))[0]


if __name__ == "__main__":
    measurement(__doc__, measure)
