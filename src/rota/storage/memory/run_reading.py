"""Runs as their tenant reads them, in memory: the oracle of `rota.storage.postgres.run_reading`."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from msgspec import structs

from rota.core.statistics import hour_of
from rota.domain.errors import not_found
from rota.domain.ids import RunId, ScheduleId, TenantId
from rota.domain.page import Page, PageRequest
from rota.domain.run import Attempt, LogLine, Run
from rota.domain.targets import SegmentTarget, TaskTarget
from rota.ports.run_store import RunFilter, RunMark
from rota.storage.memory.database import MemoryDatabase
from rota.storage.page_cursor import cursor_refused, decode_cursor, encode_cursor, is_uuid


class MemoryRunReader:
    """See `rota.ports.run_store.RunReader`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def get(self, tenant_id: TenantId, run_id: RunId) -> Run:
        return read_run(self._database, tenant_id, run_id)

    async def page(self, tenant_id: TenantId, where: RunFilter, page: PageRequest) -> Page[Run]:
        behind = None if page.cursor is None else decode_cursor(page.cursor, 1)[0]
        if behind is not None and not is_uuid(behind):
            raise cursor_refused()
        found = matching_runs(self._database, tenant_id, where)
        rest = found[page.offset :] if behind is None else [run for run in found if run.id < behind]
        shown = tuple(rest[: page.limit])
        more = len(rest) > page.limit
        return Page(shown, len(found), page.limit, page.offset, encode_cursor(shown[-1].id) if more and shown else None)

    async def attempts(self, tenant_id: TenantId, run_id: RunId) -> tuple[Attempt, ...]:
        run = read_run(self._database, tenant_id, run_id)
        ended = tuple(self._database.runs_state.attempts.get(run_id, ()))
        if run.state not in {"running", "succeeded"} or run.started_at is None:
            return ended
        outcome = "succeeded" if run.state == "succeeded" else None
        last = Attempt(run_id, run.attempts_count, run.worker_id, run.started_at, run.finished_at, outcome)
        return (*ended, last)

    async def log_lines(
        self, tenant_id: TenantId, run_id: RunId, after: tuple[int, int], limit: int
    ) -> tuple[LogLine, ...]:
        read_run(self._database, tenant_id, run_id)
        stored = self._database.runs_state.log_lines
        places = sorted(place for place in stored if place[0] == run_id and place[1:] > after)
        return tuple(structs.replace(stored[place]) for place in places[:limit])

    async def log_tails(
        self, tenant_id: TenantId, run_ids: Sequence[RunId], lines_per_run: int
    ) -> dict[RunId, tuple[LogLine, ...]]:
        tables = self._database.runs_state
        tails: dict[RunId, tuple[LogLine, ...]] = {}
        for run_id in run_ids:
            record = tables.records.get(run_id)
            places = sorted(place for place in tables.log_lines if place[0] == run_id)[-lines_per_run:]
            if places and record is not None and record.tenant_id == tenant_id:
                tails[run_id] = tuple(structs.replace(tables.log_lines[place]) for place in places)
        return tails

    async def latest_of_schedules(
        self, tenant_id: TenantId, schedule_ids: Sequence[ScheduleId], runs_per_schedule: int
    ) -> dict[ScheduleId, tuple[RunMark, ...]]:
        latest: dict[ScheduleId, tuple[RunMark, ...]] = {}
        for run in self._database.runs_state.of_tenant(tenant_id, self._database.now()):
            if run.schedule_id is not None and run.schedule_id in schedule_ids:
                known = latest.get(run.schedule_id, ())
                latest[run.schedule_id] = (*known, RunMark(run.id, run.state, run.due_at))[:runs_per_schedule]
        return latest

    async def count_by_state(self, tenant_id: TenantId, since_hours: int) -> dict[str, int]:
        now, tables = self._database.now(), self._database.runs_state
        since = hour_of(now - timedelta(hours=since_hours))
        live = [run.state for run in tables.of_tenant(tenant_id, now) if run.finished_at is None]
        ended = [run.state for run in tables.ended if run.tenant_id == tenant_id and run.ended_at >= since]
        return dict(Counter([*live, *ended]))


def read_run(database: MemoryDatabase, tenant_id: TenantId, run_id: RunId) -> Run:
    """Raises NOT_FOUND."""
    record = database.runs_state.records.get(run_id)
    if record is None or record.tenant_id != tenant_id:
        raise not_found("run", run_id)
    run = database.runs_state.joined(run_id, database.now())
    if run.state in {"queued", "scheduled"} and run.attempts_count > 0:
        return structs.replace(run, error=database.runs_state.attempts[run_id][-1].error)
    return run


def matching_runs(database: MemoryDatabase, tenant_id: TenantId, where: RunFilter) -> list[Run]:
    """Newest first."""
    return [run for run in database.runs_state.of_tenant(tenant_id, database.now()) if _matches(run, where)]


def _matches(run: Run, where: RunFilter) -> bool:
    task = run.target.task if isinstance(run.target, TaskTarget | SegmentTarget) else None
    return (
        (where.schedule_id is None or run.schedule_id == where.schedule_id)
        and (where.state is None or run.state == where.state)
        and (where.task is None or task == where.task)
        and (where.queue is None or run.queue == where.queue)
        and (where.created_after is None or run.created_at > where.created_after)
        and (where.created_before is None or run.created_at < where.created_before)
        and (where.failure_class is None or (run.error is not None and run.error.failure_class == where.failure_class))
        and (where.dead_lettered is None or run.dead_lettered == where.dead_lettered)
    )
