"""Waiting for a lock: bounded, first come first served within this process, and without a connection per waiter.

Whoever waits for a name stands in its queue. Only the first in the queue asks the store: when a release is announced,
when the holder's time ends, and every `POLL_SECONDS` in any case, since announcements may be lost (design law 6). Those
behind it hold nothing. Between processes, the first of each queue contend, and the store decides: so among many
processes the order is first come first served per process, and by chance between them.

Two bounds keep a tenant from standing in others' way: how many of it may wait here, and how many of its attempts may be
at the store at once.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Hashable
from contextlib import contextmanager
from typing import Generic, TypeVar

from rota.core.lock_key import lock_key
from rota.domain.errors import DomainError, Unavailable
from rota.domain.ids import TenantId
from rota.domain.lock import Acquisition
from rota.ports.clock import Clock
from rota.ports.wakeups import Wakeups
from rota.services.waiting import wait_for_any

WAITERS_PER_TENANT_MAX = 100
WAITERS_MAX = 1_000
ATTEMPTS_PER_TENANT_MAX = 2
ATTEMPTS_MAX = 4
POLL_SECONDS = 0.5
TOPICS_COUNT = 64
"""Announcements of releases are spread over so many topics, by the lock's key: they do not grow with the locks."""

Attempt = Callable[[], Awaitable[Acquisition]]
Key = TypeVar("Key", bound=Hashable)
Part = TypeVar("Part")


def lock_topic(tenant_id: TenantId, name: str) -> str:
    """The topic on which a release is announced; several locks share one."""
    return f"locks:{lock_key(tenant_id, name) % TOPICS_COUNT}"


class LockQueues:
    """One per process."""

    def __init__(self, wakeups: Wakeups, clock: Clock) -> None:
        self._wakeups = wakeups
        self._clock = clock
        self._turns = _Shared[tuple[TenantId, str], asyncio.Lock](asyncio.Lock)
        self._places = _Shared[TenantId, asyncio.Semaphore](lambda: asyncio.Semaphore(ATTEMPTS_PER_TENANT_MAX))
        self._all_places = asyncio.Semaphore(ATTEMPTS_MAX)
        self._waiting: Counter[TenantId] = Counter()

    def released(self, tenant_id: TenantId, name: str) -> None:
        """Somebody's lock is free: let the first in each process's queue know."""
        self._wakeups.announce(lock_topic(tenant_id, name))

    async def attempt(self, tenant_id: TenantId, attempt: Attempt) -> Acquisition:
        """One try, when there is a place at the store for this tenant."""
        with self._places.of(tenant_id) as own:
            async with own, self._all_places:
                return await attempt()

    async def wait(self, tenant_id: TenantId, name: str, attempt: Attempt, seconds: float) -> Acquisition | None:
        """Try in this process's order for `seconds`; the last answer where it did not succeed, or None where its turn
        never came. Raises RATE_LIMITED where too many wait already.
        """
        deadline = self._clock.monotonic_seconds() + seconds
        with self._place_in(tenant_id), self._turns.of((tenant_id, name)) as turn:
            try:
                async with asyncio.timeout(seconds):
                    await turn.acquire()
            except TimeoutError:
                return None
            try:
                return await self._first_in_queue(tenant_id, name, attempt, deadline)
            finally:
                turn.release()

    async def _first_in_queue(
        self, tenant_id: TenantId, name: str, attempt: Attempt, deadline: float
    ) -> Acquisition | None:
        free = self._wakeups.subscribe(lock_topic(tenant_id, name))
        last: Acquisition | None = None
        while True:
            free.clear()
            try:
                last = await self.attempt(tenant_id, attempt)
            except Unavailable:
                if self._clock.monotonic_seconds() >= deadline:
                    raise
            left = deadline - self._clock.monotonic_seconds()
            if (last is not None and last.acquired) or left <= 0:
                return last
            await wait_for_any([free], self._clock, min(left, _pause_seconds(last)))

    @contextmanager
    def _place_in(self, tenant_id: TenantId) -> Generator[None]:
        if self._waiting[tenant_id] >= WAITERS_PER_TENANT_MAX:
            bound = f"{WAITERS_PER_TENANT_MAX} requests of this tenant wait for locks here, which is the limit"
            raise DomainError("RATE_LIMITED", bound)
        if self._waiting.total() >= WAITERS_MAX:
            raise DomainError("RATE_LIMITED", f"{WAITERS_MAX} requests wait for locks, which is the limit of a process")
        self._waiting[tenant_id] += 1
        try:
            yield
        finally:
            self._waiting[tenant_id] -= 1
            if not self._waiting[tenant_id]:
                del self._waiting[tenant_id]


class _Shared(Generic[Key, Part]):
    """One part per key, for as long as anybody uses it."""

    def __init__(self, make: Callable[[], Part]) -> None:
        self._make = make
        self._used: dict[Key, tuple[Part, int]] = {}

    @contextmanager
    def of(self, key: Key) -> Generator[Part]:
        part, users = self._used.get(key) or (self._make(), 0)
        self._used[key] = (part, users + 1)
        try:
            yield part
        finally:
            _, users = self._used[key]
            if users == 1:
                del self._used[key]
            else:
                self._used[key] = (part, users - 1)


def _pause_seconds(last: Acquisition | None) -> float:
    """Until the holder's time ends, where that is sooner than the next look."""
    left = None if last is None or last.by_session else last.lock.remaining_seconds
    return POLL_SECONDS if left is None else min(POLL_SECONDS, max(0.01, left + 0.001))
