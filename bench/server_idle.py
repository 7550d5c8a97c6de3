"""What a server costs that has schedules and nothing to do: ten thousand here, a million in bench/long.

Statements are counted as the transactions that committed in the database, less the measurement's own; each of Rota's
is one. Processor time and memory are the server process's; its sessions' stand beside them.
"""

from collections.abc import Sequence

from bench.harness.leading_server import REGISTER, Cost, Leader, leading_server
from bench.harness.rows import Extent, Row, measurement, row, say

REGISTERED = 10_000
REGISTERED_AT_ONCE = 50_000
IDLE_SECONDS = 6.0

FAR = "SELECT date_trunc('second', clock_timestamp()) + interval '30 days'"
COMMITS = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
# Vacuuming commits, too, and is no statement of the server's.
NOBODY_ELSE = {"autovacuum": "off"}
# The commits of two looks at the cost and at the commits, and the sleep.
OWN_COMMITS = 5
ROWS_READ = """
SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::float8
  FROM pg_stat_user_tables WHERE schemaname = 'scheduler'
"""


async def register(leader: Leader, count: int) -> None:
    """Due in a month, spread over a day."""
    first = await leader.admin.fetchval(FAR)
    for number in range(0, count, REGISTERED_AT_ONCE):
        await leader.admin.execute(
            REGISTER, min(REGISTERED_AT_ONCE, count - number), f"idle {number} ", first, 86_400.0
        )
        if number % 200_000 == 0:
            say(f"{number} of {count} registered")
    await leader.admin.execute("VACUUM (ANALYZE)")
    await leader.admin.execute("CHECKPOINT")


async def idle(leader: Leader, seconds: float) -> tuple[Cost, Cost, float, float]:
    """Costs before and after, commits a second, rows read a second."""
    rows_before, commits_before = await leader.admin.fetchval(ROWS_READ), await leader.admin.fetchval(COMMITS)
    before = await leader.cost()
    await leader.admin.execute("SELECT pg_sleep($1)", seconds)
    after = await leader.cost()
    # Statistics of a session come to the common count a second after it was last busy.
    commits = await leader.admin.fetchval(COMMITS) - commits_before - OWN_COMMITS
    rows_read = await leader.admin.fetchval(ROWS_READ) - rows_before
    return before, after, commits / seconds, rows_read / seconds


async def measure(extent: Extent) -> Sequence[Row]:
    return await measured("server_idle", extent.count(REGISTERED), extent.seconds(IDLE_SECONDS, least=2.0), extent)


async def measured(name: str, registered: int, seconds: float, extent: Extent) -> list[Row]:
    """Rows whose names begin with *name*, of a server with so many schedules."""
    server, sessions, statements, memory, read = ([] for _ in range(5))
    async with leading_server(NOBODY_ELSE) as leader:
        await register(leader, registered)
        for _ in range(extent.rounds):
            before, after, per_second, rows_per_second = await idle(leader, seconds)
            passed = after.at - before.at
            server.append((after.server_seconds - before.server_seconds) / passed * 100)
            sessions.append((after.sessions_seconds - before.sessions_seconds) / passed * 100)
            statements.append(per_second)
            read.append(rows_per_second)
            memory.append(leader.rss_megabytes())
    return [
        row(f"{name}_cpu", "%", server),
        row(f"{name}_sessions_cpu", "%", sessions),
        row(f"{name}_statements", "/s", statements),
        row(f"{name}_memory", "MB", memory),
        row(f"{name}_rows_read", "rows/s", read),
    ]


if __name__ == "__main__":
    measurement(__doc__, measure)
