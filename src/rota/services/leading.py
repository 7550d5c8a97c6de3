"""The leader's round: one cheap look, then what it calls for (firing), then sleep until the next due time.

Rescues, and the rare looks through everything, run beside it: it goes on however long they take, and if they fail.
An idle leader costs one look per `POLL_SECONDS`; with the renewals of its lease that stays below two queries a second.
Wake-ups only shorten the sleep. A process that does not lead asks the store nothing.
"""

from rota.domain.errors import Unavailable
from rota.ports.clock import Clock
from rota.ports.firing_store import FiringStore, LeaderLook
from rota.ports.wakeups import Wakeups
from rota.services.check_cycles import CheckNotes
from rota.services.firing import Firing, FiringSummary
from rota.services.following import FOLLOWED_POLL_SECONDS, Following
from rota.services.full_looks import FullLooks
from rota.services.leadership import Leadership
from rota.services.loss_watch import LossWatch
from rota.services.rescuing import Rescuing
from rota.services.supervision import Duty
from rota.services.waiting import wait_for_any

POLL_SECONDS = 1.3
# Looks are no closer than this, however many wake-ups come: a burst of new schedules is one look, not thousands.
LOOK_SPACING_SECONDS = 0.02
# Sleeping ends a moment after the due time, not before it: a look that comes too early is made twice.
PAST_DUE_SECONDS = 0.001
STANDBY_SECONDS = 60.0
# Why the interval is what it is.
FOLLOWED = "runs are live that others wait for"
IDLE = "no run is live that others wait for"


class Leading:
    """What the leader does for schedules and lost work: `duties` are all of it, `run` is the round."""

    def __init__(
        self,
        store: FiringStore,
        firing: Firing,
        rescuing: Rescuing,
        leadership: Leadership,
        wakeups: Wakeups,
        *,
        clock: Clock,
        following: Following | None = None,
        notes: CheckNotes | None = None,
    ) -> None:
        self._store = store
        self._firing = firing
        self._losses = LossWatch(rescuing, leadership, clock)
        self._fires_fully = FullLooks(store.look_fully, leadership, clock)
        self._following = following or Following()
        self._notes = notes or CheckNotes()
        self._leadership = leadership
        self._clock = clock
        self._changed = leadership.subscribe()
        self._schedules = wakeups.subscribe("schedules")
        self._rounds_in_vain = 0

    @property
    def duties(self) -> tuple[Duty, ...]:
        """For the supervisor."""
        return (
            Duty("leading", self.run),
            Duty("rescuing", self._losses.run),
            Duty("full looks for lost work", self._losses.fully.run),
            Duty("full looks for fires", self._fires_fully.run),
            *self._following.duties,
        )

    async def run(self) -> None:
        """Until it is cancelled. Raises Unavailable; the next run begins with a look."""
        while True:
            self._changed.clear()
            if self._schedules.is_set():
                self._fires_fully.wanted.set()
            self._schedules.clear()
            if self._leadership.fence() is None:
                await wait_for_any([self._changed], self._clock, STANDBY_SECONDS)
                continue
            pause = await self.round()
            await self._clock.sleep(min(pause, LOOK_SPACING_SECONDS))
            await wait_for_any([self._changed, self._schedules], self._clock, pause - LOOK_SPACING_SECONDS)

    async def round(self) -> float:
        """One look and what it calls for; gives the seconds until the next one is due."""
        began = self._clock.monotonic_seconds()
        try:
            look, fired = await self._look_and_fire()
        except Exception:
            self._notes.failed()
            raise
        late = -(look.next_fire_in_seconds or 0.0)
        self._notes.checked(
            self._clock.monotonic_seconds() - began, is_cycle=fired is not None, lag_seconds=max(0.0, late)
        )
        followed = bool(look.follows_live or look.ended_for)
        poll_seconds = FOLLOWED_POLL_SECONDS if followed else POLL_SECONDS
        pause = self._pause_after(fired) if fired is not None else _pause_until(look.next_fire_in_seconds, poll_seconds)
        self._notes.paced(poll_seconds, FOLLOWED if followed else IDLE, pause)
        return pause

    async def _look_and_fire(self) -> tuple[LeaderLook, FiringSummary | None]:
        """What was looked at, and what was fired where something was due."""
        try:
            look = await self._store.look(*self._losses.span)
        except Unavailable:
            self._losses.give_up()
            self._fires_fully.wanted.set()
            raise
        self._losses.note(look)
        self._following.note(look)
        next_fire = look.next_fire_in_seconds
        is_due = next_fire is not None and next_fire <= 0
        return look, await self._firing.fire_due() if is_due else None

    def _pause_after(self, fired: FiringSummary) -> float:
        """None while more is due; a short one when all is done, so that a steady stream is fired in batches.

        Where nothing advanced although something was due it grows, not to ask in vain for ever: it was changed
        underneath, another process leads now, or the store holds a trigger that nobody may fire.
        """
        self._rounds_in_vain = 0 if fired.triggers_advanced else self._rounds_in_vain + 1
        if fired.triggers_advanced:
            return LOOK_SPACING_SECONDS if fired.is_done else 0.0
        return min(POLL_SECONDS, LOOK_SPACING_SECONDS * 2 ** min(self._rounds_in_vain, 10))


def _pause_until(next_fire_in_seconds: float | None, poll_seconds: float) -> float:
    return poll_seconds if next_fire_in_seconds is None else min(poll_seconds, next_fire_in_seconds + PAST_DUE_SECONDS)
