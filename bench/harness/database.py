"""One real PostgreSQL server, durable as users get it, and a fresh database for each measurement."""

import itertools
import secrets
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from msgspec import Struct

from rota.storage.postgres.driver import DRIVER, Connection
from rota.storage.postgres.embedded import EmbeddedPostgres, running_postgres

CONNECT_SECONDS_MAX = 10.0
CRASHED = "was terminated by signal"
CRASH_CHARACTERS_SHOWN = 1_000
# The embedded server's own, which `make bench` must not soften.
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


class ServerCrashed(Exception):
    """A process of the server died; the message is what its log says of it."""


class Footprint(Struct, frozen=True):
    """What a database has cost so far; the difference of two is what some work cost."""

    wal_bytes: float
    commits: float
    dead_tuples: float
    updates_hot: float


class Server:
    """A running server. Databases of it are cloned from templates, so that each measurement meets a fresh one."""

    def __init__(self, url: str, directory: Path) -> None:
        self._url = url
        self._names = itertools.count(1)
        self._directory = directory

    @property
    def postmaster_pid(self) -> int:
        pid_file = self._directory / "postgres" / "postmaster.pid"
        return int(pid_file.read_text(encoding="ascii").split("\n", 1)[0])

    def url_of(self, database: str) -> str:
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{database}"))

    async def create(self, template: str = "template1") -> str:
        """A new database's name. Copying files flushes what earlier measurements left unwritten."""
        name = f"bench_{next(self._names)}"
        await self.execute(
            f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY",
            f"DO $$ BEGIN IF to_regrole('rota_owner') IS NOT NULL THEN"
            f" GRANT CREATE, TEMPORARY ON DATABASE {name} TO rota_owner; END IF; END $$",
        )
        return name

    async def drop(self, database: str) -> None:
        await self.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    async def execute(self, *statements: str) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    @asynccontextmanager
    async def fresh(self, template: str = "template1") -> AsyncGenerator[str]:
        """The name of a database for the length of the block."""
        database = await self.create(template)
        try:
            yield database
        finally:
            await self.drop(database)


@asynccontextmanager
async def embedded_server() -> AsyncGenerator[Server]:
    """A server on this machine's disk. Refuses one that is not durable."""
    with tempfile.TemporaryDirectory(prefix="rota-bench-") as name:
        postgres = EmbeddedPostgres(Path(name), new_secret=lambda: secrets.token_hex(16))
        async with running_postgres(postgres) as url:
            async with open_session(url) as session:
                found = {setting: await session.fetchval(f"SHOW {setting}") for setting in DURABLE}
            if found != DURABLE:
                raise AssertionError(f"the server is not durable: {found}")
            try:
                yield Server(url, Path(name))
            finally:
                _refuse_crashes(postgres.log_dir)


def _refuse_crashes(log_dir: Path) -> None:
    """A server that lost a process was out of service for a while: its figures are worth nothing."""
    for log in sorted(log_dir.glob("*.log")):
        before, mark, after = log.read_text(encoding="utf-8", errors="replace").partition(CRASHED)
        if mark:
            line = before.rpartition("\n")[2]
            raise ServerCrashed(f"{line}{mark}{after[:CRASH_CHARACTERS_SHOWN]}")


@asynccontextmanager
async def open_session(url: str) -> AsyncGenerator[Connection]:
    """The administrator's session in one database."""
    session = await DRIVER.connect(url, timeout=CONNECT_SECONDS_MAX, server_settings={})
    try:
        yield session
    finally:
        await session.close()


async def footprint(session: Connection) -> Footprint:
    """Dead tuples are row versions that were replaced or deleted, whether or not vacuum has been there since."""
    row = await session.fetchrow(_FOOTPRINT)
    assert row is not None
    return Footprint(float(row["wal"]), float(row["commits"]), float(row["dead"]), float(row["hot"]))


_FOOTPRINT = """
SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS wal,
       (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()) AS commits,
       (SELECT coalesce(sum(n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables) AS dead,
       (SELECT coalesce(sum(n_tup_hot_upd), 0) FROM pg_stat_user_tables) AS hot
"""
