"""The leader's round: one cheap look, then what it calls for (firing, rescuing), then sleep until the next due time.

An idle leader costs one look per `POLL_SECONDS`; with the renewals of its lease that stays below two queries a second.
Wake-ups only shorten the sleep. A process that does not lead asks the store nothing.
"""

from rota.ports.clock import Clock
from rota.ports.firing_store import FiringStore
from rota.ports.wakeups import Wakeups
from rota.services.firing import Firing, FiringSummary
from rota.services.leadership import Leadership
from rota.services.rescuing import OVERDUE_GRACE_SECONDS, Rescuing
from rota.services.waiting import wait_for_any

POLL_SECONDS = 1.3
# Looks are no closer than this, however many wake-ups come: a burst of new schedules is one look, not thousands.
LOOK_SPACING_SECONDS = 0.02
# Sleeping ends a moment after the due time, not before it: a look that comes too early is made twice.
PAST_DUE_SECONDS = 0.001
STANDBY_SECONDS = 60.0


class Leading:
    """All duties of the leader, one after the other; `run` is its loop."""

    def __init__(
        self,
        store: FiringStore,
        firing: Firing,
        rescuing: Rescuing,
        leadership: Leadership,
        wakeups: Wakeups,
        *,
        clock: Clock,
    ) -> None:
        self._store = store
        self._firing = firing
        self._rescuing = rescuing
        self._leadership = leadership
        self._clock = clock
        self._changed = leadership.subscribe()
        self._schedules = wakeups.subscribe("schedules")
        self._rounds_in_vain = 0

    async def run(self) -> None:
        """Until it is cancelled. Raises Unavailable; the next run begins with a look."""
        while True:
            self._changed.clear()
            self._schedules.clear()
            if self._leadership.fence() is None:
                await wait_for_any([self._changed], self._clock, STANDBY_SECONDS)
                continue
            pause = await self.round()
            await self._clock.sleep(min(pause, LOOK_SPACING_SECONDS))
            await wait_for_any([self._changed, self._schedules], self._clock, pause - LOOK_SPACING_SECONDS)

    async def round(self) -> float:
        """One look and what it calls for; gives the seconds until the next one is due."""
        look = await self._store.look(OVERDUE_GRACE_SECONDS)
        next_fire = look.next_fire_in_seconds
        if look.lost_workers or look.overdue_attempts:
            await self._rescuing.rescue()
        if next_fire is not None and next_fire <= 0:
            fired = await self._firing.fire_due()
            return self._pause_after(fired)
        if next_fire is None:
            return POLL_SECONDS
        return min(POLL_SECONDS, next_fire + PAST_DUE_SECONDS)

    def _pause_after(self, fired: FiringSummary) -> float:
        """None while more is due; a short one when all is done, so that a steady stream is fired in batches.

        Where nothing advanced although something was due it grows, not to ask in vain for ever: it was changed
        underneath, another process leads now, or the store holds a trigger that nobody may fire.
        """
        self._rounds_in_vain = 0 if fired.triggers_advanced else self._rounds_in_vain + 1
        if fired.triggers_advanced:
            return LOOK_SPACING_SECONDS if fired.is_done else 0.0
        return min(POLL_SECONDS, LOOK_SPACING_SECONDS * 2 ** min(self._rounds_in_vain, 10))
