"""Real `rota server` processes over a database of their own, which a test may take away."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import asyncpg

from rota.storage.postgres.connections import ConnectRetry, open_connection
from rota.storage.postgres.driver import Connection
from rota.storage.postgres.embedded import EmbeddedPostgres
from rota.storage.postgres.logins import Login
from rota.storage.postgres.postmaster import find_postmaster
from tests.support.postgres import ADMIN_PASSWORD, TEST_SETTINGS
from tests.support.waiting import loop_sleep, wait_until

ROOT = Path(__file__).resolve().parents[3]
READY_SECONDS_MAX = 40.0
# What a session meets when its server goes away.
GONE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)

_HOLDER = "SELECT holder FROM scheduler.leases WHERE name = 'leader' AND expires_at > clock_timestamp()"


class OwnDatabase:
    """A server that is the test's alone. `restart` is hard: as after a crash of it."""

    def __init__(self, root: Path) -> None:
        # The server crashes, not the machine: what it has handed to the system is kept without fsync, but not before.
        settings = {**TEST_SETTINGS, "synchronous_commit": "on"}
        self._server = EmbeddedPostgres(root, new_secret=lambda: ADMIN_PASSWORD, settings=settings)
        self.url = ""

    async def start(self) -> None:
        self.url = await asyncio.to_thread(self._server.start)

    def crash(self) -> None:
        running = find_postmaster(self._server.server_dir)
        assert running is not None
        os.kill(running.pid, signal.SIGQUIT)

    async def restart(self) -> None:
        self.crash()
        await wait_until(lambda: find_postmaster(self._server.server_dir) is None, 20.0, "the database has ended")
        await self.start()

    async def close(self) -> None:
        await asyncio.to_thread(self._server.stop)

    async def admin(self) -> Connection:
        return await open_connection(
            self.url, Login.OWNER, application_name="test (admin)", sleep=loop_sleep, retry=ConnectRetry()
        )


class ServerProcess:
    """One `rota server`, on a port of its choice."""

    def __init__(self, name: str, database_url: str, directory: Path) -> None:
        self.name = name
        self._log = directory / f"{name}.log"
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rota", "server", "--port", "0"],
                cwd=ROOT,
                env={**_clean_environment(), "ROTA_DATABASE_URL": database_url},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    async def wait_ready(self) -> None:
        await wait_until(lambda: '"event":"ready"' in self.log, READY_SECONDS_MAX, f"{self.name} is ready")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        for number in (signal.SIGCONT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)
        self.process.wait()


async def leading_pid(database: OwnDatabase) -> int | None:
    """The process that holds the lease, as far as the database can tell now."""
    try:
        connection = await asyncpg.connect(database.url, timeout=5)
        holder = await connection.fetchval(_HOLDER)
        await connection.close()
    except GONE:
        return None
    found = None if holder is None else re.search(r":(\d+)", holder)
    return None if found is None else int(found[1])


def _clean_environment() -> Mapping[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("ROTA_", "COLUMNS"))}
