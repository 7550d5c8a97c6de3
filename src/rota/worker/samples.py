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
ENTRIES_MAX = 2_000
GIB = 1 << 30


@app.task(name="samples.host_heartbeat", timeout_seconds=30)
def host_heartbeat(ctx: Context) -> dict[str, Any]:
    """How the machine is doing."""
    memory = psutil.virtual_memory()
    load = psutil.getloadavg()[0]
    ctx.log.info("load %.2f, memory %.0f %% used, %d processes", load, memory.percent, len(psutil.pids()))
    return {"load_1m": round(load, 2), "memory_used_percent": memory.percent, "cpus": psutil.cpu_count()}


@app.task(name="samples.disk_report", timeout_seconds=60)
def disk_report(
    ctx: Context, path: str = tempfile.gettempdir(), warn_below_percent: float = 5.0
) -> dict[str, Any] | Failure:
    """Free space where `path` is, and the largest entries right below it. Little space is a failure."""
    usage = shutil.disk_usage(path)
    free_percent = 100 * usage.free / usage.total
    ctx.log.info("%s: %.1f of %.1f GiB free (%.0f %%)", path, usage.free / GIB, usage.total / GIB, free_percent)
    largest = sorted(_sizes(ctx, Path(path)), key=lambda entry: -entry[1])[:5]
    for name, size in largest:
        ctx.log.info("%12.1f KiB  %s", size / 1024, name)
    if free_percent < warn_below_percent:
        return Failure(f"only {free_percent:.1f} % of {path} is free; less than {warn_below_percent:g} %")
    return {
        "free_percent": round(free_percent, 1),
        "largest": [{"name": name, "bytes": size} for name, size in largest],
    }


@app.task(name="samples.slow_count", timeout_seconds=COUNT_MAX + 60)
async def slow_count(ctx: Context, to: int = 10, pause_seconds: float = 1.0) -> dict[str, int]:
    """Counts in its log, one line per step: something to follow, and to cancel."""
    for number in range(1, min(to, COUNT_MAX) + 1):
        ctx.log.info("%d of %d", number, to)
        await ctx.sleep(pause_seconds)
    return {"counted": min(to, COUNT_MAX)}


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


def _sizes(ctx: Context, directory: Path) -> list[tuple[str, int]]:
    """Files as they are, directories by the files directly in them; bounded, and without what may not be read."""
    sizes: list[tuple[str, int]] = []
    for count, entry in enumerate(sorted(directory.iterdir())):
        ctx.check_cancelled()
        if count >= ENTRIES_MAX:
            ctx.log.warning("only the first %d entries were looked at", ENTRIES_MAX)
            break
        try:
            files = [child for child in entry.iterdir() if child.is_file()] if entry.is_dir() else [entry]
            sizes.append((entry.name, sum(file.lstat().st_size for file in files)))
        except OSError:
            continue
    return sizes
