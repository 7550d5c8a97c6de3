"""The worker of `rota up`: a child process that is started again when it dies, and drained when `up` ends.

Database addresses go to it by environment, never on its command line, where every user of the machine could read them.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process

import structlog
from msgspec import Struct

from rota.domain.errors import DomainError, invalid_input
from rota.domain.problems import FieldProblem
from rota.ports.clock import Clock
from rota.storage.postgres.logins import DatabaseUrls

RESTART_SECONDS_FIRST = 0.5
RESTART_SECONDS_MAX = 15.0
LIVED_LONG_SECONDS = 30.0
EXIT_WRONG_INPUT = 2

_START = ("worker", "start", "--samples", "--stop-with-parent", "--name", "up")

_log = structlog.get_logger("rota.up")


def _unfit() -> DomainError:
    remedy = "mend what the worker names above, or start without --app"
    return invalid_input([FieldProblem("--app", "the worker cannot start with it", remedy)])


class ChildOptions(Struct, frozen=True):
    """What the child is told on its command line."""

    app: str | None
    slots: int
    allow_targets: tuple[str, ...]
    allow_exec_for: tuple[str, ...]
    public_url: str

    def arguments(self) -> list[str]:
        app = ["--app", self.app] if self.app else []
        targets = [part for target in self.allow_targets for part in ("--allow-target", target)]
        tenants = [part for tenant in self.allow_exec_for for part in ("--allow-exec-for", tenant)]
        return [*_START, "--slots", str(self.slots), "--public-url", self.public_url, *app, *targets, *tenants]


class WorkerChild:
    """`run` keeps a child alive until it is cancelled or `drain` was called and the child has ended."""

    def __init__(self, options: ChildOptions, urls: DatabaseUrls, clock: Clock) -> None:
        self._options = options
        self._urls = urls
        self._clock = clock
        self._process: Process | None = None
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Raises INVALID_INPUT where the very first child finds its options wrong: no restart would mend them."""
        delay, is_first = RESTART_SECONDS_FIRST, True
        while not self._is_stopping:
            started = self._clock.monotonic_seconds()
            self._process = await self._start()
            if self._is_stopping:  # it was told to, while there was nobody to tell
                self._send(signal.SIGTERM)
            code = await self._process.wait()
            if self._is_stopping:
                return
            if code == EXIT_WRONG_INPUT and is_first:
                raise _unfit()
            is_first = False
            lived = self._clock.monotonic_seconds() - started
            delay = RESTART_SECONDS_FIRST if lived > LIVED_LONG_SECONDS else min(2 * delay, RESTART_SECONDS_MAX)
            _log.warning("worker_ended", exit_code=code, restart_in_seconds=delay)
            await self._pause(delay)

    def drain(self) -> None:
        """Ask the child to finish what it holds and end."""
        self._stopping.set()
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._stopping.set()
        self._send(signal.SIGKILL)

    @property
    def _is_stopping(self) -> bool:
        return self._stopping.is_set()

    async def _pause(self, seconds: float) -> None:
        """Ends early when there is to be no next child."""
        parts = [asyncio.create_task(self._clock.sleep(seconds)), asyncio.create_task(self._stopping.wait())]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in parts:
                part.cancel()

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def _start(self) -> Process:
        # A session of its own: Ctrl-C in the terminal reaches `up` alone, which then drains the worker.
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "rota",
            *self._options.arguments(),
            stdin=asyncio.subprocess.PIPE,
            env=self._environment(),
            start_new_session=True,
        )

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ROTA_DATABASE_")}
        return {**inherited, "ROTA_DATABASE_SERVICE_URL": self._urls.service}
