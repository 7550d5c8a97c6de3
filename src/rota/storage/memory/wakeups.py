"""Wake-ups within one process: for tests, and where LISTEN is impossible, so that other processes are left to poll."""

import asyncio

from rota.storage.wakeup_subscriptions import WakeupSubscriptions


class MemoryWakeups:
    """See `rota.ports.wakeups.Wakeups`."""

    def __init__(self) -> None:
        self._subscriptions = WakeupSubscriptions()

    def announce(self, topic: str) -> None:
        self._subscriptions.wake(topic)

    def subscribe(self, topic: str) -> asyncio.Event:
        return self._subscriptions.subscribe(topic)
