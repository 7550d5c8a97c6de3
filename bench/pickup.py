"""How soon an idle worker begins what was just stored: Rota and its peers in turns, jobs one by one.

`pickup` runs from the end of the call that stored the job, durably, to the first instruction of its handler;
`pickup_with_enqueue` from the beginning of that call. Rota's run enters as the API's service stores it, and its worker
is one as installed.
"""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import quantiles

from bench.harness import counting
from bench.harness.contestants import PROMPT_PEERS, PROMPT_ROTA
from bench.harness.database import Server, embedded_server
from bench.harness.draining import install
from bench.harness.rows import Extent, Row, measurement, row, say
from bench.harness.systems import System, SystemFailed, adapter_process, only_installed

SAMPLES = 200
FIRST_LEFT_OUT = 10
PAUSE_SECONDS = 0.025
LAST_SECONDS_MAX = 30.0
FIGURES = ("p50", "p99", "max")

Calls = Sequence[tuple[int, int]]
# Milliseconds of one round: from the end of the call, and from its beginning.
Found = dict[str, list[tuple[list[float], list[float]]]]


async def measure(extent: Extent) -> Sequence[Row]:
    found: Found = {}
    async with embedded_server() as server:
        systems = only_installed([one for one in (PROMPT_ROTA, *PROMPT_PEERS) if extent.wants(one.name)])
        templates = {one.name: await install(server, one) for one in systems}
        for number in range(extent.rounds):
            for system in systems:
                one = await _round(server, system, templates[system.name], extent.count(SAMPLES, 20))
                found.setdefault(system.name, []).append(one)
                p50, p99, most = figures_of(one[0])
                say(f"round {number + 1}: {system.name}: p50 {p50:.2f}, p99 {p99:.2f}, max {most:.2f} ms")
    return list(rows_of(found))


async def _round(server: Server, system: System, template: str, samples: int) -> tuple[list[float], list[float]]:
    total = samples + FIRST_LEFT_OUT
    async with AsyncExitStack() as stack:
        dsn = server.url_of(await stack.enter_async_context(server.fresh(template)))
        counts = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rota-counts-")))
        worker = await stack.enter_async_context(adapter_process(system, dsn))
        client = await stack.enter_async_context(adapter_process(system, dsn))
        await worker.order("work", counts=str(counts), samples=total)
        await worker.order("go")
        await client.order("unfinished_count")
        calls = await client.order("enqueue_slowly", count=total, pause_seconds=PAUSE_SECONDS)
        deadline = time.monotonic() + LAST_SECONDS_MAX
        while counting.count_in(counts) < total:
            if time.monotonic() > deadline:
                raise SystemFailed(f"{system.name}: {counting.count_in(counts)} of {total} handlers ran")
            await asyncio.sleep(0.05)
        return latencies(calls, counting.beginnings_in(counts, total))


def latencies(calls: Calls, began: Sequence[int]) -> tuple[list[float], list[float]]:
    """Milliseconds from each call's end, and from its beginning; those of the first calls are left out.

    A handler may begin before the client hears that its job is stored: then nothing was waited for.
    """
    pairs = list(zip(calls, began, strict=True))[FIRST_LEFT_OUT:]
    from_end = [max(0.0, (at - ended) / 1e6) for (_, ended), at in pairs]
    return from_end, [(at - started) / 1e6 for (started, _), at in pairs]


def figures_of(milliseconds: Sequence[float]) -> tuple[float, float, float]:
    """Median, p99, worst."""
    hundredths = quantiles(milliseconds, n=100, method="inclusive")
    return hundredths[49], hundredths[98], max(milliseconds)


def rows_of(found: Found) -> list[Row]:
    """A row per figure, with the peers'."""
    if PROMPT_ROTA.name not in found:
        return []
    rows: list[Row] = []
    for name, part in (("pickup", 0), ("pickup_with_enqueue", 1)):
        for place, figure in enumerate(FIGURES):
            columns = {system: [figures_of(one[part])[place] for one in rounds] for system, rounds in found.items()}
            ours = columns.pop(PROMPT_ROTA.name)
            rows.append(row(f"{name}_{figure}", "ms", ours, columns))
    return rows


if __name__ == "__main__":
    measurement(__doc__, measure)
