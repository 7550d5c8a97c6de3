"""The leader's watch over check-ins: it sleeps until the next deadline, and marks what has passed.

It needs no fence: the row of a check-in that is marked has no deadline any more, so that two watchers tell a miss once.
An idle watch costs one look per `POLL_SECONDS`; a check-in that is made meanwhile is found by the next one.
"""

from rota.ports.check_in_store import CheckInDeadlines
from rota.ports.clock import Clock
from rota.services.leadership import Leadership
from rota.services.waiting import wait_for_any

POLL_SECONDS = 5.0
# A deadline that passed and could not be marked is being pinged: it is not asked for without a pause.
SPACING_SECONDS = 0.1
STANDBY_SECONDS = 60.0
MISSED_PER_ROUND_MAX = 500


class CheckInWatch:
    """`run` is its loop."""

    def __init__(self, deadlines: CheckInDeadlines, leadership: Leadership, clock: Clock) -> None:
        self._deadlines = deadlines
        self._leadership = leadership
        self._clock = clock
        self._changed = leadership.subscribe()

    async def run(self) -> None:
        """Until it is cancelled. Raises Unavailable; the next run begins with a look."""
        while True:
            self._changed.clear()
            leads = self._leadership.fence() is not None
            pause = await self.round() if leads else STANDBY_SECONDS
            await wait_for_any([self._changed], self._clock, pause)

    async def round(self) -> float:
        """One look and what it calls for; gives the seconds until the next one."""
        next_in = await self._deadlines.next_deadline_in_seconds()
        if next_in is not None and next_in <= 0:
            await self._deadlines.mark_missed(MISSED_PER_ROUND_MAX)
            return SPACING_SECONDS
        return POLL_SECONDS if next_in is None else min(POLL_SECONDS, next_in + SPACING_SECONDS)
