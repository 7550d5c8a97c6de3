"""Firing by a real server: a hundred thousand schedules due in one second, and a steady thousand a second.

"Handed over" ends with the commit of the last run, by the database's clock; it starts with the second in which all of
them are due. Lag is from a run's nominal time to its commit. Beside each figure stands what it cost.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from bench.harness.leading_server import REGISTER, Cost, Leader, leading_server, wait_for
from bench.harness.rows import Extent, Row, measurement, row, say

CROWD = 100_000
STEADY_PER_SECOND = 1_000
STEADY_SECONDS = 20
LEAD_SECONDS = 3.0
SCHEDULES_PER_LEAD_SECOND = 10_000
WAIT_SECONDS_MAX = 120.0
REGISTER_TRIES_MAX = 3

LEFT = "SELECT count(*) FROM (SELECT FROM scheduler.triggers WHERE next_fire_at <= $1 LIMIT 1) AS due"
SOON = "SELECT date_trunc('second', clock_timestamp()) + make_interval(secs => $1)"
IS_PAST = "SELECT (clock_timestamp() > $1)::integer"
LAGS = """
SELECT extract(epoch FROM pg_xact_commit_timestamp(r.xmin) - r.fire_at)::float8 AS lag
  FROM scheduler.runs r WHERE r.fire_at BETWEEN $1 AND $2 AND r.state = 'queued'
"""


class Fired(Struct, frozen=True):
    """The lag of each run in seconds, in order, and what all of them cost."""

    lags: list[float]
    before: Cost
    after: Cost

    def percentile_ms(self, share: float) -> float:
        return self.lags[min(len(self.lags) - 1, int(len(self.lags) * share))] * 1000

    def server_ms(self) -> float:
        """Of processor time, per 1,000 fires."""
        return (self.after.server_seconds - self.before.server_seconds) / len(self.lags) * 1e6

    def sessions_ms(self) -> float:
        return (self.after.sessions_seconds - self.before.sessions_seconds) / len(self.lags) * 1e6

    def wal_bytes(self) -> float:
        return (self.after.wal_bytes - self.before.wal_bytes) / len(self.lags)


async def _registered_ahead(leader: Leader, name: str, count: int, spread_seconds: float) -> datetime:
    """When the first of them will be due; they are registered by then, if not at the first try."""
    admin = leader.admin
    lead_seconds = LEAD_SECONDS + round(count / SCHEDULES_PER_LEAD_SECOND)
    for number in range(REGISTER_TRIES_MAX):
        first: datetime = await admin.fetchval(SOON, lead_seconds * 2**number)
        await admin.execute(REGISTER, count, f"{name}{number} ", first, spread_seconds)
        await admin.execute("VACUUM (ANALYZE) scheduler.schedules, scheduler.triggers")
        await admin.execute("CHECKPOINT")
        if not await admin.fetchval(IS_PAST, first):
            return first
        say(f"registering took longer than {lead_seconds * 2**number:.0f} s: once more")
        await wait_for(admin, LEFT, 0, WAIT_SECONDS_MAX, first + timedelta(seconds=spread_seconds))
        await admin.execute("TRUNCATE scheduler.live_runs")
    raise TimeoutError(f"{count} schedules could not be registered before they were due")


async def fire(leader: Leader, name: str, count: int, spread_seconds: float) -> Fired:
    """Registers schedules and waits until all have fired, once. Raises TimeoutError on a machine that is too busy."""
    admin = leader.admin
    first = await _registered_ahead(leader, name, count, spread_seconds)
    last = first + timedelta(seconds=spread_seconds)
    before = await leader.cost()
    await wait_for(admin, IS_PAST, 1, WAIT_SECONDS_MAX, last)
    await wait_for(admin, LEFT, 0, WAIT_SECONDS_MAX, last)
    after = await leader.cost()
    lags = sorted(found["lag"] for found in await admin.fetch(LAGS, first, last))
    if len(lags) != count:
        raise AssertionError(f"{len(lags)} runs of {count} schedules")
    await admin.execute("TRUNCATE scheduler.live_runs")
    return Fired(lags, before, after)


def cost_rows(name: str, fired: Sequence[Fired]) -> list[Row]:
    return [
        row(f"{name}_server_cpu", "ms per 1,000 fires", [one.server_ms() for one in fired]),
        row(f"{name}_sessions_cpu", "ms per 1,000 fires", [one.sessions_ms() for one in fired]),
        row(f"{name}_wal", "B/fire", [one.wal_bytes() for one in fired]),
    ]


async def measure(extent: Extent) -> Sequence[Row]:
    found: dict[str, list[Fired]] = {}
    steady_seconds = extent.seconds(STEADY_SECONDS)
    async with leading_server() as leader:
        # The first batches of a process only warm it up.
        await fire(leader, "warm-up ", 5_000, 1.0)
        for number in range(extent.rounds):
            crowd = await fire(leader, f"crowd {number} ", extent.count(CROWD), 0.0)
            found.setdefault("schedules_due_100k", []).append(crowd)
            say(f"all at once: first after {crowd.lags[0]:.3f} s, last after {crowd.lags[-1]:.3f} s")
            steady = await fire(leader, f"steady {number} ", round(STEADY_PER_SECOND * steady_seconds), steady_seconds)
            found.setdefault("firing_steady", []).append(steady)
            say(f"1,000 a second: p50 {steady.percentile_ms(0.5):.1f} ms, p99 {steady.percentile_ms(0.99):.1f} ms")
    rows = [
        row("schedules_due_100k", "s", [one.lags[-1] for one in found["schedules_due_100k"]]),
        row("firing_lag_p50", "ms", [one.percentile_ms(0.5) for one in found["firing_steady"]]),
        row("firing_lag_p99", "ms", [one.percentile_ms(0.99) for one in found["firing_steady"]]),
    ]
    return [*rows, *(costs for name, fired in found.items() for costs in cost_rows(name, fired))]


if __name__ == "__main__":
    measurement(__doc__, measure)
