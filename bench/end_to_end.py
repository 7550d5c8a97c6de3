"""How fast real worker processes execute no-op runs, durably and with history kept; and how soon an idle one picks up.

Throughput: the runs are stored beforehand and come due at one instant, while the workers are idle; the clock runs from
that instant to the last end, both by the database. Beside it, the CPU time of each kind of process per run.
Latency: runs enqueued one by one to an idle worker, from the end of the call that stored one to its handler's first
instruction.
"""

import argparse
import asyncio
import contextlib
import os
import random
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psutil

from rota.adapters.system_clock import SystemClock
from rota.composition.wakeups import wakeups_of
from rota.domain.ids import RunId, TenantId
from rota.domain.policies import RunPolicy
from rota.domain.run import RunDraft
from rota.domain.targets import TaskTarget
from rota.domain.tenancy import AuditEntry
from rota.ports.wakeups import Wakeups
from rota.storage.postgres.connections import PoolOptions, open_pool
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.embedded import EmbeddedPostgres
from rota.storage.postgres.logins import DatabaseOptions, DatabaseUrls, Login, resolve_urls
from rota.storage.postgres.migrator import Migrator
from rota.storage.postgres.run_intake import PostgresRunIntake

APP = "bench.harness.noop_tasks:app"
TENANT = TenantId("bench")
AUDIT = AuditEntry("bench", "enqueue", "run", "")
QUEUE = "default"
ENQUEUE_BATCH = 5_000
RUNS_PER_ENQUEUED_SECOND = 12_000
START_SECONDS_MAX = 30.0
DRAIN_SECONDS_MAX = 180.0
POLL_SECONDS = 0.1
LATENCY_PAUSE_SECONDS = (0.02, 0.08)

COMMITS = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
STATISTICS_SECONDS = 1.2
"""The server keeps a session's counts to itself for so long."""
LIVE = "SELECT EXISTS (SELECT 1 FROM scheduler.live_runs)"
SPAN = """
SELECT count(*) AS ended, extract(epoch FROM max(finished_at) - $1)::float8 AS seconds
  FROM scheduler.runs
 WHERE tenant_id = $2
   AND state = 'succeeded'
"""


class Setting(NamedTuple):
    """One way to run workers; `slots` None is the default."""

    workers: int
    slots: int | None

    @property
    def name(self) -> str:
        return f"{self.workers} x {self.slots or 'default'} slots"


class Measured(NamedTuple):
    """`cpu_us` is CPU time per run, by kind of process; `commits` are those of the workers, per run."""

    per_second: float
    cpu_us: dict[str, float]
    commits: float


class Place(NamedTuple):
    """One database and the ways to it."""

    urls: DatabaseUrls
    admin: Pool
    api: Pool


# Processes


def start_worker(place: Place, slots: int | None, log: Path, wrapper: list[str]) -> subprocess.Popen[bytes]:
    chosen = [] if slots is None else ["--slots", str(slots)]
    command = [*wrapper, sys.executable, "-m", "rota", "worker", "start", "--app", APP, *chosen]
    environment = {**os.environ, "ROTA_DATABASE_SERVICE_URL": place.urls.service}
    with log.open("ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, env=environment)


def end_worker(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.asynccontextmanager
async def workers(place: Place, setting: Setting, wrapper: list[str] | None = None) -> AsyncGenerator[list[int]]:
    """The pids of workers that have registered and wait for work."""
    log = Path(tempfile.gettempdir()) / f"rota-bench-workers-{os.getpid()}.log"
    await place.admin.execute("DELETE FROM scheduler.workers")
    started = [start_worker(place, setting.slots, log, wrapper or []) for _ in range(setting.workers)]
    try:
        deadline = time.monotonic() + START_SECONDS_MAX
        while await place.admin.fetchval("SELECT count(*) FROM scheduler.workers") < setting.workers:
            if time.monotonic() > deadline:
                raise SystemExit(f"the workers did not register: see {log}")
            await asyncio.sleep(POLL_SECONDS)
        yield [process.pid for process in started]
    finally:
        for process in started:
            end_worker(process)


def kind_of(process: psutil.Process) -> str | None:
    command = " ".join(process.cmdline())
    if "rota.worker.executor" in command:
        return "executor"
    if "worker start" in command:
        return "supervisor"
    return "backend" if "rota_service" in command else "writers" if "postgres" in command else None


def cpu_seconds(pids: Iterable[int], postmaster: int) -> dict[tuple[str, int], float]:
    found: dict[tuple[str, int], float] = {}
    for root in (*pids, postmaster):
        parent = psutil.Process(root)
        for process in (parent, *parent.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                kind = kind_of(process)
                times = process.cpu_times()
                if kind is not None:
                    found[kind, process.pid] = times.user + times.system
    return found


def cpu_per_run(
    before: dict[tuple[str, int], float], after: dict[tuple[str, int], float], count: int
) -> dict[str, float]:
    spent: dict[str, float] = {}
    for key, seconds in after.items():
        spent[key[0]] = spent.get(key[0], 0.0) + (seconds - before.get(key, 0.0)) * 1e6 / count
    return spent


# Throughput


async def enqueue(place: Place, count: int) -> float:
    """Stores runs that come due at one instant; how long ago or ahead that is does not matter to the span."""
    intake = PostgresRunIntake(place.api)
    ahead = 2.0 + count / RUNS_PER_ENQUEUED_SECOND
    due = time.monotonic() + ahead
    for first in range(0, count, ENQUEUE_BATCH):
        left = due - time.monotonic()
        drafts = [
            RunDraft(TENANT, TaskTarget("noop", {"n": n}), RunPolicy(), delay_seconds=left)
            for n in range(first, min(first + ENQUEUE_BATCH, count))
        ]
        await intake.enqueue(TENANT, drafts, AUDIT)
    return due


async def throughput(place: Place, setting: Setting, count: int, wrapper: list[str] | None = None) -> Measured:
    await place.admin.execute("TRUNCATE scheduler.live_runs, scheduler.runs, scheduler.attempts CASCADE")
    async with workers(place, setting, wrapper) as pids:
        due = await enqueue(place, count)
        await place.admin.execute("ANALYZE scheduler.live_runs, scheduler.runs")
        await place.admin.execute("CHECKPOINT")
        await asyncio.sleep(max(0.0, due - time.monotonic() - 0.3))
        due_at = await place.admin.fetchval("SELECT min(due_at) FROM scheduler.live_runs")
        postmaster = await postmaster_of(place)
        before, commits = cpu_seconds(pids, postmaster), await place.admin.fetchval(COMMITS)
        await asyncio.sleep(0.5)
        deadline = time.monotonic() + DRAIN_SECONDS_MAX
        while await place.admin.fetchval(LIVE):
            if time.monotonic() > deadline:
                raise SystemExit("the runs did not end in time")
            await asyncio.sleep(POLL_SECONDS)
        spent = cpu_per_run(before, cpu_seconds(pids, postmaster), count)
        await asyncio.sleep(STATISTICS_SECONDS)
        commits = await place.admin.fetchval(COMMITS) - commits
    span = await place.admin.fetchrow(SPAN, due_at, TENANT)
    assert span is not None
    if span["ended"] != count:
        raise SystemExit(f"{span['ended']} of {count} runs have succeeded")
    return Measured(count / span["seconds"], spent, commits / count)


async def postmaster_of(place: Place) -> int:
    backend: int = await place.admin.fetchval("SELECT pg_backend_pid()")
    return psutil.Process(backend).ppid()


# Latency


async def latency(place: Place, samples_count: int) -> list[float]:
    """Milliseconds from "stored" to the handler's first instruction."""
    dice = random.Random(1)
    intake = PostgresRunIntake(place.api)
    stored: dict[RunId, int] = {}
    async with wakeups_of(place.urls, SystemClock()) as wakeups, workers(place, Setting(1, None)):
        await asyncio.sleep(1.0)
        for _ in range(samples_count):
            stored |= await enqueue_one(intake, wakeups)
            await asyncio.sleep(dice.uniform(*LATENCY_PAUSE_SECONDS))
        await asyncio.sleep(1.0)
    rows = await place.admin.fetch(
        "SELECT id::text AS id, result FROM scheduler.runs WHERE id = ANY ($1::uuid[])", list(stored)
    )
    return sorted((row["result"]["began_ns"] - stored[row["id"]]) / 1e6 for row in rows)


async def enqueue_one(intake: PostgresRunIntake, wakeups: Wakeups) -> dict[RunId, int]:
    draft = RunDraft(TENANT, TaskTarget("began", {}), RunPolicy())
    (enqueued,) = await intake.enqueue(TENANT, [draft], AUDIT)
    stored = time.monotonic_ns()
    wakeups.announce(f"queue:{QUEUE}")
    return {enqueued.run_id: stored}


def quantile(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))]


# The whole


@contextlib.asynccontextmanager
async def a_place(admin_url: str) -> AsyncGenerator[Place]:
    urls = resolve_urls(DatabaseOptions(url=admin_url))
    await Migrator(urls, sleep=asyncio.sleep).migrate()
    assert urls.admin is not None
    options = PoolOptions(connections_max=2)
    admin, api = [
        await open_pool(url, login, application_name="bench", sleep=asyncio.sleep, options=options)
        for url, login in ((urls.admin, Login.OWNER), (urls.api, Login.API))
    ]
    await admin.execute(
        "INSERT INTO scheduler.tenants (id, name, created_at, created_by) VALUES ($1, $1, now(), 'bench') "
        "ON CONFLICT DO NOTHING",
        TENANT,
    )
    try:
        yield Place(urls, admin, api)
    finally:
        await admin.close()
        await api.close()


async def run(admin_url: str, asked: argparse.Namespace) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    async with a_place(admin_url) as place:
        if asked.latency:
            found = await latency(place, asked.latency)
            for name, value in (("p50", quantile(found, 0.5)), ("p99", quantile(found, 0.99)), ("max", found[-1])):
                rows.append({"name": f"pick-up latency, {name}", "value": value, "unit": "ms", "runs": [value]})
        for setting in asked.settings:
            measured = [await throughput(place, setting, asked.runs, asked.wrapper) for _ in range(asked.rounds)]
            rates = [each.per_second for each in measured]
            value = statistics.median(rates)
            rows.append({"name": f"end to end, {setting.name}", "value": value, "unit": "runs/s", "runs": rates})
            commits = [each.commits for each in measured]
            name = f"end to end, {setting.name}, commits"
            rows.append({"name": name, "value": statistics.median(commits), "unit": "per run", "runs": commits})
            for kind in sorted(measured[0].cpu_us):
                spent = [each.cpu_us[kind] for each in measured]
                name = f"end to end, {setting.name}, CPU of {kind}"
                rows.append({"name": name, "value": statistics.median(spent), "unit": "us/run", "runs": spent})
    return rows


def _setting(text: str) -> Setting:
    """`2x200` is two workers of 200 slots, `1x` one of the default."""
    count, _, slots = text.partition("x")
    return Setting(int(count), int(slots) if slots else None)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure workers end to end on an embedded server.")
    parser.add_argument("settings", nargs="*", type=_setting, default=[Setting(1, None)])
    parser.add_argument("--runs", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--latency", type=int, default=0, help="so many samples")
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    parser.add_argument("--wrapper", type=str.split, default=[], help="a command to run each worker under")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rota-bench-") as directory:
        server = EmbeddedPostgres(Path(directory), new_secret=lambda: secrets.token_hex(16))
        try:
            rows = asyncio.run(run(server.start(), asked))
        finally:
            server.stop()
    if asked.json:
        print(msgspec.json.encode(rows).decode())
        return
    for row in rows:
        print(f"{row['name']:50} {row['value']:>12,.2f} {row['unit']:7} {[round(each, 3) for each in row['runs']]}")


if __name__ == "__main__":
    main()
