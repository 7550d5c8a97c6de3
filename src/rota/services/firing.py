"""Fires what is due: reads the longest due triggers, plans (`core.firing`), applies under the fence, until all is done.

A new leader catches up by the same code. It never acts without a fence, and gives its term up when the store says that
the fence is stale. What the store refused for one trigger (it was changed meanwhile) is simply read again.
"""

from msgspec import Struct

from rota.core.firing import plan_firing
from rota.domain.errors import Stale, Unavailable
from rota.domain.lease import Fence
from rota.ports.firing_store import FiringResult, FiringStore
from rota.ports.wakeups import Wakeups
from rota.services.leadership import Leadership

TRIGGERS_PER_BATCH_MAX = 1_000


class FiringSummary(Struct):
    """What one call of `fire_due` did."""

    runs_created: int = 0
    runs_skipped: int = 0
    triggers_advanced: int = 0
    triggers_refused: int = 0
    batches: int = 0

    def add(self, result: FiringResult) -> None:
        self.runs_created += result.runs_created
        self.runs_skipped += result.runs_skipped
        self.triggers_advanced += result.advanced
        self.triggers_refused += result.refused
        self.batches += 1


class Firing:
    """The leader's main duty. One call of `fire_due` at a time."""

    def __init__(self, store: FiringStore, leadership: Leadership, wakeups: Wakeups) -> None:
        self._store = store
        self._leadership = leadership
        self._wakeups = wakeups
        self._limit = TRIGGERS_PER_BATCH_MAX

    async def fire_due(self) -> FiringSummary:
        """Until nothing is due, or this process leads no more. Raises Unavailable; nothing fires twice for it."""
        summary = FiringSummary()
        while (fence := self._leadership.fence()) is not None:
            result = await self._fire_batch(fence)
            if result is None:
                break
            summary.add(result)
            if result.advanced == 0:
                break
        return summary

    async def _fire_batch(self, fence: Fence) -> FiringResult | None:
        """None where nothing was due, or the fence was stale."""
        batch = await self._store.due_triggers(self._limit)
        advances = plan_firing(batch)
        if not advances:
            return None
        try:
            result = await self._store.apply(fence, advances)
        except Stale:
            self._leadership.refuse(fence.epoch)
            return None
        except Unavailable:
            # A batch that is too much for the statement's time limit must become smaller, or nothing ever fires.
            self._limit = max(1, self._limit // 2)
            raise
        self._limit = min(TRIGGERS_PER_BATCH_MAX, self._limit * 2)
        self._announce(result, cancels=any(advance.cancel_live for advance in advances))
        return result

    def _announce(self, result: FiringResult, *, cancels: bool) -> None:
        for queue in result.queues:
            self._wakeups.announce(f"queue:{queue}")
        if cancels:
            self._wakeups.announce("cancel")
