"""The machine of `core.leadership` in a thread of its own: sends its requests, times their answers, keeps its waits.

Every call ends in exactly one event within `call_seconds_max`. The thread decides nothing; what it believes can be
asked for from any thread (`fence`), and is never older than the answer that it rests on.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import TypeAlias

import structlog
from msgspec import Struct

from rota.core.leadership import (
    Acquire,
    AcquireAnswered,
    CallFailed,
    Effect,
    Ended,
    Event,
    Gained,
    LeadershipPolicy,
    Lost,
    Release,
    ReleaseAnswered,
    Renew,
    RenewAnswered,
    Resigned,
    State,
    Tick,
    begin,
    step,
    trusted_fence,
)
from rota.domain.errors import Unavailable
from rota.domain.lease import Fence
from rota.ports.clock import Clock
from rota.ports.lease_store import LeaseStore
from rota.ports.rng import Rng

_log = structlog.get_logger("rota.election")

OpenLeases: TypeAlias = Callable[[], AbstractAsyncContextManager[LeaseStore]]
Call: TypeAlias = Acquire | Renew | Release


class LeadershipChange(Struct, frozen=True):
    """A term began, or ended with a reason."""

    fence: Fence
    gained: bool
    reason: str = ""


Tell: TypeAlias = Callable[[LeadershipChange], None]


class LeaseThread:
    """The machine in its thread. `post` and `fence` may be called from any thread; all else happens in its loop."""

    def __init__(self, policy: LeadershipPolicy, open_leases: OpenLeases, clock: Clock, rng: Rng) -> None:
        self._policy = policy
        self._clock = clock
        self._rng = rng
        self._leases = _LeaseSession(open_leases)
        self._state: State = begin(clock.monotonic_seconds())
        self._loop = asyncio.new_event_loop()
        self._inbox: asyncio.Queue[Event] = asyncio.Queue()
        self._ended: Future[None] = Future()
        self._calls: set[asyncio.Task[None]] = set()

    def fence(self) -> Fence | None:
        return trusted_fence(self._state, self._clock.monotonic_seconds())

    def post(self, event: Event) -> None:
        with suppress(RuntimeError):  # the loop is closed: it has ended
            self._loop.call_soon_threadsafe(self._inbox.put_nowait, event)

    async def run(self, tell: Tell) -> None:
        """From the main loop: starts the thread and waits for its end, whose error is raised."""
        thread = threading.Thread(target=self._live_in_thread, args=(tell,), name="rota-election", daemon=True)
        thread.start()
        await asyncio.shield(asyncio.wrap_future(self._ended))

    async def wait_ended(self, seconds: float) -> None:
        """At most `seconds`; the thread is a daemon and holds nobody up. Its error is for `run` to raise."""
        done, _ = await asyncio.wait([asyncio.wrap_future(self._ended)], timeout=seconds)
        for ended in done:
            ended.exception()

    def _live_in_thread(self, tell: Tell) -> None:
        living = self._loop.create_task(self._live(tell))
        self._loop.run_until_complete(asyncio.wait([living]))
        self._loop.close()
        error = living.exception()
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)

    async def _live(self, tell: Tell) -> None:
        try:
            while not isinstance(self._state, Resigned):
                self._raise_broken_calls()
                self._advance(await self._next_event(), tell)
        finally:
            for call in self._calls:
                call.cancel()
            await asyncio.gather(*self._calls, return_exceptions=True)
            await self._leases.close()

    async def _next_event(self) -> Event:
        pause = self._state.wake_at - self._clock.monotonic_seconds()
        if pause <= 0 and self._inbox.empty():
            return Tick()
        try:
            async with asyncio.timeout(None if pause == float("inf") else max(0.0, pause)):
                return await self._inbox.get()
        except TimeoutError:
            return Tick()

    def _advance(self, event: Event, tell: Tell) -> None:
        now = self._clock.monotonic_seconds()
        self._state, effects = step(self._state, event, now, self._policy, self._rng)
        for effect in effects:
            self._perform(effect, tell)

    def _perform(self, effect: Effect, tell: Tell) -> None:
        match effect:
            case Gained(fence=fence):
                tell(LeadershipChange(fence, gained=True))
            case Lost(fence=fence, reason=reason):
                tell(LeadershipChange(fence, gained=False, reason=reason))
            case Acquire() | Renew() | Release():
                call = self._loop.create_task(self._call(effect))
                self._calls.add(call)
                # Wakes the machine also where the call ends without an event, which is a defect to be raised.
                call.add_done_callback(lambda _: self._inbox.put_nowait(Tick()))
            case Ended():
                return

    async def _call(self, call: Call) -> None:
        """Every call ends in exactly one event, within `call_seconds_max`."""
        try:
            async with asyncio.timeout(self._policy.call_seconds_max):
                leases = await self._leases.get()
                event = await self._ask(leases, call)
        except (Unavailable, TimeoutError, OSError) as error:
            _log.warning("lease call failed", call=type(call).__name__, error=str(error) or type(error).__name__)
            event = CallFailed()
            await self._leases.close()
        self._inbox.put_nowait(event)

    async def _ask(self, leases: LeaseStore, call: Call) -> Event:
        name, holder, seconds = self._policy.lease_name, self._policy.holder, self._policy.lease_seconds
        sent_at = self._clock.monotonic_seconds()
        match call:
            case Acquire():
                return AcquireAnswered(await leases.acquire_if_free(name, holder, seconds), sent_at)
            case Renew(epoch=epoch):
                return RenewAnswered(await leases.renew_if_held(name, epoch, holder, seconds), sent_at)
            case Release(epoch=epoch):
                await leases.release_if_held(name, epoch, holder)
                return ReleaseAnswered()

    def _raise_broken_calls(self) -> None:
        """A call that raised what nobody expects ends the thread, and with it the trust."""
        for call in [call for call in self._calls if call.done()]:
            self._calls.discard(call)
            call.result()


class _LeaseSession:
    """The lease store on its own connection: opened when first needed, and anew after `close`."""

    CLOSE_SECONDS_MAX = 0.3

    def __init__(self, open_leases: OpenLeases) -> None:
        self._open_leases = open_leases
        self._stack = AsyncExitStack()
        self._leases: LeaseStore | None = None

    async def get(self) -> LeaseStore:
        if self._leases is None:
            self._leases = await self._stack.enter_async_context(self._open_leases())
        return self._leases

    async def close(self) -> None:
        """A connection that does not close in time is left to the operating system."""
        stack, self._stack, self._leases = self._stack, AsyncExitStack(), None
        with suppress(Unavailable, TimeoutError, OSError):
            async with asyncio.timeout(self.CLOSE_SECONDS_MAX):
                await stack.aclose()
