"""The supervisor's part of planning a fan-out: batches of items into the store, and the cut when the last one is there.

What a store does not answer is asked again for as long as the attempt lives: items are kept once, and a cut goes on
where the last one ended. What it refuses is told to the resolver as the reason why its attempt fails.
"""

from rota.domain.errors import DomainError, Stale, Unavailable
from rota.domain.fan_out import FanOut
from rota.domain.ids import RunId
from rota.domain.run import ClaimedRun
from rota.domain.targets import PlanTarget
from rota.ports.clock import Clock
from rota.ports.fan_out_store import FanOutPlans, PlanningAttempt
from rota.worker.answering import answered_in_time
from rota.worker.protocol import ItemsFound

RETRY_SECONDS = 0.3
SEGMENTS_PER_CUT_MAX = 50
SEGMENTS_PER_TAKE_OVER_MAX = 20


class ItemKeeper:
    """One batch of an attempt at a time: the resolver waits for the answer."""

    def __init__(self, plans: FanOutPlans, clock: Clock) -> None:
        self._plans = plans
        self._clock = clock

    async def keep(self, claimed: ClaimedRun, found: ItemsFound) -> str | None:
        """What is wrong, or None where the store has them. Does not end while the store is away."""
        while True:
            try:
                return await self._kept(claimed, found)
            except (DomainError, Stale) as refused:
                return refused.detail
            except Unavailable:
                await self._clock.sleep(RETRY_SECONDS)

    async def _kept(self, claimed: ClaimedRun, found: ItemsFound) -> str | None:
        if not isinstance(claimed.target, PlanTarget):
            return "this run does not fan out"
        attempt = PlanningAttempt(claimed.tenant_id, claimed.run_id, claimed.token)
        if found.items:
            async with answered_in_time():
                await self._plans.stage_items(attempt, found.items)
        if not found.is_last:
            return None
        if claimed.target.takes_over:
            gone = await self._take_over(attempt, claimed.target.fan_out)
            if gone is not None:
                return gone
        return await self._cut(attempt, claimed.target.fan_out)

    async def _take_over(self, attempt: PlanningAttempt, fan_out: FanOut) -> str | None:
        """What did not succeed in the run that is done again. If that is deleted meanwhile, this is a part of it."""
        last_no: int | None = 0
        if fan_out.again_for is None:
            return None
        again_for = RunId(fan_out.again_for)
        while last_no is not None:
            async with answered_in_time():
                last_no = await self._plans.stage_unsuccessful(attempt, again_for, last_no, SEGMENTS_PER_TAKE_OVER_MAX)
        async with answered_in_time():
            is_there = await self._plans.has_snapshot(attempt.tenant_id, again_for)
        return None if is_there else f"run {again_for}, whose segments this one does again, was deleted meanwhile"

    async def _cut(self, attempt: PlanningAttempt, fan_out: FanOut) -> str | None:
        while True:
            async with answered_in_time():
                cut = await self._plans.cut_segments(attempt, fan_out.segment_size, SEGMENTS_PER_CUT_MAX)
            if cut.segments_count > fan_out.segments_max:
                return f"the items need more than {fan_out.segments_max} segments; raise segments_max or segment_size"
            if cut.is_all:
                return None
