"""Keeping the embedded PostgreSQL running while `rota up` lives: when it dies, it is started again.

It decides when to look and how long to wait between starts. It never stops the server: the block that started it does.
Everything else waits for the database meanwhile, and goes on.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import structlog

from rota.domain.errors import RotaError
from rota.ports.clock import Clock
from rota.storage.postgres.embedded import EmbeddedPostgres, running_postgres
from rota.storage.postgres.postmaster import find_postmaster

LOOK_SECONDS = 0.5
RESTART_SECONDS_FIRST = 0.5
RESTART_SECONDS_MAX = 30.0
LIVED_LONG_SECONDS = 60.0
HOUR_SECONDS = 3_600.0

_log = structlog.get_logger("rota.up")


class DatabaseKeeper:
    """`run` goes on until it is cancelled."""

    def __init__(self, postgres: EmbeddedPostgres, clock: Clock) -> None:
        self._postgres = postgres
        self._clock = clock
        self._delay = 0.0
        self._started_at = clock.monotonic_seconds()

    async def run(self) -> None:
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            if not await asyncio.to_thread(self._is_running):
                await self._start_again()

    def _is_running(self) -> bool:
        return find_postmaster(self._postgres.server_dir) is not None

    async def _start_again(self) -> None:
        """The first start is tried at once, the next ones are further and further apart."""
        if self._clock.monotonic_seconds() - self._started_at > LIVED_LONG_SECONDS:
            self._delay = 0.0
        _log.warning("database_ended", restart_in_seconds=self._delay)
        await self._clock.sleep(self._delay)
        self._delay = min(max(2 * self._delay, RESTART_SECONDS_FIRST), RESTART_SECONDS_MAX)
        if not self._postgres.server_dir.exists():
            # Somebody took the data away. A new, empty database in its place would look like a loss of everything.
            _log.error("database_directory_gone", directory=str(self._postgres.server_dir))
            return
        try:
            await asyncio.to_thread(self._postgres.start)
        except RotaError as failed:
            _log.error("database_does_not_start", problem=failed.detail)
        except OSError as failed:
            _log.error("database_does_not_start", problem=str(failed))
        else:
            _log.warning("database_started_again")
        self._started_at = self._clock.monotonic_seconds()


@asynccontextmanager
async def kept_database(postgres: EmbeddedPostgres, clock: Clock) -> AsyncGenerator[str]:
    """The server, running and kept so for the length of the block, its logs pruned; gives the administrator's URL."""

    async def prune() -> None:
        while True:
            await clock.sleep(HOUR_SECONDS)
            await asyncio.to_thread(postgres.prune_logs)

    async with running_postgres(postgres) as url:
        duties = [asyncio.create_task(prune()), asyncio.create_task(DatabaseKeeper(postgres, clock).run())]
        try:
            yield url
        finally:
            for duty in duties:
                duty.cancel()
            await asyncio.gather(*duties, return_exceptions=True)


def end_at_once(postgres: EmbeddedPostgres) -> None:
    """Tells the server to end without ceremony, and does not wait; its next start recovers from the log."""
    running = find_postmaster(postgres.server_dir)
    if running is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(running.pid, signal.SIGQUIT)
