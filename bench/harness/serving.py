"""The side of a measured system: answers the harness's orders, one JSON object a line, until its input ends.

Runs in the system's own environment, so it needs only the standard library. One process enqueues and looks; each worker
is a process of its own, which connects, says that it is ready, and begins at the order `go`.
"""

import asyncio
import json
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Protocol

from bench.harness.counting import Counter


class Gate:
    """Where a worker waits for the others. `ready` once connected, then `wait`.

    Who calls `obey_holds` can be stopped again before the next drain: its handler is awaited at each `hold`.
    """

    def __init__(self) -> None:
        self.is_ready = asyncio.Event()
        self._is_open = asyncio.Event()
        self._is_closed = asyncio.Event()
        self._on_hold: Callable[[], Awaitable[None]] | None = None

    async def pass_when_open(self) -> None:
        self.is_ready.set()
        await self._is_open.wait()

    async def pass_when_closed(self) -> None:
        await self._is_closed.wait()

    def obey_holds(self, on_hold: Callable[[], Awaitable[None]]) -> None:
        self._on_hold = on_hold

    async def hold(self) -> None:
        """Nothing is executed from here to the next opening. Raises RuntimeError for a system that cannot."""
        if self._on_hold is None:
            raise RuntimeError("this system drains once only")
        self._is_open.clear()
        await self._on_hold()
        self._is_closed.set()

    async def open(self) -> None:
        self._is_closed.clear()
        self._is_open.set()


class Adapter(Protocol):
    """A system as the harness sees it. `options` are its settings, the same for every process of a measurement."""

    async def open(self, dsn: str, options: Mapping[str, Any]) -> None: ...

    async def install(self) -> None:
        """Make what the system needs, in an empty database."""
        ...

    async def enqueue(self, count: int, /) -> None:
        """In bulk, as fast as one process can; all durable at the end."""
        ...

    async def enqueue_one(self, number: int) -> None:
        """One job, durable, whose handler is told *number*."""
        ...

    async def unfinished_count(self) -> int:
        """Jobs that are not durably completed."""
        ...

    async def work(self, counter: Counter, gate: Gate) -> None:
        """Connect, pass the gate, execute until cancelled. Each handler calls `counter.ran` with its number."""
        ...

    async def close(self) -> None: ...


class _Server:
    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._gate = Gate()
        self._working: asyncio.Task[None] | None = None

    async def answer(self, verb: str, given: Mapping[str, Any]) -> object:
        acts: dict[str, Callable[[], Awaitable[object]]] = {
            "open": lambda: self._adapter.open(given["dsn"], given["options"]),
            "install": self._adapter.install,
            "enqueue": lambda: self._enqueue(given["count"]),
            "enqueue_slowly": lambda: self._enqueue_slowly(given["count"], given["pause_seconds"]),
            "unfinished_count": self._adapter.unfinished_count,
            "work": lambda: self._work(Path(given["counts"]), given["samples"]),
            "go": self._gate.open,
            "hold": self._gate.hold,
        }
        return await acts[verb]()

    async def close(self) -> None:
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait([self._working], timeout=5.0)
        await self._adapter.close()

    async def _enqueue(self, count: int) -> float:
        began = time.perf_counter()
        await self._adapter.enqueue(count)
        return time.perf_counter() - began

    async def _enqueue_slowly(self, count: int, pause_seconds: float) -> list[tuple[int, int]]:
        """When each call began and ended, in nanoseconds of the monotonic clock."""
        calls: list[tuple[int, int]] = []
        for number in range(count):
            began = time.monotonic_ns()
            await self._adapter.enqueue_one(number)
            calls.append((began, time.monotonic_ns()))
            # The pauses differ, so that no poll keeps in step with them.
            await asyncio.sleep(pause_seconds * (0.75 + (number * 37 % 50) / 100))
        return calls

    async def _work(self, counts: Path, samples: int) -> None:
        working = asyncio.create_task(self._adapter.work(Counter(counts, samples), self._gate))
        self._working = working
        ready = asyncio.create_task(self._gate.is_ready.wait())
        await asyncio.wait([working, ready], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            raise RuntimeError("the worker ended before it was ready")


async def _serve(adapter: Adapter) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    server = _Server(adapter)
    # What a library prints must not be taken for an answer.
    answers, sys.stdout = sys.stdout, sys.stderr
    try:
        while line := await reader.readline():
            order = json.loads(line)
            try:
                answer = {"value": await server.answer(order.pop("verb"), order)}
            except Exception:
                answer = {"error": traceback.format_exc()}
            print(json.dumps(answer), file=answers, flush=True)
    finally:
        await server.close()


def serve(adapter: Adapter, run: Callable[[Coroutine[Any, Any, None]], None] = asyncio.run) -> None:
    """Until the harness closes the input. *run* is `asyncio.run`, or the same of another loop."""
    run(_serve(adapter))
