"""Fan-out in memory: the oracle of `rota.storage.postgres.fan_outs`."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from rota.core.fan_out import fan_out_of, first_slice, with_items
from rota.domain.errors import Bug, Stale, not_found
from rota.domain.event import EventDraft
from rota.domain.fan_out import (
    SEGMENT_BYTES_MAX,
    SEGMENT_FOLLOWER,
    EndedFanOut,
    FanOut,
    Impact,
    ImpactSnapshot,
    Segment,
    SegmentCounts,
    SegmentRef,
    StopCause,
)
from rota.domain.ids import AttemptToken, RunId, TenantId
from rota.domain.page import Page, PageRequest
from rota.domain.run import AWAITING_SEGMENTS, RunDraft
from rota.domain.targets import SegmentTarget, Target, TaskTarget
from rota.ports.fan_out_store import Cut, FanOutLook, Launch, PlanningAttempt
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.fan_out_tables import FanOutTables, OpenFanOut, Plan, StoredSegment
from rota.storage.memory.paging import page_of
from rota.storage.memory.run_tables import LiveRun
from rota.storage.page_cursor import cursor_refused, decode_cursor

_WHY = {"cancelled": "was cancelled", "timed_out": "timed out", "too_many_failures": "failed"}


class _FanOuts:
    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._runs = database.runs_state
        self._tables: FanOutTables = database.fan_outs_state


class MemoryFanOutPlans(_FanOuts):
    """See `rota.ports.fan_out_store.FanOutPlans`."""

    async def stage_items(self, attempt: PlanningAttempt, items: Sequence[str]) -> None:
        if self._held(attempt) is None:
            raise Stale(f"the attempt that plans run {attempt.run_id} is no longer current")
        self._plan(attempt).items.update(items)

    async def stage_unsuccessful(
        self, attempt: PlanningAttempt, of_run: RunId, after_no: int, segments_max: int
    ) -> int | None:
        if not await self.has_snapshot(attempt.tenant_id, of_run):
            return None
        segments = self._tables.plan_of(of_run).segments
        left = [n for n, one in enumerate(segments, 1) if n > after_no and one.state != "succeeded"][:segments_max]
        for n in left:
            self._plan(attempt).items.update(segments[n - 1].items)
        return left[-1] if left else None

    async def cut_segments(self, attempt: PlanningAttempt, segment_size: int, segments_max: int) -> Cut:
        plan = self._plan(attempt)
        done = {item for segment in plan.segments for item in segment.items}
        left, cut_count = sorted(plan.items - done), 0
        while left and cut_count < segments_max:
            plan.segments.append(StoredSegment(tuple(first_slice(left, segment_size, SEGMENT_BYTES_MAX))))
            left = left[len(plan.segments[-1].items) :]
            cut_count += 1
        return Cut(len(plan.segments), is_all=cut_count < segments_max)

    async def launch(self, attempt: PlanningAttempt, fan_out: FanOut) -> Launch:
        known = self._tables.snapshots.get(attempt.run_id)
        live = self._held(attempt)
        if live is None:
            if known is not None and known[1] == attempt.token:
                return Launch("launched", known[0].items_total, known[0].segments_count)
            return Launch("stale")
        if live.cancel_requested_at is not None:
            return Launch("cancelled")
        snapshot, planned_by = known or (self._snapshot(attempt, fan_out), attempt.token)
        self._tables.snapshots[attempt.run_id] = snapshot, planned_by
        if fan_out.plan_only or snapshot.segments_count == 0:
            return Launch("planned", snapshot.items_total, snapshot.segments_count)
        for n, segment in enumerate(self._tables.plan_of(attempt.run_id).segments, 1):
            if segment.child_run_id is None:
                segment.child_run_id, segment.state = self._born(live, n, snapshot.segments_count), "open"
        self._await_segments(live, fan_out)
        facts = {"items_total": snapshot.items_total, "segments_count": snapshot.segments_count}
        self._database.record_events([EventDraft("FanOutLaunched", live.tenant_id, live.run_id, "", facts)])
        return Launch("launched", snapshot.items_total, snapshot.segments_count)

    async def read_slices(self, segments: Sequence[tuple[TenantId, SegmentRef]]) -> dict[SegmentRef, Target]:
        found: dict[SegmentRef, Target] = {}
        for tenant_id, ref in segments:
            if await self.has_snapshot(tenant_id, ref.run_id):
                cut = self._tables.plan_of(ref.run_id).segments[ref.segment_no - 1 : ref.segment_no]
                target = self._runs.records[ref.run_id].target
                for one in cut:
                    found[ref] = with_items(target, [msgspec.json.decode(item) for item in one.items])
        return found

    async def has_snapshot(self, tenant_id: TenantId, run_id: RunId) -> bool:
        known = self._tables.snapshots.get(run_id)
        return known is not None and known[0].tenant_id == tenant_id

    def _plan(self, attempt: PlanningAttempt) -> Plan:
        return self._tables.plans.setdefault((attempt.run_id, attempt.token), Plan())

    def _held(self, attempt: PlanningAttempt) -> LiveRun | None:
        live = self._runs.live.get(attempt.run_id)
        if live is None or live.token != attempt.token or live.worker_id in (None, AWAITING_SEGMENTS):
            return None
        return live

    def _snapshot(self, attempt: PlanningAttempt, fan_out: FanOut) -> ImpactSnapshot:
        plan, stored = self._plan(attempt), fan_out_of(self._runs.records[attempt.run_id].target)
        if stored is None:
            raise Bug("a run was planned that does not fan out")
        total = sum(len(segment.items) for segment in plan.segments)
        return ImpactSnapshot(
            attempt.run_id,
            attempt.tenant_id,
            stored.selector,
            total,
            len(plan.segments),
            fan_out.segment_size,
            self._database.now(),
        )

    def _born(self, live: LiveRun, segment_no: int, segments_count: int) -> RunId:
        record, run_id = self._runs.records[live.run_id], RunId(self._database.new_id())
        task = record.target.task if isinstance(record.target, TaskTarget) else None
        draft = RunDraft(
            live.tenant_id,
            SegmentTarget(live.run_id, segment_no, task),
            replace(record.policy, serial=False),
            live.queue,
            live.priority,
            fire_at=record.fire_at,
            reason=f"segment {segment_no} of {segments_count} of run {live.run_id}",
            created_by=record.created_by,
            followers=(SEGMENT_FOLLOWER,),
        )
        now = self._database.now()
        self._runs.create(run_id, draft, now)
        self._runs.live[run_id].due_at = now
        self._runs.records[run_id] = replace(self._runs.records[run_id], due_at=now)
        return run_id

    def _await_segments(self, live: LiveRun, fan_out: FanOut) -> None:
        live.worker_id, live.hard_deadline_at = AWAITING_SEGMENTS, None
        live.token = ((live.token >> 32) + 1) << 32 | 0xFFFFFFFF
        deadline_at = self._database.now() + timedelta(seconds=fan_out.timeout_seconds)
        waits = OpenFanOut(live.tenant_id, AttemptToken(live.token), fan_out, deadline_at)
        self._tables.waiting[live.run_id] = waits


class MemoryFanOutKeeping(_FanOuts):
    """See `rota.ports.fan_out_store.FanOutKeeping`."""

    async def look(self) -> FanOutLook:
        waiting = self._tables.waiting
        must_stop = any(one.stopped or self._cause(run_id, one) for run_id, one in waiting.items())
        return FanOutLook(bool(waiting), must_stop, bool(await self.list_ended(1)))

    async def end_segments(self, limit: int) -> int:
        taken = [(name, end) for name, end in self._runs.ends if name == SEGMENT_FOLLOWER][:limit]
        for told in taken:
            self._runs.ends.remove(told)
            target = self._runs.records[told[1].run_id].target
            if not isinstance(target, SegmentTarget):
                raise Bug("a run is followed as a segment that is none")
            segment = self._tables.plan_of(target.run_id).segments[target.segment_no - 1]
            if segment.child_run_id == told[1].run_id:
                segment.state = told[1].state
            self._judge(target.run_id)
        return len(taken)

    async def stop_segments(self, limit: int) -> int:
        for run_id, one in self._tables.waiting.items():
            one.stopped = one.stopped or self._cause(run_id, one)
        children = [
            (live, f"run {run_id}, whose segment it was, {_WHY[one.stopped]}")
            for run_id, one in self._tables.waiting.items()
            if one.stopped is not None
            for segment in self._tables.plan_of(run_id).segments
            if segment.child_run_id is not None and segment.state == "open"
            if (live := self._runs.live.get(segment.child_run_id)) and live.cancel_requested_at is None
        ]
        for live, why in sorted(children, key=lambda child: child[0].run_id)[:limit]:
            self._stop(live, why)
        return len(children[:limit])

    async def list_ended(self, limit: int) -> tuple[EndedFanOut, ...]:
        ended: list[EndedFanOut] = []
        for run_id, one in sorted(self._tables.waiting.items()):
            counts = _counts(self._tables.plan_of(run_id))
            if counts.queued == 0:
                total, allowed = self._tables.snapshots[run_id][0].items_total, one.fan_out.tolerated_failures
                seconds = one.fan_out.timeout_seconds
                ended.append(EndedFanOut(run_id, one.token, total, counts, allowed, seconds, one.stopped))
        return tuple(ended[:limit])

    async def close(self, ended: Sequence[EndedFanOut]) -> None:
        for one in ended:
            waits = self._tables.waiting.get(one.run_id)
            if waits is not None and waits.token == one.token:
                del self._tables.waiting[one.run_id]

    def _cause(self, run_id: RunId, one: OpenFanOut) -> StopCause | None:
        live = self._runs.live.get(run_id)
        if live is not None and live.cancel_requested_at is not None:
            return "cancelled"
        return "timed_out" if one.deadline_at <= self._database.now() else None

    def _judge(self, run_id: RunId) -> None:
        one = self._tables.waiting.get(run_id)
        if one is None or one.stopped or one.fan_out.on_segment_failure != "cancel_others":
            return
        counts = _counts(self._tables.plan_of(run_id))
        if counts.failed + counts.cancelled > one.fan_out.tolerated_failures:
            one.stopped = "too_many_failures"

    def _stop(self, live: LiveRun, why: str) -> None:
        now = self._database.now()
        if live.state == "running":
            live.cancel_requested_at = now
            return
        facts = {"schedule_id": None, "attempt_no": live.attempts_count, "reason": why}
        self._database.record_events([EventDraft("RunCancelled", live.tenant_id, live.run_id, "", facts)])
        self._runs.end(live.run_id, now, "cancelled", reason=why)


class MemoryImpactReader(_FanOuts):
    """See `rota.ports.fan_out_store.ImpactReader`."""

    async def get(self, tenant_id: TenantId, run_id: RunId) -> Impact:
        plan = self._planned(tenant_id, run_id)
        counts = _counts(plan)
        running = sum(
            (live := self._runs.live.get(one.child_run_id)) is not None and live.state == "running"
            for one in plan.segments
            if one.child_run_id is not None and one.state == "open"
        )
        return Impact(
            self._tables.snapshots[run_id][0], replace(counts, queued=counts.queued - running, running=running)
        )

    async def page_items(self, tenant_id: TenantId, run_id: RunId, page: PageRequest) -> Page[Any]:
        plan = self._planned(tenant_id, run_id)
        items = [item for segment in plan.segments for item in segment.items]
        after = None if page.cursor is None else decode_cursor(page.cursor, 1)
        found = page_of(items, lambda item: (item,), page, after)
        values = tuple(msgspec.json.decode(item) for item in found.items)
        return Page(values, found.total_count, found.limit, found.offset, found.next_cursor)

    async def page_segments(self, tenant_id: TenantId, run_id: RunId, page: PageRequest) -> Page[Segment]:
        plan = self._planned(tenant_id, run_id)
        found = [self._segment(run_id, n, one) for n, one in enumerate(plan.segments, 1)]
        after = None
        if page.cursor is not None:
            (text,) = decode_cursor(page.cursor, 1)
            if not text.isdecimal():
                raise cursor_refused()
            after = (f"{int(text):09d}",)
        return page_of(found, lambda segment: (f"{segment.segment_no:09d}",), page, after)

    def _segment(self, run_id: RunId, n: int, one: StoredSegment) -> Segment:
        first, last = msgspec.json.decode(one.items[0]), msgspec.json.decode(one.items[-1])
        child = one.child_run_id
        state: Any = None if child is None else self._runs.joined(child, self._database.now()).state
        return Segment(run_id, n, len(one.items), first, last, child, state)

    def _planned(self, tenant_id: TenantId, run_id: RunId) -> Plan:
        known = self._tables.snapshots.get(run_id)
        if known is None or known[0].tenant_id != tenant_id:
            raise not_found("impact of run", run_id)
        return self._tables.plan_of(run_id)


def _counts(plan: Plan) -> SegmentCounts:
    """Those that are open are told as queued."""
    states = Counter(segment.state for segment in plan.segments)
    return SegmentCounts(states["open"], 0, states["succeeded"], states["failed"], states["cancelled"])
