"""Runs enqueued through the API of a real `rota up`: lists of 10,000 by two clients at once, and one by one."""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import httpx
import msgspec

from bench.harness.rows import Extent, Row, measurement, row
from bench.harness.systems import SystemFailed
from rota.client.context import CONTEXT_FILE, ApiContext

LIST = 10_000
LISTS = 10
CLIENTS = 2
SINGLES = 500
ANSWER_SECONDS_MAX = 60.0
START_SECONDS_MAX = 60.0
# Nobody works on it.
QUEUE = "bench"
CREATED = 201


async def measure(extent: Extent) -> Sequence[Row]:
    async with running_rota() as context:
        headers = {"Authorization": f"Bearer {context.token}"}
        async with httpx.AsyncClient(base_url=context.url, headers=headers, timeout=ANSWER_SECONDS_MAX) as client:
            await post(client, made(100))
            lists = [await in_lists(client, extent.count(LIST), LISTS) for _ in range(extent.rounds)]
            singles = [await one_by_one(client, extent.count(SINGLES)) for _ in range(extent.rounds)]
    return [
        row("runs_enqueued_by_api_in_lists", "runs/s", lists),
        row("runs_enqueued_by_api_one_by_one", "runs/s", singles),
    ]


async def in_lists(client: httpx.AsyncClient, size: int, count: int) -> float:
    """Runs a second."""
    bodies = iter([made(size)] * count)

    async def send() -> None:
        for body in bodies:
            await post(client, body)

    began = time.perf_counter()
    await asyncio.gather(*(send() for _ in range(CLIENTS)))
    return size * count / (time.perf_counter() - began)


async def one_by_one(client: httpx.AsyncClient, count: int) -> float:
    """Runs a second of one client that waits for each answer."""
    (body,) = made(1)
    began = time.perf_counter()
    for _ in range(count):
        await post(client, body)
    return count / (time.perf_counter() - began)


def made(count: int) -> list[dict[str, object]]:
    return [{"task": "noop", "args": {"n": number}, "queue": QUEUE} for number in range(count)]


async def post(client: httpx.AsyncClient, body: object) -> None:
    answer = await client.post("/api/v1/runs", json=body)
    if answer.status_code != CREATED:
        raise SystemFailed(f"{answer.status_code}: {answer.text[:500]}")


@asynccontextmanager
async def running_rota() -> AsyncGenerator[ApiContext]:
    """A `rota up` of its own, once it answers; ended afterwards."""
    with tempfile.TemporaryDirectory(prefix="rota-bench-") as name, tempfile.TemporaryFile() as log:
        process = _started(name, log)
        try:
            yield await _answering(Path(name) / CONTEXT_FILE, process)
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait)


def _started(data_dir: str, log: IO[bytes]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "rota", "up", "--data-dir", data_dir, "--port", "0", "--no-sample"]
    return subprocess.Popen(command, stdout=log, stderr=log)


async def _answering(file: Path, process: "subprocess.Popen[bytes]") -> ApiContext:
    deadline = time.monotonic() + START_SECONDS_MAX
    while not await asyncio.to_thread(file.exists):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemFailed("rota up did not start")
        await asyncio.sleep(0.05)
    return msgspec.json.decode(await asyncio.to_thread(file.read_bytes), type=ApiContext)


if __name__ == "__main__":
    measurement(__doc__, measure)
