"""Fan-out in PostgreSQL: workers and the leader through the service login, tenants through row-level security."""

from collections.abc import Sequence
from typing import Any

import msgspec

from rota.core.fan_out import with_items
from rota.domain.errors import Bug, Stale, not_found
from rota.domain.fan_out import (
    SEGMENT_BYTES_MAX,
    EndedFanOut,
    FanOut,
    Impact,
    ImpactSnapshot,
    Segment,
    SegmentCounts,
    SegmentRef,
    Selector,
)
from rota.domain.ids import AttemptToken, RunId, TenantId
from rota.domain.page import Page, PageRequest
from rota.domain.targets import Target
from rota.ports.fan_out_store import Cut, FanOutLook, Launch, PlanningAttempt
from rota.storage.page_cursor import cursor_refused, decode_cursor, encode_cursor, is_uuid
from rota.storage.postgres.connections import tenant_transaction
from rota.storage.postgres.driver import Pool, Row
from rota.storage.postgres.query_files import query
from rota.storage.postgres.run_rows import target_of
from rota.storage.postgres.single_statements import SingleStatements

_STAGE_ITEMS = query("impact/stage_items")
_STAGE_UNSUCCESSFUL = query("impact/stage_unsuccessful")
_CUT_SEGMENTS = query("impact/cut_segments")
_LAUNCH_SEGMENTS = query("impact/launch_segments")
_READ_SLICES = query("impact/read_slices")
_FIND_SNAPSHOT = query("impact/find_snapshot")
_READ_IMPACT = query("impact/read_impact")
_PAGE_ITEMS = query("impact/page_items")
_PAGE_SEGMENTS = query("impact/page_segments")
_LOOK_OPEN = query("fan_outs/look_open")
_LIST_ENDED = query("fan_outs/list_ended")
_END_SEGMENTS = query("fan_outs/end_segments")
_STOP_SEGMENTS = query("fan_outs/stop_segments")
_CLOSE_SETTLED = query("fan_outs/close_settled")


class PostgresFanOutPlans:
    """See `rota.ports.fan_out_store.FanOutPlans`."""

    def __init__(self, service_pool: Pool, *, pooled_by_transaction: bool = False) -> None:
        self._statements = SingleStatements(service_pool, pooled_by_transaction=pooled_by_transaction)

    async def stage_items(self, attempt: PlanningAttempt, items: Sequence[str]) -> None:
        row = await self._row("keeping items", _STAGE_ITEMS, *_key(attempt), items)
        if not row["is_current"]:
            raise Stale(f"the attempt that plans run {attempt.run_id} is no longer current")

    async def stage_unsuccessful(
        self, attempt: PlanningAttempt, of_run: RunId, after_no: int, segments_max: int
    ) -> int | None:
        row = await self._row("taking over items", _STAGE_UNSUCCESSFUL, *_key(attempt), of_run, after_no, segments_max)
        last_no: int | None = row["last_no"]
        return last_no

    async def cut_segments(self, attempt: PlanningAttempt, segment_size: int, segments_max: int) -> Cut:
        row = await self._row(
            "cutting segments", _CUT_SEGMENTS, *_key(attempt), segment_size, SEGMENT_BYTES_MAX, segments_max
        )
        return Cut(row["segments_count"], is_all=row["cut_count"] < segments_max)

    async def launch(self, attempt: PlanningAttempt, fan_out: FanOut) -> Launch:
        row = await self._row(
            "launching segments",
            _LAUNCH_SEGMENTS,
            *_key(attempt),
            fan_out.segment_size,
            fan_out.tolerated_failures,
            fan_out.on_segment_failure == "cancel_others",
            fan_out.timeout_seconds,
            fan_out.plan_only,
        )
        return Launch(row["outcome"], row["items_total"] or 0, row["segments_count"] or 0)

    async def read_slices(self, segments: Sequence[tuple[TenantId, SegmentRef]]) -> dict[SegmentRef, Target]:
        rows = await self._statements.fetch(
            "reading segments",
            _READ_SLICES,
            [tenant_id for tenant_id, _ in segments],
            [ref.run_id for _, ref in segments],
            [ref.segment_no for _, ref in segments],
        )
        return {segments[row["n"] - 1][1]: with_items(target_of(row["target"]), _values(row["items"])) for row in rows}

    async def has_snapshot(self, tenant_id: TenantId, run_id: RunId) -> bool:
        row = await self._row("looking for a snapshot", _FIND_SNAPSHOT, tenant_id, run_id)
        return bool(row["is_there"])

    async def _row(self, doing: str, statement: str, *args: object) -> Row:
        row = await self._statements.fetch_one(doing, statement, *args)
        if row is None:
            raise Bug(f"{doing} gave no row")
        return row


class PostgresFanOutKeeping:
    """See `rota.ports.fan_out_store.FanOutKeeping`."""

    def __init__(self, service_pool: Pool, *, pooled_by_transaction: bool = False) -> None:
        self._statements = SingleStatements(service_pool, pooled_by_transaction=pooled_by_transaction)

    async def look(self) -> FanOutLook:
        (row,) = await self._statements.fetch("looking for fan-outs", _LOOK_OPEN)
        return FanOutLook(row["has_open"], row["must_stop"], row["has_ended"])

    async def end_segments(self, limit: int) -> int:
        (row,) = await self._statements.fetch("ending segments", _END_SEGMENTS, limit)
        return int(row["ends_count"])

    async def stop_segments(self, limit: int) -> int:
        (row,) = await self._statements.fetch("stopping segments", _STOP_SEGMENTS, limit)
        return int(row["children_count"])

    async def list_ended(self, limit: int) -> tuple[EndedFanOut, ...]:
        rows = await self._statements.fetch("listing ended fan-outs", _LIST_ENDED, limit)
        return tuple(_ended(row) for row in rows)

    async def close(self, ended: Sequence[EndedFanOut]) -> None:
        run_ids, tokens = [one.run_id for one in ended], [one.token for one in ended]
        await self._statements.fetch("closing fan-outs", _CLOSE_SETTLED, run_ids, tokens)


class PostgresImpactReader:
    """See `rota.ports.fan_out_store.ImpactReader`."""

    def __init__(self, api_pool: Pool) -> None:
        self._pool = api_pool

    async def get(self, tenant_id: TenantId, run_id: RunId) -> Impact:
        (row,) = await self._rows(_READ_IMPACT, tenant_id, run_id)
        return Impact(_snapshot(row), _counts_now(row))

    async def page_items(self, tenant_id: TenantId, run_id: RunId, page: PageRequest) -> Page[Any]:
        (after,) = ("",) if page.cursor is None else decode_cursor(page.cursor, 1)
        rows = await self._rows(_PAGE_ITEMS, tenant_id, run_id, after, *_bounds(page))
        items = [row["id"] for row in rows if row["id"] is not None]
        shown = items[: page.limit]
        cursor = encode_cursor(shown[-1]) if len(items) > page.limit else None
        return Page(tuple(_values(shown)), rows[0]["total_count"], page.limit, page.offset, cursor)

    async def page_segments(self, tenant_id: TenantId, run_id: RunId, page: PageRequest) -> Page[Segment]:
        rows = await self._rows(_PAGE_SEGMENTS, tenant_id, run_id, _number_behind(page), *_bounds(page))
        segments = [_segment(run_id, row) for row in rows if row["id"] is not None]
        shown = tuple(segments[: page.limit])
        cursor = encode_cursor(str(shown[-1].segment_no)) if len(segments) > page.limit else None
        return Page(shown, rows[0]["total_count"], page.limit, page.offset, cursor)

    async def _rows(self, statement: str, tenant_id: TenantId, run_id: RunId, *args: object) -> list[Row]:
        """At least one, where the run has a snapshot."""
        rows: list[Row] = []
        if is_uuid(run_id):
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                rows = await connection.fetch(statement, tenant_id, run_id, *args)
        if not rows:
            raise not_found("impact of run", run_id)
        return rows


def _key(attempt: PlanningAttempt) -> tuple[TenantId, RunId, AttemptToken]:
    return attempt.tenant_id, attempt.run_id, attempt.token


def _bounds(page: PageRequest) -> tuple[int, int]:
    return page.limit + 1, page.offset if page.cursor is None else 0


def _number_behind(page: PageRequest) -> int:
    if page.cursor is None:
        return 0
    (text,) = decode_cursor(page.cursor, 1)
    if not (text.isascii() and text.isdecimal() and len(text) < 9):
        raise cursor_refused()
    return int(text)


def _values(items: Sequence[str]) -> list[Any]:
    return [msgspec.json.decode(item) for item in items]


def _snapshot(row: Row) -> ImpactSnapshot:
    return ImpactSnapshot(
        RunId(row["run_id"]),
        TenantId(row["tenant_id"]),
        msgspec.convert(row["selector"], Selector),
        row["items_total"],
        row["segments_count"],
        row["segment_size"],
        row["planned_at"],
    )


def _counts_now(row: Row) -> SegmentCounts:
    return SegmentCounts(
        row["open"] - row["running"], row["running"], row["succeeded"], row["failed"], row["cancelled"]
    )


def _segment(run_id: RunId, row: Row) -> Segment:
    child = None if row["child_run_id"] is None else RunId(row["child_run_id"])
    first, last = _values([row["first_item"], row["last_item"]])
    return Segment(run_id, row["id"], row["items_count"], first, last, child, row["state"])


def _ended(row: Row) -> EndedFanOut:
    return EndedFanOut(
        RunId(row["run_id"]),
        AttemptToken(row["token"]),
        row["items_total"],
        SegmentCounts(0, 0, row["succeeded_count"], row["failed_count"], row["cancelled_count"]),
        row["tolerated_failures"],
        row["timeout_seconds"],
        row["stopped"],
    )
