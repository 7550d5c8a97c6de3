"""Fires what is due: reads the longest due triggers, plans (`core.firing`), applies under the fence, until all is done.

Lanes do so side by side, so that one batch is read and planned while the store applies another. They walk through what
is due together: batches are read one at a time, each behind the one before, and a schedule is never in two lanes, since
a plan must see what became of its schedule's last one. Each batch has its own fence, its own comparison of what was
read, and its own transaction, as if it were alone.

A new leader catches up by the same code. It never acts without a fence, and gives its term up when the store says that
the fence is stale. What the store refused for one trigger (it was changed meanwhile) is simply read again.
"""

import asyncio
from collections.abc import Sequence

import structlog
from msgspec import Struct

from rota.core.cycles import counts_of_batch, counts_of_unreadable
from rota.core.firing import plan_firing
from rota.domain.errors import Stale, Unavailable
from rota.domain.firing import DueBatch, DuePosition, TriggerAdvance, UnreadableTrigger
from rota.domain.ids import ScheduleId, TriggerId
from rota.domain.lease import Fence
from rota.ports.firing_store import FiringResult, FiringStore
from rota.ports.wakeups import Wakeups
from rota.services.check_cycles import CheckNotes
from rota.services.leadership import Leadership
from rota.telemetry.metrics import Metrics

TRIGGERS_PER_BATCH_MAX = 1_000
LANES = 2
# A call returns after so many batches, since the leader has other duties; a second's work.
BATCHES_PER_CALL_MAX = 24
# Each is told once; this many are remembered as told.
UNREADABLE_TOLD_MAX = 1_000

_log = structlog.get_logger("rota.services.firing")


class FiringSummary(Struct):
    """What one call of `fire_due` did. `is_done`: nothing more was due when it looked last."""

    runs_created: int = 0
    runs_skipped: int = 0
    triggers_advanced: int = 0
    triggers_refused: int = 0
    batches: int = 0
    is_done: bool = False

    def add(self, result: FiringResult) -> None:
        self.runs_created += result.runs_created
        self.runs_skipped += result.runs_skipped
        self.triggers_advanced += result.advanced
        self.triggers_refused += result.refused
        self.batches += 1


class _Walk:
    """One call's way through what is due. `busy` are the schedules of each lane's batch."""

    def __init__(self) -> None:
        self.summary = FiringSummary()
        self.reading = asyncio.Lock()
        self.position: DuePosition | None = None
        self.batches_left = BATCHES_PER_CALL_MAX
        self.has_ended = False
        self.busy: dict[int, frozenset[ScheduleId]] = {}

    def take(self, lane: int, batch: DueBatch, busy: frozenset[ScheduleId]) -> DueBatch:
        """What a lane may have of a batch that was read while others had `busy`: the rest is read again, later."""
        self.position = batch.end
        self.batches_left -= 1
        if batch.end is None:
            self.summary.is_done = self.has_ended = True
        free = tuple(due for due in batch.triggers if due.schedule_id not in busy)
        self.busy[lane] = frozenset(due.schedule_id for due in free)
        return DueBatch(batch.now, free)


class Firing:
    """The leader's main duty. One call of `fire_due` at a time."""

    def __init__(
        self,
        store: FiringStore,
        leadership: Leadership,
        wakeups: Wakeups,
        metrics: Metrics | None = None,
        notes: CheckNotes | None = None,
    ) -> None:
        self._store = store
        self._notes = notes or CheckNotes()
        self._leadership = leadership
        self._wakeups = wakeups
        self._metrics = metrics
        self._limit = TRIGGERS_PER_BATCH_MAX
        self._told: set[TriggerId] = set()

    async def fire_due(self) -> FiringSummary:
        """Until nothing is due, the call's bound is reached, or this process leads no more.

        Raises Unavailable; nothing fires twice for it. What the lanes have begun is finished first.
        """
        walk = _Walk()
        outcomes = await asyncio.gather(*(self._lane(walk, lane) for lane in range(LANES)), return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome
        return walk.summary

    async def _lane(self, walk: _Walk, lane: int) -> None:
        try:
            while (fence := self._leadership.fence()) is not None:
                batch = await self._next_batch(walk, lane)
                if batch is None:
                    break
                await self._fire_batch(walk, fence, batch)
        except BaseException:
            walk.has_ended = True
            raise
        finally:
            walk.busy.pop(lane, None)

    async def _next_batch(self, walk: _Walk, lane: int) -> DueBatch | None:
        """None where the walk has ended."""
        async with walk.reading:
            if walk.has_ended or walk.batches_left == 0:
                return None
            walk.busy.pop(lane, None)
            busy = frozenset[ScheduleId]().union(*walk.busy.values())
            batch = await self._store.due_triggers(self._limit, walk.position)
            self._notes.found(counts_of_unreadable(len(batch.unreadable)))
            self._tell_unreadable(batch.unreadable)
            return walk.take(lane, batch, busy)

    async def _fire_batch(self, walk: _Walk, fence: Fence, batch: DueBatch) -> None:
        advances = plan_firing(batch)
        if not advances:
            return
        try:
            result = await self._store.apply(fence, advances)
        except Stale:
            self._leadership.refuse(fence.epoch)
            walk.has_ended = True
            return
        except Unavailable:
            # A batch that is too much for the statement's time limit must become smaller, or nothing ever fires.
            self._limit = max(1, self._limit // 2)
            raise
        self._limit = min(TRIGGERS_PER_BATCH_MAX, self._limit * 2)
        walk.summary.add(result)
        self._notes.found(counts_of_batch(advances, result.runs_created, result.runs_skipped, result.refused))
        self._count(result, advances)
        self._announce(result, cancels=any(advance.cancel_live for advance in advances))

    def _count(self, result: FiringResult, advances: Sequence[TriggerAdvance]) -> None:
        if self._metrics is None or not result.advanced:
            return
        outcomes = {
            "fired": result.runs_created,
            "skipped": result.runs_skipped,
            "late": sum([advance.late_count for advance in advances]),
            "missed": sum([advance.dropped_count for advance in advances]),
        }
        for outcome, amount in outcomes.items():
            self._metrics.count("rota_fires_total", amount, outcome=outcome)

    def _tell_unreadable(self, unreadable: tuple[UnreadableTrigger, ...]) -> None:
        for each in unreadable:
            if each.trigger_id not in self._told and len(self._told) < UNREADABLE_TOLD_MAX:
                self._told.add(each.trigger_id)
                _log.error(
                    "trigger_unreadable",
                    tenant_id=each.tenant_id,
                    schedule_id=each.schedule_id,
                    trigger_id=each.trigger_id,
                    problem=each.problem,
                    remedy="it was stored by a newer version of Rota, which can fire it; or store the schedule anew",
                )

    def _announce(self, result: FiringResult, *, cancels: bool) -> None:
        for queue in result.queues:
            self._wakeups.announce(f"queue:{queue}")
        if cancels:
            self._wakeups.announce("cancel")
