"""Throughput with ten million finished runs in the history, beside that of a twin with none, in turns."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from bench.harness.contestants import ROTA
from bench.harness.database import Server, embedded_server, open_session
from bench.harness.draining import Task, crew, install
from bench.harness.rows import Extent, Row, measurement, ratio_of, row, say
from rota.storage.postgres.driver import Connection

HISTORY = 10_000_000
HISTORY_BATCH = 500_000
SEED = 1_000
COUNT = 50_000
ROUNDS_MIN = 5

# Whatever columns the table has, copied from finished runs; the ids are new.
COLUMNS = """
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum),
       string_agg(CASE attname WHEN 'id' THEN 'scheduler.uuid7_at(clock_timestamp())' ELSE quote_ident(attname) END,
                  ', ' ORDER BY attnum)
  FROM pg_attribute
 WHERE attrelid = 'scheduler.runs'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
"""


async def measure(extent: Extent) -> Sequence[Row]:
    async with embedded_server() as server:
        full, empty = await _pairs(server, extent)
    return [
        row("long_history", "runs/s", full, {"without": empty}),
        row("long_history_ratio", "×", [ratio_of(full, empty)]),
    ]


async def _pairs(server: Server, extent: Extent) -> tuple[list[float], list[float]]:
    template = await install(server, ROTA)
    count = extent.count(COUNT, 500)
    speeds: tuple[list[float], list[float]] = ([], [])
    async with AsyncExitStack() as stack:
        dsns = [server.url_of(await stack.enter_async_context(server.fresh(template))) for _ in speeds]
        sessions = [await stack.enter_async_context(open_session(dsn)) for dsn in dsns]
        crews = [await stack.enter_async_context(crew(server, Task(ROTA, template, count), dsn)) for dsn in dsns]
        await crews[0].drain(sessions[0], SEED)
        await add_history(sessions[0], extent.count(HISTORY, 10_000))
        for number in range(max(extent.count(ROUNDS_MIN, 1), extent.rounds)):
            for made, session, found in zip(crews, sessions, speeds, strict=True):
                found.append((await made.drain(session, count)).executed_per_second)
            say(f"round {number + 1}: {speeds[0][-1]:,.0f}/s with the history, {speeds[1][-1]:,.0f}/s without")
    return speeds


async def add_history(session: Connection, count: int) -> None:
    """Multiplies the finished runs that are there."""
    row_of_columns = await session.fetchrow(COLUMNS)
    assert row_of_columns is not None
    names, values = row_of_columns[0], row_of_columns[1]
    await session.execute(f"CREATE TEMPORARY TABLE seed AS SELECT {names} FROM scheduler.runs LIMIT {SEED}")  # noqa: S608
    for start in range(0, count, HISTORY_BATCH):
        times = min(HISTORY_BATCH, count - start) // SEED
        await session.execute(
            f"INSERT INTO scheduler.runs ({names}) SELECT {values} FROM seed, generate_series(1, {times})"  # noqa: S608
        )
        say(f"{start + times * SEED:,} runs of history")
    await session.execute("VACUUM ANALYZE scheduler.runs")
    await session.execute("CHECKPOINT")


if __name__ == "__main__":
    measurement(__doc__, measure)
