"""The systems that are measured, and the processes through which the harness drives them.

Rota and the raw limit run in the environment of this process; the peers in those that `make bench` makes for them.
"""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from bench.harness.rows import say

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "bench" / "peers"
ENVIRONMENTS = ROOT / ".bench-venv"
CLOSE_SECONDS_MAX = 20.0
ANSWER_BYTES_MAX = 1 << 24


class SystemFailed(Exception):
    """An adapter could not do what it was told; the message is its traceback."""


class System(Struct, frozen=True):
    """One contestant.

    `finished_query` counts the rows of completed jobs and says how wide they are; empty where none are kept.
    """

    name: str
    module: str
    environment: str = ""
    options: Mapping[str, Any] = {}
    finished_query: str = ""

    @property
    def python(self) -> Path:
        return ENVIRONMENTS / self.environment / "bin" / "python" if self.environment else Path(sys.executable)

    @property
    def is_installed(self) -> bool:
        return self.python.exists()


def only_installed(systems: Sequence[System]) -> list[System]:
    """Those whose environment is there; says which are left out."""
    for one in systems:
        if not one.is_installed:
            say(f"{one.name} is left out: its environment is missing; remedy: make .bench-venv/.made")
    return [one for one in systems if one.is_installed]


class AdapterProcess:
    """One process of a system. Orders are answered in turn."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._orders = process.stdin
        self._answers = process.stdout

    @property
    def pid(self) -> int:
        return self._process.pid

    async def order(self, verb: str, **given: object) -> Any:  # noqa: ANN401 - JSON, known to who asks
        self._orders.write(msgspec.json.encode({"verb": verb, **given}) + b"\n")
        line = await self._answers.readline()
        if not line:
            raise SystemFailed(f"the process ended at the order {verb!r}")
        answer = msgspec.json.decode(line)
        if "error" in answer:
            raise SystemFailed(answer["error"])
        return answer["value"]

    async def close(self) -> None:
        """Ends the process; kills it when it does not end in time."""
        self._orders.close()
        try:
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def python_path() -> str:
    """The repository first, so that `bench` is found from any environment; then what the caller has set."""
    return os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


@asynccontextmanager
async def adapter_process(system: System, dsn: str, **more_options: object) -> AsyncGenerator[AdapterProcess]:
    """A process of *system*, connected to the database *dsn*."""
    # Safe path: a script's own directory, is not searched.
    process = await asyncio.create_subprocess_exec(
        system.python,
        "-P",
        PEERS / f"{system.module}.py",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": python_path()},
        limit=ANSWER_BYTES_MAX,
    )
    adapter = AdapterProcess(process)
    try:
        await adapter.order("open", dsn=dsn, options={**system.options, **more_options})
        yield adapter
    finally:
        await adapter.close()
