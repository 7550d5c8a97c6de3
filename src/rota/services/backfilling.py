"""The leader's duty for backfills: sleeps until one has more to do, decides a step of each, applies it under the fence.

Where it ends, or leads no more, is nowhere but in the store: the next leader goes on with the next step. A step that
the store refuses (the backfill was cancelled, the schedule changed) is read and decided again.
"""

from rota.core.backfilling import keys_of, next_times, plan_step
from rota.domain.backfill import DueBackfill
from rota.domain.errors import Stale
from rota.domain.lease import Fence
from rota.ports.backfill_store import BackfillSteps
from rota.ports.clock import Clock
from rota.ports.wakeups import Wakeups
from rota.services.backfill_verbs import BACKFILLS_TOPIC
from rota.services.leadership import Leadership
from rota.services.waiting import wait_for_any

POLL_SECONDS = 5.0
STANDBY_SECONDS = 60.0
SPACING_SECONDS = 0.05
# A step that was refused is not tried again at once, nor is one asked for that this version cannot read.
IN_VAIN_SECONDS = 1.0
BACKFILLS_PER_ROUND_MAX = 20


class Backfilling:
    """`run` is its loop."""

    def __init__(self, steps: BackfillSteps, leadership: Leadership, wakeups: Wakeups, clock: Clock) -> None:
        self._steps = steps
        self._leadership = leadership
        self._wakeups = wakeups
        self._clock = clock
        self._changed = leadership.subscribe()
        self._asked = wakeups.subscribe(BACKFILLS_TOPIC)

    async def run(self) -> None:
        """Until it is cancelled. Raises Unavailable; the next run begins with a look."""
        while True:
            self._changed.clear()
            self._asked.clear()
            fence = self._leadership.fence()
            pause = STANDBY_SECONDS if fence is None else await self.round(fence)
            await wait_for_any([self._changed, self._asked], self._clock, pause)

    async def round(self, fence: Fence) -> float:
        """One look and what it calls for; gives the seconds until the next one."""
        next_in = await self._steps.next_in_seconds()
        if next_in is None or next_in > 0:
            return POLL_SECONDS if next_in is None else min(POLL_SECONDS, next_in)
        try:
            applied = [await self._step(fence, due) for due in await self._steps.list_due(BACKFILLS_PER_ROUND_MAX)]
        except Stale:
            self._leadership.refuse(fence.epoch)
            return IN_VAIN_SECONDS
        return SPACING_SECONDS if any(applied) else IN_VAIN_SECONDS

    async def _step(self, fence: Fence, due: DueBackfill) -> bool:
        times = next_times(due.backfill)
        keys = keys_of(due.backfill.triggers, times)
        step = plan_step(due, times, await self._steps.known_keys(due.backfill.tenant_id, keys))
        applied = await self._steps.apply_step(fence, step)
        if applied and step.drafts:
            self._wakeups.announce(f"queue:{step.policies.queue}")
        return applied
