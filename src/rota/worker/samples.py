"""Tasks to watch while getting to know Rota: `rota up` runs them by its sample manifest. They change nothing."""

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

import psutil

from rota.domain.policies import RetryPolicy
from rota.worker.app import App
from rota.worker.context import Context
from rota.worker.outcomes import Failure

app = App("samples")

COUNT_MAX = 600
MOUNTS_MAX = 20
GIB = 1 << 30


@app.task(name="samples.host_heartbeat", timeout_seconds=30)
def host_heartbeat(ctx: Context) -> dict[str, Any]:
    """How the machine is doing."""
    memory = psutil.virtual_memory()
    load = psutil.getloadavg()[0]
    ctx.log.info("load %.2f, memory %.0f %% used, %d processes", load, memory.percent, len(psutil.pids()))
    return {"load_1m": round(load, 2), "memory_used_percent": memory.percent, "cpus": psutil.cpu_count()}


@app.task(name="samples.disk_report", timeout_seconds=60)
def disk_report(ctx: Context, warn_below_percent: float = 2.0) -> dict[str, Any] | Failure:
    """How full each disk is. Too little space on one of them is a failure that names it."""
    free: dict[str, float] = {}
    for mount in _mounts():
        ctx.check_cancelled()
        usage = shutil.disk_usage(mount)
        free[mount] = round(100 * usage.free / max(1, usage.total), 1)
        ctx.log.info("%s: %.1f of %.1f GiB free (%.1f %%)", mount, usage.free / GIB, usage.total / GIB, free[mount])
    short = [mount for mount, percent in free.items() if percent < warn_below_percent]
    if short:
        return Failure(f"less than {warn_below_percent:g} % is free on {', '.join(short)}", retryable=False)
    return {"free_percent": free}


@app.task(name="samples.slow_count", timeout_seconds=COUNT_MAX + 60)
async def slow_count(ctx: Context, steps: int = 10, pause_seconds: float = 1.0) -> dict[str, int]:
    """Counts in its log, one line per step: something to follow, and to cancel."""
    for number in range(1, min(steps, COUNT_MAX) + 1):
        ctx.log.info("%d of %d", number, steps)
        await ctx.sleep(pause_seconds)
    return {"counted": min(steps, COUNT_MAX)}


@app.task(
    name="samples.flaky",
    timeout_seconds=30,
    retry=RetryPolicy(base_seconds=2.0, factor=2.0, cap_seconds=10.0, attempts_max=6),
)
def flaky(ctx: Context, fails_percent: int = 60) -> dict[str, Any]:
    """Fails now and then to show retries. The dice are the run's id and attempt: a repeat ends the same way."""
    thrown = hashlib.blake2b(f"{ctx.run_id}/{ctx.attempt_no}".encode(), digest_size=4).digest()
    roll = int.from_bytes(thrown, "big") % 100
    ctx.log.info("attempt %d rolled %d; below %d fails", ctx.attempt_no, roll, fails_percent)
    if roll < fails_percent:
        raise ConnectionError(f"the remote end hung up (rolled {roll}, fails below {fails_percent})")
    return {"rolled": roll, "attempts": ctx.attempt_no}


def _mounts() -> list[str]:
    """Where disks are mounted; in a container there may be none to see, and then it is the directory for files."""
    mounts = {part.mountpoint for part in psutil.disk_partitions() if Path(part.mountpoint).is_dir()}
    return sorted(mounts)[:MOUNTS_MAX] or [tempfile.gettempdir()]
