"""Throughput while a transaction elsewhere stays open for half an hour, beside that of a twin without one, in turns.

The open transaction keeps the dead rows of its own database alone from being removed, so the twin is on the same
server. The ratio is the median of the pairs of the last third, when the transaction has been open the longest.
"""

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

from bench.harness.contestants import ROTA
from bench.harness.database import Server, embedded_server, open_session
from bench.harness.draining import Task, crew, install
from bench.harness.rows import Extent, Row, measurement, ratio_of, row, say

HELD_SECONDS = 30 * 60.0
COUNT = 20_000
PAIRS_MIN = 3


async def measure(extent: Extent) -> Sequence[Row]:
    async with embedded_server() as server:
        held, free = await _pairs(server, extent)
    third = max(PAIRS_MIN, len(held) // 3)
    last_held, last_free = held[-third:], free[-third:]
    return [
        row("held_xmin", "runs/s", last_held, {"without": last_free}),
        row("held_xmin_ratio", "×", [ratio_of(last_held, last_free)]),
    ]


async def _pairs(server: Server, extent: Extent) -> tuple[list[float], list[float]]:
    """Speeds with and without, pair by pair."""
    template = await install(server, ROTA)
    count = extent.count(COUNT, 500)
    speeds: tuple[list[float], list[float]] = ([], [])
    async with AsyncExitStack() as stack:
        dsns = [server.url_of(await stack.enter_async_context(server.fresh(template))) for _ in speeds]
        holder, *sessions = [await stack.enter_async_context(open_session(dsn)) for dsn in (dsns[0], *dsns)]
        task = Task(ROTA, template, count)
        crews = [await stack.enter_async_context(crew(server, task, dsn)) for dsn in dsns]
        await stack.enter_async_context(holder.transaction(isolation="repeatable_read"))
        await holder.fetchval("SELECT count(*) FROM scheduler.live_runs")
        ends = time.monotonic() + extent.seconds(HELD_SECONDS)
        while time.monotonic() < ends or len(speeds[1]) < extent.count(PAIRS_MIN, 1):
            for made, session, found in zip(crews, sessions, speeds, strict=True):
                found.append((await made.drain(session, count)).executed_per_second)
            say(f"pair {len(speeds[1])}: {speeds[0][-1]:,.0f}/s held, {speeds[1][-1]:,.0f}/s free")
    return speeds


if __name__ == "__main__":
    measurement(__doc__, measure)
