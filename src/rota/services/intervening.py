"""The leader's part in interventions: noting failures as they are told, and ending cool-offs by the store's clock.

It needs no fence: the end of a failed run is taken off in the transaction that acts on it, and a schedule that has
resumed has no cool-off any more, so that two leaders do each thing once.
"""

from collections.abc import Callable

from rota.domain.run import FailureClass
from rota.ports.clock import Clock
from rota.ports.intervention_store import FOLLOWER, InterventionDuties
from rota.services.leadership import Leadership
from rota.services.waiting import wait_for_any

# A batch holds the schedules that it judges: few at a time, so that none of them fires late.
ENDS_AT_ONCE_MAX = 20
RESUMED_AT_ONCE_MAX = 20
POLL_SECONDS = 10.0
# One whose cool-off has ended and that did not resume is being changed: it is not asked for without a pause.
SPACING_SECONDS = 0.1
STANDBY_SECONDS = 60.0


class Intervening:
    """The follower of failed runs (see `rota.services.following`). `count` is told why each schedule stopped."""

    name = FOLLOWER

    def __init__(self, duties: InterventionDuties, count: Callable[[FailureClass], None]) -> None:
        self._duties = duties
        self._count = count

    async def work_off(self) -> bool:
        """One batch; True where more may be left."""
        found = await self._duties.note_failures(ENDS_AT_ONCE_MAX)
        for failure_class in found.stopped:
            self._count(failure_class)
        return found.ends_count == ENDS_AT_ONCE_MAX


class CoolOffWatch:
    """`run` is its loop. `resumed` is called when schedules fire again, for the leader to look at them."""

    def __init__(
        self, duties: InterventionDuties, leadership: Leadership, clock: Clock, resumed: Callable[[], None]
    ) -> None:
        self._duties = duties
        self._leadership = leadership
        self._clock = clock
        self._resumed = resumed
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
        next_in = await self._duties.next_cool_off_in_seconds()
        if next_in is not None and next_in <= 0:
            if await self._duties.resume_cooled(RESUMED_AT_ONCE_MAX):
                self._resumed()
            return SPACING_SECONDS
        return POLL_SECONDS if next_in is None else min(POLL_SECONDS, next_in + SPACING_SECONDS)
