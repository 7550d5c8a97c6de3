"""Measurements are tried small, so that their code is sound when somebody gives it hours. No figure is judged."""

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import psutil
import pytest

from bench.harness import collecting
from bench.harness.contestants import RAW
from bench.harness.database import Server, ServerCrashed, embedded_server, open_session
from bench.harness.draining import Task, drain, install
from bench.harness.systems import python_path
from tests.support.waiting import wait_until, wait_until_blocking

BENCH = Path(collecting.__file__).resolve().parents[1]
SMALL = ("--rounds", "1", "--scale", "0.002", "--systems", "rota")
SECONDS_MAX = 100.0


@pytest.mark.parametrize(
    ("module", "figures"),
    [
        ("long/held_xmin", {"held_xmin", "held_xmin_ratio"}),
        ("long/idle_million", {"idle_million_cpu", "idle_million_statements", "idle_million_memory"}),
        ("long/light_tenant", {"light_tenant_p50", "light_tenant_p99", "light_tenant_max"}),
        ("long/long_history", {"long_history", "long_history_ratio"}),
        ("long/pooled", {"pooled", "pooled_ratio"}),
        ("runs", {"runs_end_to_end", "runs_enqueued_in_bulk", "runs_wal", "runs_dead_tuples"}),
        ("pickup", {"pickup_p50", "pickup_p99", "pickup_with_enqueue_p50"}),
        ("worker_idle", {"worker_idle_cpu", "worker_idle_memory"}),
        ("api_enqueue", {"runs_enqueued_by_api_in_lists", "runs_enqueued_by_api_one_by_one"}),
    ],
)
def test_a_small_trial_gives_every_figure(module: str, figures: set[str]) -> None:
    rows = collecting.measure(BENCH / f"{module}.py", SECONDS_MAX, SMALL)

    assert figures - {row.name for row in rows} == set()
    assert [row.name for row in rows if not row.runs or not all(map(math.isfinite, row.runs))] == []


async def test_the_limit_keeps_rows_as_wide_as_it_is_told() -> None:
    async with embedded_server() as server:
        template = await install(server, RAW)
        drained = await drain(server, Task(RAW, template, count=500, row_bytes=300))

    assert drained.row_bytes == pytest.approx(300, abs=8)
    assert drained.dead_tuples == pytest.approx(2.0)


def test_a_measurement_that_is_terminated_leaves_no_server_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-P", str(BENCH / "worker_idle.py"), "--json"]
    environment = {**os.environ, "PYTHONPATH": python_path(), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        wait_until_blocking(lambda: list(tmp_path.glob("rota-counts-*")) != [], 60.0, "a worker is measured")
        (pid_file,) = tmp_path.glob("rota-bench-*/postgres/postmaster.pid")
        postmaster = psutil.Process(int(pid_file.read_text().split()[0]))
        started = [*process_tree(process.pid), postmaster]
        process.terminate()
        process.wait(timeout=60.0)

    assert psutil.wait_procs(started, timeout=30.0)[1] == []
    assert list(tmp_path.glob("rota-bench-*")) == []


def process_tree(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


async def test_a_server_that_lost_a_process_gives_no_figures() -> None:
    with pytest.raises(ServerCrashed, match="terminated by signal 9"):
        await lose_a_process()


async def lose_a_process() -> None:
    async with embedded_server() as server, open_session(server.url_of("postgres")) as session:
        os.kill(session.get_server_pid(), signal.SIGKILL)
        await wait_until(session.is_closed, what="the session ends")
        await wait_until(lambda: answers(server), 30.0, "the server is back")


async def answers(server: Server) -> bool:
    try:
        await server.execute("SELECT 1")
    except (asyncpg.PostgresError, OSError):
        return False
    return True
