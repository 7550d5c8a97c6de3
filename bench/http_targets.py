"""HTTP targets: signed requests a second from one process to a server of its own on the loopback.

What is measured is what an executor does with an order: resolving and judging the address, a connection per request,
the signature, sending, judging the answer. The server is another process; both share the machine with whatever else
runs, so that the processor time per request stands beside the rate.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Sequence

from aiohttp import web

from bench.harness.rows import Extent, Row, measurement, row
from rota.worker.http_request import HttpOrder, Signing, send_request
from rota.worker.target_guard import TargetGuard

REQUESTS = 5_000
AT_ONCE = 32
BODY = {"report": "daily", "items": list(range(20))}
GUARD = TargetGuard.parse(("127.0.0.0/8",))


def serve(ready: "multiprocessing.Queue[int]") -> None:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text="fine")

    async def run() -> None:
        app = web.Application()
        app.router.add_post("/", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ready.put(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(run())


async def send(url: str, count: int) -> tuple[float, float]:
    """Requests a second, and milliseconds of this process's time per request."""
    numbers = iter(range(count))

    async def sender() -> None:
        for number in numbers:
            order = HttpOrder(url, "POST", {}, BODY, Signing((b"k" * 32,), f"run-{number}", 1_772_332_200))
            found = await send_request(order, GUARD, 30.0)
            assert isinstance(found, dict), found

    began, spent = time.perf_counter(), time.process_time()
    await asyncio.gather(*(sender() for _ in range(AT_ONCE)))
    return count / (time.perf_counter() - began), (time.process_time() - spent) / count * 1_000


async def measure(extent: Extent) -> Sequence[Row]:
    spawned = multiprocessing.get_context("spawn")
    ready = spawned.Queue()
    server = spawned.Process(target=serve, args=(ready,), daemon=True)
    server.start()
    try:
        url = f"http://127.0.0.1:{await asyncio.to_thread(ready.get, timeout=30)}/"
        await send(url, 200)
        taken = [await send(url, extent.count(REQUESTS)) for _ in range(extent.rounds)]
    finally:
        server.terminate()
    return [
        row("http_targets_sent", "requests/s", [rate for rate, _ in taken]),
        row("http_targets_processor_time", "ms/request", [spent for _, spent in taken]),
    ]


if __name__ == "__main__":
    measurement(__doc__, measure)
