"""Runs as their tenant reads them, through the api login and in read-only transactions (law 10).

Each way of asking is driven by the index that bounds it: live states by the live rows, states without success by their
own index, a schedule's runs by theirs, and all else by the key of the record. Pages walk ids downwards.
"""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from rota.domain.errors import not_found
from rota.domain.ids import RunId, ScheduleId, TenantId
from rota.domain.page import Page, PageRequest
from rota.domain.run import Attempt, LogLine, Run
from rota.ports.run_store import RunFilter, RunMark
from rota.storage.page_cursor import cursor_refused, decode_cursor, encode_cursor, is_uuid
from rota.storage.postgres.connections import tenant_transaction
from rota.storage.postgres.driver import Connection, Pool, Row
from rota.storage.postgres.query_files import query
from rota.storage.postgres.run_rows import optional_error, optional_worker, run_of_row
from rota.storage.postgres.unstorable_text import refusing_unstorable_text


class _Walk(NamedTuple):
    """A page's statement and that of its total."""

    page: str
    total: str


_READ_RUN = query("runs/read_run")
_COUNT_BY_STATE = query("runs/count_by_state")
_LIST_ATTEMPTS = query("attempts/list_of_run")
_READ_LINES_AFTER = query("log_lines/read_after")
_TAILS_OF_RUNS = query("log_lines/tails_of_runs")
_LATEST_OF_SCHEDULES = query("runs/latest_of_schedules")
_RECENT = _Walk(query("runs/page_recent"), query("runs/count_recent"))
_OF_SCHEDULE = _Walk(query("runs/page_of_schedule"), query("runs/count_of_schedule"))
_WITHOUT_SUCCESS = _Walk(query("runs/page_without_success"), query("runs/count_without_success"))
_WAITING = _Walk(query("live_runs/page_waiting"), query("live_runs/count_waiting"))
_RUNNING = _Walk(query("live_runs/page_running"), query("live_runs/count_running"))

_LIVE_WALKS = {"scheduled": _WAITING, "queued": _WAITING, "running": _RUNNING}
_STATES_WITHOUT_SUCCESS = frozenset({"failed", "cancelled", "skipped"})


class PostgresRunReader:
    """See `rota.ports.run_store.RunReader`."""

    def __init__(self, api_pool: Pool) -> None:
        self._pool = api_pool

    async def get(self, tenant_id: TenantId, run_id: RunId) -> Run:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            return await read_run(connection, tenant_id, run_id)

    async def page(self, tenant_id: TenantId, where: RunFilter, page: PageRequest) -> Page[Run]:
        behind = _cursor_id(page)
        if where.schedule_id is not None and not is_uuid(where.schedule_id):
            return Page((), 0, page.limit, page.offset)
        walk, (asked, also) = _walk_for(where), _conditions(tenant_id, where)
        offset = 0 if behind is not None else page.offset
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                rows = await connection.fetch(walk.page, *asked, behind, page.limit + 1, offset, *also)
                total: int = await connection.fetchval(walk.total, *asked, *also)
        runs = tuple(run_of_row(row) for row in rows[: page.limit])
        more = len(rows) > page.limit
        return Page(runs, total, page.limit, page.offset, encode_cursor(runs[-1].id) if more and runs else None)

    async def attempts(self, tenant_id: TenantId, run_id: RunId) -> tuple[Attempt, ...]:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            await read_run(connection, tenant_id, run_id)
            rows = await connection.fetch(_LIST_ATTEMPTS, tenant_id, run_id)
        return tuple(_attempt(run_id, row) for row in rows)

    async def log_lines(
        self, tenant_id: TenantId, run_id: RunId, after: tuple[int, int], limit: int
    ) -> tuple[LogLine, ...]:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            await read_run(connection, tenant_id, run_id)
            rows = await connection.fetch(_READ_LINES_AFTER, tenant_id, run_id, *after, limit)
        return tuple(_log_line(run_id, row) for row in rows)

    async def log_tails(
        self, tenant_id: TenantId, run_ids: Sequence[RunId], lines_per_run: int
    ) -> dict[RunId, tuple[LogLine, ...]]:
        known = [run_id for run_id in run_ids if is_uuid(run_id)]
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            rows = await connection.fetch(_TAILS_OF_RUNS, tenant_id, known, lines_per_run)
        tails: dict[RunId, tuple[LogLine, ...]] = {}
        for text_id, group in groupby(rows, itemgetter("run_id")):
            tails[RunId(text_id)] = tuple(_log_line(RunId(text_id), row) for row in group)
        return tails

    async def latest_of_schedules(
        self, tenant_id: TenantId, schedule_ids: Sequence[ScheduleId], runs_per_schedule: int
    ) -> dict[ScheduleId, tuple[RunMark, ...]]:
        known = [schedule_id for schedule_id in schedule_ids if is_uuid(schedule_id)]
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            rows = await connection.fetch(_LATEST_OF_SCHEDULES, tenant_id, known, runs_per_schedule)
        return {
            ScheduleId(text_id): tuple(RunMark(RunId(row["id"]), row["state"], row["due_at"]) for row in group)
            for text_id, group in groupby(rows, itemgetter("schedule_id"))
        }

    async def count_by_state(self, tenant_id: TenantId, since_hours: int) -> dict[str, int]:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            rows = await connection.fetch(_COUNT_BY_STATE, tenant_id, since_hours)
        return {row["state"]: row["runs_count"] for row in rows}


async def walk_runs(
    connection: Connection, tenant_id: TenantId, where: RunFilter, before_id: str | None, page: PageRequest
) -> tuple[Run, ...]:
    """A page without its total, inside a transaction of the tenant's: the first `page.limit` runs below an id."""
    if where.schedule_id is not None and not is_uuid(where.schedule_id):
        return ()
    asked, also = _conditions(tenant_id, where)
    rows = await connection.fetch(_walk_for(where).page, *asked, before_id, page.limit, 0, *also)
    return tuple(run_of_row(row) for row in rows)


def _conditions(tenant_id: TenantId, where: RunFilter) -> tuple[tuple[object, ...], tuple[object, ...]]:
    """The parameters of every walk: the first six, and the last three."""
    asked = (tenant_id, where.created_after, where.task, where.queue, where.state, where.schedule_id)
    return asked, (where.created_before, where.failure_class, where.dead_lettered)


async def read_run(connection: Connection, tenant_id: TenantId, run_id: RunId) -> Run:
    """The run, inside a transaction of the tenant's. Raises NOT_FOUND."""
    row = await connection.fetchrow(_READ_RUN, tenant_id, run_id) if is_uuid(run_id) else None
    if row is None:
        raise not_found("run", run_id)
    return run_of_row(row)


def _walk_for(where: RunFilter) -> _Walk:
    if where.state in _LIVE_WALKS:
        return _LIVE_WALKS[where.state]
    if where.schedule_id is not None:
        return _OF_SCHEDULE
    return _WITHOUT_SUCCESS if where.state in _STATES_WITHOUT_SUCCESS else _RECENT


def _cursor_id(page: PageRequest) -> str | None:
    if page.cursor is None:
        return None
    (run_id,) = decode_cursor(page.cursor, 1)
    if not is_uuid(run_id):
        raise cursor_refused()
    return run_id


def _log_line(run_id: RunId, row: Row) -> LogLine:
    return LogLine(run_id, row["attempt_no"], row["seq"], row["at"], row["stream"], row["text"])


def _attempt(run_id: RunId, row: Row) -> Attempt:
    return Attempt(
        run_id=run_id,
        attempt_no=row["attempt_no"],
        worker_id=optional_worker(row["worker_id"]),
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        outcome=row["outcome"],
        error=optional_error(row["error"]),
    )
