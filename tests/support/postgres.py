"""PostgreSQL servers for tests, and databases cloned from a migrated template.

One server per engine and test process, started when a test first asks for it. Engines: `pg18` is the embedded server,
`pg15` Debian's, the oldest that is promised. They write without fsync, since no test crashes the machine; a test that
crashes a server starts one of its own. A reaper process stops the server and removes its files when the test process
dies, however it dies.
"""

import asyncio
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec

from rota.storage.postgres.embedded import EmbeddedPostgres
from rota.storage.postgres.installation import Installation, embedded_installation
from rota.storage.postgres.logins import DatabaseOptions, DatabaseUrls, resolve_urls
from rota.storage.postgres.migrator import Migrator
from tests.support.waiting import loop_sleep

Result = TypeVar("Result")

ENGINES = ("pg18", "pg15")
DEBIAN_BIN_DIR = Path("/usr/lib/postgresql/15/bin")
ADMIN_PASSWORD = "only-for-tests"
TEMPLATE = "rota_template"

MEMORY_DIR = Path("/dev/shm")
MEMORY_BYTES_MIN = 4 * 1024**3

TEST_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum_naptime": "1min",
    "max_wal_size": "512MB",
}

_REAPER = """
import os, shutil, signal, sys
sys.stdin.read()
try:
    os.kill(int(open(os.path.join(sys.argv[1], "postgres", "postmaster.pid")).readline()), signal.SIGQUIT)
except (OSError, ValueError):
    pass
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""


class ClonedDatabase(msgspec.Struct, frozen=True):
    """One test's own database; `urls` has an entry per login."""

    name: str
    engine: str
    urls: DatabaseUrls

    @property
    def admin_url(self) -> str:
        """The superuser's, for what a test must do behind Rota's back."""
        assert self.urls.admin is not None
        return self.urls.admin


def installation_of(engine: str) -> Installation:
    """The programs of an engine; fails with the remedy when Debian's are missing."""
    if engine == "pg18":
        return embedded_installation()
    assert (DEBIAN_BIN_DIR / "postgres").exists(), "Debian's PostgreSQL 15 is missing; run `make deps`"
    return Installation(DEBIAN_BIN_DIR, 15)


class TestServer:
    """A running server with the template database; makes and drops clones of it."""

    __test__ = False

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self._root = Path(tempfile.mkdtemp(prefix=f"rota-{engine}-", dir=roomy_memory()))
        self._reaper = _start_reaper(self._root)
        self._server = EmbeddedPostgres(
            self._root,
            new_secret=lambda: ADMIN_PASSWORD,
            installation=installation_of(engine),
            settings=TEST_SETTINGS,
        )
        self._numbers = itertools.count(1)
        try:
            self._url = self._server.start()
            run_apart(self._make_template())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stops the server and removes its files."""
        self._server.stop()
        shutil.rmtree(self._root, ignore_errors=True)
        assert self._reaper.stdin is not None
        self._reaper.stdin.close()
        self._reaper.wait()

    async def clone(self, template: str = TEMPLATE) -> ClonedDatabase:
        """A new database like the template; `template1` gives an empty one."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        # A template hands down its content, not the rights that were granted on itself.
        await self._as_admin(
            f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY",
            f"GRANT CREATE, TEMPORARY ON DATABASE {name} TO rota_owner",
        )
        return self._described(name)

    async def drop(self, database: ClonedDatabase) -> None:
        await self._as_admin(f"DROP DATABASE IF EXISTS {database.name} WITH (FORCE)")

    async def _make_template(self) -> None:
        await self._as_admin(f"CREATE DATABASE {TEMPLATE} TEMPLATE template1")
        await Migrator(self._described(TEMPLATE).urls, sleep=loop_sleep).migrate()

    def _described(self, name: str) -> ClonedDatabase:
        url = urlunsplit(urlsplit(self._url)._replace(path=f"/{name}"))
        return ClonedDatabase(name, self.engine, resolve_urls(DatabaseOptions(url=url)))

    async def _as_admin(self, *statements: str) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()


def roomy_memory() -> Path | None:
    """The memory file system where it has room: a database is copied there in 10 ms instead of 200."""
    if not MEMORY_DIR.is_dir() or shutil.disk_usage(MEMORY_DIR).free < MEMORY_BYTES_MIN:
        return None
    return MEMORY_DIR


def run_apart(work: Coroutine[Any, Any, Result]) -> Result:
    """Runs *work* on a loop in a thread of its own, for fixtures that live longer than a test's loop."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(asyncio.run, work).result()


def _start_reaper(root: Path) -> "subprocess.Popen[bytes]":
    # Its standard input closes when this process is gone.
    command = [sys.executable, "-I", "-c", _REAPER, str(root)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, cwd="/")
