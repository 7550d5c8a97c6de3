"""Wake-ups between processes by LISTEN and NOTIFY, on a direct connection of their own.

Announcements of this process wake its own subscribers at once. To the others the first one after a silence is sent at
once, too; those that follow are gathered for a few milliseconds and sent as one statement, never inside a transaction
that works, on a connection that does not wait for the disk: a hint may be lost. While the connection is down nothing is
sent and nobody waits: polling goes on, and every subscriber is woken when the connection is back, since it may have
missed some. Where only a pooler can be reached, use `rota.storage.memory.wakeups` in its place.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from rota.domain.errors import Unavailable
from rota.ports.clock import Clock
from rota.storage.postgres.driver import Connection
from rota.storage.postgres.failures import translating_errors
from rota.storage.postgres.query_files import query
from rota.storage.wakeup_subscriptions import WakeupSubscriptions

_NOTIFY_TOPICS = query("wakeups/notify_topics")

CHANNEL = "rota_wakeups"
GATHER_SECONDS = 0.003
SESSION_SETTINGS = {"synchronous_commit": "off"}
"""What `connect` is to set: a notification commits a transaction, which would wait for its place in the log."""
PING_SECONDS = 30.0
"""A connection that died without a word is found out by then, or by what is sent: without an answer it is given up."""
ANSWER_SECONDS_MAX = 3.0
LAST_SECONDS_MAX = 0.3
RECONNECT_FIRST_SECONDS = 0.1
RECONNECT_SECONDS_MAX = 5.0
TOPICS_PENDING_MAX = 10_000


class PostgresWakeups:
    """See `rota.ports.wakeups.Wakeups`. `run` is a service: start it as a task, cancel it to stop.

    `connect` opens one direct connection and raises Unavailable when it cannot.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], clock: Clock) -> None:
        self._connect = connect
        self._clock = clock
        self._subscriptions = WakeupSubscriptions()
        self._pending: set[str] = set()
        self._something_to_do = asyncio.Event()
        self._is_sending = False
        self._sent_at = float("-inf")
        self.listening = asyncio.Event()

    def announce(self, topic: str) -> None:
        self._subscriptions.wake(topic)
        if len(self._pending) < TOPICS_PENDING_MAX:
            self._pending.add(topic)
        self._something_to_do.set()

    def subscribe(self, topic: str) -> asyncio.Event:
        return self._subscriptions.subscribe(topic)

    async def run(self) -> None:
        """Listens and sends until it is cancelled."""
        delay = RECONNECT_FIRST_SECONDS
        while True:
            try:
                connection = await self._connect()
                self._is_sending = False
                delay = RECONNECT_FIRST_SECONDS
                await self._serve(connection)
            except Unavailable:
                await self._clock.sleep(delay)
                delay = min(2 * delay, RECONNECT_SECONDS_MAX)

    async def _serve(self, connection: Connection) -> None:
        try:
            with translating_errors("listening for wake-ups"):
                connection.add_termination_listener(lambda _: self._something_to_do.set())
                await connection.add_listener(CHANNEL, self._received)
                self.listening.set()
                self._subscriptions.wake_all()
                await self._pass_on(connection)
        finally:
            self.listening.clear()
            connection.terminate()

    async def _pass_on(self, connection: Connection) -> None:
        try:
            while not connection.is_closed():
                await self._wait_for_something_to_do()
                await self._send(connection)
        except asyncio.CancelledError:
            await self._send_last(connection)
            raise

    async def _wait_for_something_to_do(self) -> None:
        with contextlib.suppress(TimeoutError):
            # Not `wait_for`, which loses a cancellation that comes together with what it waits for.
            async with asyncio.timeout(PING_SECONDS):
                await self._something_to_do.wait()
        if self._pending:
            silence = self._clock.monotonic_seconds() - self._sent_at
            if silence < GATHER_SECONDS:
                await self._clock.sleep(GATHER_SECONDS - silence)

    async def _send(self, connection: Connection) -> None:
        self._something_to_do.clear()
        topics = sorted(self._pending)
        self._pending.clear()
        self._is_sending = True
        await connection.execute(_NOTIFY_TOPICS, topics, timeout=ANSWER_SECONDS_MAX)
        self._is_sending = False
        self._sent_at = self._clock.monotonic_seconds()

    async def _send_last(self, connection: Connection) -> None:
        """What was announced just before the end, unless that would hold the end up."""
        if not self._pending or self._is_sending:
            return
        with contextlib.suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(LAST_SECONDS_MAX):
                with translating_errors("sending the last wake-ups"):
                    await self._send(connection)

    def _received(self, connection: Connection, backend_pid: int, _channel: str, topic: str) -> None:
        if backend_pid != connection.get_server_pid():
            self._subscriptions.wake(topic)
