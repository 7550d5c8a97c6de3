"""The leader's part of concurrency keys: it gives free places that nobody gave who ended a run.

A run's end gives its place to the next at once; this is for runs that become due, for places that were left by a
cancellation or a crash, and for queues that got a worker. Where no run is due it looks again when the next one will be,
and at least every `POLL_SECONDS`.
"""

from rota.ports.clock import Clock
from rota.ports.place_store import PlaceStore
from rota.ports.wakeups import Wakeups
from rota.services.leadership import Leadership
from rota.services.waiting import wait_for_any

POLL_SECONDS = 5.0
# While a run that is due waits for a place: so soon does one get it that nobody was there to give.
WAITING_POLL_SECONDS = 0.5
SPACING_SECONDS = 0.02
STANDBY_SECONDS = 60.0
KEYS_PER_LOOK_MAX = 200
PLACES_TOPIC = "places"


class PlaceWatch:
    """`run` is its loop."""

    def __init__(self, places: PlaceStore, leadership: Leadership, wakeups: Wakeups, clock: Clock) -> None:
        self._places = places
        self._leadership = leadership
        self._wakeups = wakeups
        self._clock = clock
        self._changed = leadership.subscribe()
        self._wanted = wakeups.subscribe(PLACES_TOPIC)
        self._last_key: str | None = None
        self._next_in_seconds = POLL_SECONDS

    async def run(self) -> None:
        """Until it is cancelled. Raises Unavailable; the next run begins with a look."""
        while True:
            self._changed.clear()
            self._wanted.clear()
            leads = self._leadership.fence() is not None
            pause = await self.round() if leads else STANDBY_SECONDS
            await self._clock.sleep(SPACING_SECONDS)
            await wait_for_any([self._changed, self._wanted] if leads else [self._changed], self._clock, pause)

    async def round(self) -> float:
        """One look; gives the seconds until the next one."""
        given = await self._places.give_places(self._last_key, KEYS_PER_LOOK_MAX)
        self._last_key = given.last_key
        for queue in given.queues:
            self._wakeups.announce(f"queue:{queue}")
        if given.next_wanted_in_seconds is not None:
            soon = WAITING_POLL_SECONDS if given.next_wanted_in_seconds <= 0 else given.next_wanted_in_seconds
            self._next_in_seconds = min(self._next_in_seconds, soon)
        if given.last_key is not None:
            return 0.0
        pause, self._next_in_seconds = self._next_in_seconds, POLL_SECONDS
        return pause
