"""The supervisor's line to its warden. It remembers what it said, so that a warden that died can be told again."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Literal, TypeAlias

import structlog

from rota.ports.clock import Clock

WATCHED: TypeAlias = Literal["p", "g"]
RESTART_SECONDS = 1.0

_log = structlog.get_logger("rota.worker.warden")
_PROGRAM = Path(__file__).with_name("warden.py")


class WardenLink:
    """`keep` runs for as long as the worker; the other verbs never wait."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._process: Process | None = None
        self._watched: set[tuple[WATCHED, int]] = set()
        self._trusted_until = float("inf")

    async def keep(self) -> None:
        """Start it, and start another whenever one ends. Being cancelled closes the pipe, which ends it."""
        try:
            while True:
                self._process = await self._start()
                exit_code = await self._process.wait()
                _log.warning("warden_ended", exit_code=exit_code)
                await self._clock.sleep(RESTART_SECONDS)
        finally:
            await self._close()

    def trust_until(self, instant: float) -> None:
        """By the port's monotonic clock, which is the machine's."""
        self._trusted_until = instant
        self._say(f"trust {instant!r}")

    def watch(self, kind: WATCHED, number: int) -> None:
        self._watched.add((kind, number))
        self._say(f"watch {kind} {number}")

    def forget(self, kind: WATCHED, number: int) -> None:
        self._watched.discard((kind, number))
        self._say(f"forget {kind} {number}")

    async def _start(self) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", str(_PROGRAM), stdin=PIPE, start_new_session=True
        )
        self._process = process
        for kind, number in self._watched:
            self._say(f"watch {kind} {number}")
        self._say(f"trust {self._trusted_until!r}")
        return process

    def _say(self, line: str) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            assert process.stdin is not None
            process.stdin.write(f"{line}\n".encode())

    async def _close(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()
