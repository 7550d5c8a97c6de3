"""Throughput behind a pooler in transaction mode, beside that of the direct way, in turns on twin databases.

Behind the pooler no statement is prepared, and each message passes one more process; wake-ups and leases go past it.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from msgspec import structs

from bench.harness.contestants import ROTA
from bench.harness.database import Server, embedded_server, open_session
from bench.harness.draining import Task, crew, install
from bench.harness.pooler import pooled
from bench.harness.rows import Extent, Row, measurement, ratio_of, row, say

COUNT = 50_000


async def measure(extent: Extent) -> Sequence[Row]:
    async with embedded_server() as server:
        behind, direct = await _pairs(server, extent)
    return [
        row("pooled", "runs/s", behind, {"direct": direct}),
        row("pooled_ratio", "×", [ratio_of(behind, direct)]),
    ]


async def _pairs(server: Server, extent: Extent) -> tuple[list[float], list[float]]:
    template = await install(server, ROTA)
    count = extent.count(COUNT, 500)
    speeds: tuple[list[float], list[float]] = ([], [])
    async with AsyncExitStack() as stack:
        dsns = [server.url_of(await stack.enter_async_context(server.fresh(template))) for _ in speeds]
        behind = await stack.enter_async_context(pooled(dsns[0]))
        sessions = [await stack.enter_async_context(open_session(dsn)) for dsn in dsns]
        system = structs.replace(ROTA, options={**ROTA.options, "direct_dsn": dsns[0]})
        tasks = [(Task(system, template, count), behind), (Task(ROTA, template, count), dsns[1])]
        crews = [await stack.enter_async_context(crew(server, task, dsn)) for task, dsn in tasks]
        for number in range(extent.rounds):
            for made, session, found in zip(crews, sessions, speeds, strict=True):
                found.append((await made.drain(session, count)).executed_per_second)
            say(f"round {number + 1}: {speeds[0][-1]:,.0f}/s behind the pooler, {speeds[1][-1]:,.0f}/s directly")
    return speeds


if __name__ == "__main__":
    measurement(__doc__, measure)
