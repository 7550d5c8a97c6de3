"""The leader adds up what ended runs have left, level-triggered: whatever is there is taken, whoever left it and when.

It needs no fence: a delta is taken off in the statement that adds it, so that two leaders count it once. Nobody waits
for it: readers add what is not added up yet.
"""

from rota.ports.clock import Clock
from rota.ports.run_statistics import RunCounting
from rota.services.leadership import Leadership
from rota.services.resting import Rest
from rota.services.waiting import wait_for_any

# While runs end, so that each call has many; and while none does.
BUSY_SECONDS = 2.0
IDLE_SECONDS = 15.0
STANDBY_SECONDS = 60.0
DELTAS_PER_CALL_MAX = 200


class RunCountingDuty:
    """`run` is its loop."""

    def __init__(self, counting: RunCounting, leadership: Leadership, clock: Clock) -> None:
        self._counting = counting
        self._leadership = leadership
        self._clock = clock
        self._changed = leadership.subscribe()
        self._rest = Rest()

    async def run(self) -> None:
        """Until it is cancelled. Raises Unavailable; what was added stays added."""
        while True:
            self._changed.clear()
            leads = self._leadership.fence() is not None
            pause = await self.round() if leads else STANDBY_SECONDS
            await wait_for_any([self._changed], self._clock, pause)

    async def round(self) -> float:
        """All that is left; gives the seconds until the next look. A look that takes long, because a snapshot is held
        open elsewhere and what was taken off cannot be cleared, is made less often.
        """
        began = self._clock.monotonic_seconds()
        first = taken = await self._counting.add_up(DELTAS_PER_CALL_MAX)
        if first < DELTAS_PER_CALL_MAX:
            self._rest.looked(self._clock.monotonic_seconds() - began)
        while taken == DELTAS_PER_CALL_MAX and self._leadership.fence() is not None:
            taken = await self._counting.add_up(DELTAS_PER_CALL_MAX)
        return max(self._rest.seconds, BUSY_SECONDS if first else IDLE_SECONDS)
