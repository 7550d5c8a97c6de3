"""The leader's part of fan-outs: it counts segments as they end, stops those that are to stop, and ends the runs.

It needs no fence: an end is counted and taken off the list in one transaction, a run that waits is settled under its
own token, and cancelling twice is cancelling once. Whatever crashes in between, the next look finds what is left. An
idle watch costs one look per `POLL_SECONDS`.
"""

import asyncio

from rota.core.fan_out import decide_end
from rota.domain.fan_out import SEGMENT_FOLLOWER
from rota.ports.clock import Clock
from rota.ports.fan_out_store import FanOutKeeping
from rota.ports.run_store import RunClaims
from rota.ports.wakeups import Wakeups
from rota.services.leadership import Leadership
from rota.services.waiting import wait_for_any

POLL_SECONDS = 5.0
# While a run waits for its segments: so soon is its cancellation seen.
OPEN_POLL_SECONDS = 1.0
SPACING_SECONDS = 0.05
STANDBY_SECONDS = 60.0
ENDS_PER_BATCH_MAX = 500
STOPS_PER_BATCH_MAX = 200
RUNS_PER_BATCH_MAX = 200
CANCEL_TOPIC = "cancel"


class SegmentFollower:
    """Counts ended segments; see `rota.services.following`. `counted` is set when some were."""

    def __init__(self, keeping: FanOutKeeping) -> None:
        self._keeping = keeping
        self.counted = asyncio.Event()

    @property
    def name(self) -> str:
        return SEGMENT_FOLLOWER

    async def work_off(self) -> bool:
        ends_count = await self._keeping.end_segments(ENDS_PER_BATCH_MAX)
        if ends_count:
            self.counted.set()
        return ends_count == ENDS_PER_BATCH_MAX


class FanOutWatch:
    """`run` is its loop."""

    def __init__(
        self,
        keeping: FanOutKeeping,
        claims: RunClaims,
        follower: SegmentFollower,
        leadership: Leadership,
        wakeups: Wakeups,
        *,
        clock: Clock,
    ) -> None:
        self._keeping = keeping
        self._claims = claims
        self._counted = follower.counted
        self._leadership = leadership
        self._wakeups = wakeups
        self._clock = clock
        self._changed = leadership.subscribe()
        self._cancelled = wakeups.subscribe(CANCEL_TOPIC)

    async def run(self) -> None:
        """Until it is cancelled. Raises Unavailable; the next run begins with a look."""
        calls = [self._changed, self._counted, self._cancelled]
        while True:
            for call in calls:
                call.clear()
            leads = self._leadership.fence() is not None
            pause = await self.round() if leads else STANDBY_SECONDS
            await self._clock.sleep(SPACING_SECONDS)
            await wait_for_any(calls if leads else [self._changed], self._clock, pause)

    async def round(self) -> float:
        """One look and what it calls for; gives the seconds until the next one."""
        look = await self._keeping.look()
        if look.must_stop:
            await self._stop()
        if look.has_ended:
            await self._end()
        return OPEN_POLL_SECONDS if look.has_open else POLL_SECONDS

    async def _stop(self) -> None:
        stopped_count = STOPS_PER_BATCH_MAX
        while stopped_count == STOPS_PER_BATCH_MAX:
            stopped_count = await self._keeping.stop_segments(STOPS_PER_BATCH_MAX)
            if stopped_count:
                self._wakeups.announce(CANCEL_TOPIC)  # for the workers that hold some of them

    async def _end(self) -> None:
        """A settlement that is refused was made before: by us, or by another leader."""
        ended = await self._keeping.list_ended(RUNS_PER_BATCH_MAX)
        while ended:
            results = await self._claims.settle_batch([decide_end(one) for one in ended])
            await self._keeping.close(ended)
            for queue in {queue for result in results for queue in result.startable_queues}:
                self._wakeups.announce(f"queue:{queue}")
            ended = await self._keeping.list_ended(RUNS_PER_BATCH_MAX)
