"""Planning a fan-out with a real worker process: seconds from its claim to the snapshot, and the peak of its memory.

Ten thousand items, then a hundred thousand, each with a worker of its own, over segments of a hundred. The items and
their segments are stored; nothing is launched, so that the figures are those of the plan.
"""

import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from bench.harness.leading_server import wait_for
from bench.harness.rows import Extent, Row, measurement, row, say
from rota.adapters.system_clock import SystemClock
from rota.domain.fan_out import FanOut, TaskSelector
from rota.domain.ids import RunId, TenantId
from rota.domain.policies import RunPolicy
from rota.domain.run import RunDraft
from rota.domain.targets import TaskTarget
from rota.domain.tenancy import AuditEntry
from rota.storage.postgres.connections import PoolOptions, open_pool
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.embedded import EmbeddedPostgres
from rota.storage.postgres.logins import DatabaseOptions, Login, resolve_urls
from rota.storage.postgres.migrator import Migrator
from rota.storage.postgres.run_intake import PostgresRunIntake

COUNTS = (10_000, 100_000)
SEGMENT_SIZE = 100
READY_SECONDS_MAX, PLANNED_SECONDS_MAX = 60.0, 300.0
TENANT = TenantId("bench")

IS_READY = "SELECT count(*) FROM scheduler.workers WHERE state = 'active'"
IS_PLANNED = "SELECT count(*) FROM scheduler.runs WHERE id = $1::uuid AND state = 'succeeded'"
FIGURES = """
SELECT extract(epoch FROM s.planned_at - r.started_at)::float8 AS seconds, s.items_total, s.segments_count
  FROM scheduler.impact_snapshots s
  JOIN scheduler.runs r ON r.id = s.run_id
 WHERE s.run_id = $1::uuid
"""
GONE = "UPDATE scheduler.workers SET state = 'stopped'"


async def measure(extent: Extent) -> Sequence[Row]:
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="rota-bench-") as directory:
        database = EmbeddedPostgres(Path(directory) / "data", new_secret=lambda: secrets.token_hex(16))
        try:
            async with _schema(url := database.start()) as (admin, intake):
                for number in range(extent.rounds):
                    for count in COUNTS:
                        planned, megabytes = await _plan(url, admin, intake, extent.count(count, 1_000))
                        found.setdefault(f"fan_out_plan_{count}_seconds", []).append(planned)
                        found.setdefault(f"fan_out_plan_{count}_memory", []).append(megabytes)
                        say(f"round {number + 1}: {count} items in {planned:.2f} s, peak {megabytes:.0f} MB")
        finally:
            database.stop()
    return [row(name, "s" if name.endswith("_seconds") else "MB", values) for name, values in found.items()]


@asynccontextmanager
async def _schema(url: str) -> AsyncGenerator[tuple[Pool, PostgresRunIntake]]:
    urls, sleep, options = resolve_urls(DatabaseOptions(url=url)), SystemClock().sleep, PoolOptions(connections_max=2)
    await Migrator(urls, sleep=sleep).migrate()
    assert urls.admin is not None
    admin = await open_pool(urls.admin, Login.OWNER, application_name="bench", sleep=sleep, options=options)
    api = await open_pool(urls.api, Login.API, application_name="bench", sleep=sleep, options=options)
    try:
        await admin.execute("INSERT INTO scheduler.tenants VALUES ($1, 'Bench', now(), 'bench')", TENANT)
        yield admin, PostgresRunIntake(api)
    finally:
        await api.close()
        await admin.close()


async def _plan(url: str, admin: Pool, intake: PostgresRunIntake, count: int) -> tuple[float, float]:
    """Seconds, and megabytes of the worker's processes together at their peaks."""
    selector = TaskSelector("bench.items", {"count": count})
    fan_out = FanOut(selector, SEGMENT_SIZE, segments_max=10_000, plan_only=True)
    draft = RunDraft(TENANT, TaskTarget("bench.segment", {}, fan_out), RunPolicy())
    await admin.execute(GONE)
    command = [sys.executable, "-m", "rota", "worker", "start", "--app", "bench.harness.item_tasks:app"]
    worker = subprocess.Popen(  # noqa: ASYNC220 - before anything is measured
        command, env={**os.environ, "ROTA_DATABASE_URL": url}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        await wait_for(admin, IS_READY, 1, READY_SECONDS_MAX)
        (enqueued,) = await intake.enqueue(TENANT, [draft], AuditEntry("bench", "create", "run", ""))
        run_id: RunId = enqueued.run_id
        await wait_for(admin, IS_PLANNED, 1, PLANNED_SECONDS_MAX, run_id)
        figures = await admin.fetchrow(FIGURES, run_id)
        assert figures is not None
        assert (figures["items_total"], figures["segments_count"]) == (count, -(-count // SEGMENT_SIZE))
        tree = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
        return figures["seconds"], sum(_peak_megabytes(one.pid) for one in tree)
    finally:
        worker.terminate()
        worker.wait()


def _peak_megabytes(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    measurement(__doc__, measure)
