"""A real server process that leads, on an embedded PostgreSQL of its own, and what the two of them cost.

Durable, as users get it. The database keeps the time of every commit, so that "handed over" is what the database says.
"""

import asyncio
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from rota.adapters.system_clock import SystemClock
from rota.storage.postgres.connections import PoolOptions, open_pool
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.embedded import EmbeddedPostgres
from rota.storage.postgres.logins import DatabaseOptions, Login, resolve_urls
from rota.storage.postgres.migrator import Migrator

SETTINGS: Mapping[str, str] = {"track_commit_timestamp": "on"}
READY_SECONDS_MAX = 60.0
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
TENANT = "bench"

# $1 how many, $2 what the names begin with, $3 the first due time, $4 over how many seconds they are spread.
# Half of them are crons, half are intervals; each has a target of its own.
REGISTER = """
WITH made AS (
    INSERT INTO scheduler.schedules (id, tenant_id, name, enabled, target, policies, created_at, created_by, updated_at,
                                     updated_by)
    SELECT scheduler.uuid7_at(clock_timestamp()), 'bench', $2::text || n, true,
           jsonb_build_object('kind', 'task', 'task', 'report', 'args', jsonb_build_object('number', n)),
           '{"overlap": "skip", "misfire": "fire_once", "misfire_grace_seconds": 3600.0, "catch_up_max": 100,
             "catch_up_window_seconds": 86400.0, "timeout_seconds": 3600.0, "soft_timeout_seconds": null,
             "queue": "default", "priority": 0, "retry": {}}', now(), 'bench', now(), 'bench'
      FROM generate_series(1, $1::integer) AS n
    RETURNING id, name
)
INSERT INTO scheduler.triggers (id, schedule_id, tenant_id, position, spec, anchor_at, next_fire_at)
SELECT scheduler.uuid7_at(clock_timestamp()), m.id, 'bench', 0,
       CASE WHEN n % 2 = 0
            THEN jsonb_build_object('kind', 'cron', 'expression', (n % 60) || ' ' || (n % 24) || ' 1 1 *')
            ELSE '{"kind": "interval", "every_seconds": 86400.0}' END,
       at, at
  FROM (SELECT id, row_number() OVER () AS n FROM made) AS m
 CROSS JOIN LATERAL (SELECT $3::timestamptz + ((m.n - 1) * $4::float8 / $1::integer) * interval '1 second' AS at) AS a
"""
LEADS = "SELECT count(*) FROM scheduler.leases WHERE name = 'leader' AND expires_at > clock_timestamp()"
SERVER_SESSIONS = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'rota %'"


class Cost(Struct, frozen=True):
    """Seconds of processor time, by what spent them, since some beginning; `at` is of the monotonic clock."""

    at: float
    server_seconds: float
    sessions_seconds: float
    wal_bytes: float


class Leader(Struct, frozen=True):
    """A server that leads. `admin` sees everything."""

    pid: int
    admin: Pool

    async def cost(self) -> Cost:
        sessions = [row["pid"] for row in await self.admin.fetch(SERVER_SESSIONS)]
        wal = await self.admin.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
        return Cost(time.monotonic(), cpu_seconds(self.pid), sum(map(cpu_seconds, sessions)), float(wal))

    def rss_megabytes(self) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


@asynccontextmanager
async def leading_server(more: Mapping[str, str] | None = None) -> AsyncGenerator[Leader]:
    """Everything started, migrated and leading; everything gone afterwards. *more* settings of the database."""
    with tempfile.TemporaryDirectory(prefix="rota-bench-") as directory:
        database = EmbeddedPostgres(
            Path(directory) / "data", new_secret=lambda: secrets.token_hex(16), settings={**SETTINGS, **(more or {})}
        )
        try:
            async with _server(database.start(), Path(directory) / "server.log") as leader:
                yield leader
        finally:
            database.stop()


@asynccontextmanager
async def _server(url: str, log: Path) -> AsyncGenerator[Leader]:
    urls, sleep = resolve_urls(DatabaseOptions(url=url)), SystemClock().sleep
    await Migrator(urls, sleep=sleep).migrate()
    assert urls.admin is not None
    options = PoolOptions(connections_max=2)
    admin = await open_pool(urls.admin, Login.OWNER, application_name="bench", sleep=sleep, options=options)
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: ASYNC220 - before anything is measured
            [sys.executable, "-m", "rota", "server", "--port", "0", "--database-url", url], stdout=output, stderr=output
        )
    try:
        await wait_for(admin, LEADS, 1, READY_SECONDS_MAX)
        await admin.execute("INSERT INTO scheduler.tenants VALUES ($1, 'Bench', now(), 'bench')", TENANT)
        yield Leader(process.pid, admin)
    finally:
        process.terminate()
        process.wait()
        await admin.close()


async def wait_for(admin: Pool, question: str, answer: int, seconds_max: float, *args: object) -> None:
    """Until the database answers so."""
    deadline = time.monotonic() + seconds_max
    while await admin.fetchval(question, *args) != answer:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds_max} s: {question}")
        await asyncio.sleep(0.05)
