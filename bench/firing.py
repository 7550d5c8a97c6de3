"""Firing by a real server: many schedules due in one second, and a steady thousand a second.

"Handed over" ends with the commit of the last run, by the database's clock; the clock starts with the second in which
all of them are due. Lag is from a run's nominal time to its commit. Beside each figure stands what it cost.
"""

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta

from bench._leading_server import REGISTER, Cost, Leader, leading_server, wait_for

ROUNDS = 3
CROWDS = ((10_000, 1.0), (100_000, 5.0))
STEADY_PER_SECOND = 1_000
STEADY_SECONDS = 20
LAG_P99_SECONDS_MAX = 0.25
LEAD_SECONDS = 3.0
SCHEDULES_PER_LEAD_SECOND = 12_000
WAIT_SECONDS_MAX = 120.0

LEFT = "SELECT count(*) FROM (SELECT FROM scheduler.triggers WHERE next_fire_at <= $1 LIMIT 1) AS due"
SOON = "SELECT date_trunc('second', clock_timestamp()) + make_interval(secs => $1)"
LAGS = """
SELECT extract(epoch FROM pg_xact_commit_timestamp(r.xmin) - r.fire_at)::float8 AS lag
  FROM scheduler.runs r WHERE r.fire_at BETWEEN $1 AND $2 AND r.state = 'queued'
"""

Row = dict[str, object]


def say(text: str) -> None:
    print(text, file=sys.stderr)


async def fire(leader: Leader, name: str, count: int, spread_seconds: float) -> tuple[list[float], Cost, Cost]:
    """Registers schedules, waits until all have fired; the lag of each run in seconds, in order, and the cost."""
    admin = leader.admin
    first: datetime = await admin.fetchval(SOON, LEAD_SECONDS + round(count / SCHEDULES_PER_LEAD_SECOND))
    await admin.execute(REGISTER, count, name, first, spread_seconds)
    await admin.execute("VACUUM (ANALYZE) scheduler.schedules, scheduler.triggers")
    await admin.execute("CHECKPOINT")
    assert await admin.fetchval("SELECT clock_timestamp() < $1", first), "registering took longer than it was given"
    before = await leader.cost()
    last = first + timedelta(seconds=spread_seconds)
    await wait_for(admin, "SELECT (clock_timestamp() > $1)::integer", 1, WAIT_SECONDS_MAX, last)
    await wait_for(admin, LEFT, 0, WAIT_SECONDS_MAX, last)
    after = await leader.cost()
    lags = sorted(row["lag"] for row in await admin.fetch(LAGS, first, last))
    assert len(lags) == count, f"{len(lags)} of {count} runs"
    await admin.execute("TRUNCATE scheduler.live_runs")
    return lags, before, after


def cost_row(name: str, count: int, spent: Sequence[tuple[Cost, Cost]]) -> list[Row]:
    """CPU milliseconds per 1,000 fires of the server process and of its sessions; WAL bytes per fire."""
    server = [(after.server_seconds - before.server_seconds) / count * 1e6 for before, after in spent]
    backends = [(after.backend_seconds - before.backend_seconds) / count * 1e6 for before, after in spent]
    wal = [(after.wal_bytes - before.wal_bytes) / count for before, after in spent]
    return [
        row(f"{name}: CPU of the server", server, "ms per 1,000 fires"),
        row(f"{name}: CPU of its sessions", backends, "ms per 1,000 fires"),
        row(f"{name}: WAL", wal, "B/fire"),
    ]


def row(name: str, runs: Sequence[float], unit: str) -> Row:
    return {"name": f"firing: {name}", "value": statistics.median(runs), "unit": unit, "runs": list(runs)}


def percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def crowds(leader: Leader, rounds: int, counts: Sequence[int]) -> list[Row]:
    rows: list[Row] = []
    for count in counts:
        name = f"{count // 1000}k due in one second"
        lasts: list[float] = []
        spent: list[tuple[Cost, Cost]] = []
        for number in range(rounds):
            lags, before, after = await fire(leader, f"{name} {number} ", count, 0.0)
            lasts.append(lags[-1])
            spent.append((before, after))
            say(f"{name}: first {lags[0]:.3f} s, last {lags[-1]:.3f} s")
        rows += [row(f"{name}: handed over", lasts, "s"), *cost_row(name, count, spent)]
    return rows


async def steady(leader: Leader, rounds: int) -> list[Row]:
    """Spread evenly over each second, and all at the second's beginning."""
    rows: list[Row] = []
    count = STEADY_PER_SECOND * STEADY_SECONDS
    halves: list[float] = []
    lates: list[float] = []
    spent: list[tuple[Cost, Cost]] = []
    for number in range(rounds):
        lags, before, after = await fire(leader, f"steady {number} ", count, float(STEADY_SECONDS))
        halves.append(percentile(lags, 0.5) * 1000)
        lates.append(percentile(lags, 0.99) * 1000)
        spent.append((before, after))
        say(f"steady: p50 {halves[-1]:.1f} ms, p99 {lates[-1]:.1f} ms, worst {lags[-1] * 1000:.1f} ms")
    name = "1,000 a second"
    rows += [row(f"{name}: lag p50", halves, "ms"), row(f"{name}: lag p99", lates, "ms")]
    return [*rows, *cost_row(name, count, spent)]


async def measure(rounds: int, counts: Sequence[int]) -> list[Row]:
    async with leading_server() as leader:
        # The first batches of a process only warm it up.
        await fire(leader, "warm-up ", 5_000, 1.0)
        return [*await crowds(leader, rounds, counts), *await steady(leader, rounds)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the rows for make bench")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--counts", type=int, nargs="+", default=[count for count, _ in CROWDS])
    wanted = parser.parse_args()
    rows = asyncio.run(measure(wanted.rounds, wanted.counts))
    if wanted.json:
        print(json.dumps(rows))
        return
    for one in rows:
        print(f"{one['name']:60} {one['value']:>12,.4g} {one['unit']}")


if __name__ == "__main__":
    main()
