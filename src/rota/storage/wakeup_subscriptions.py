"""Who waits for which topic in this process. A subscription ends when nobody holds its event any more."""

import asyncio
from weakref import WeakSet


class WakeupSubscriptions:
    """Each subscriber has an event of its own, so that one reader's clearing takes nothing from another."""

    def __init__(self) -> None:
        self._events: dict[str, WeakSet[asyncio.Event]] = {}

    def subscribe(self, topic: str) -> asyncio.Event:
        event = asyncio.Event()
        self._events.setdefault(topic, WeakSet()).add(event)
        return event

    def wake(self, topic: str) -> None:
        for event in self._events.get(topic, ()):
            event.set()

    def wake_all(self) -> None:
        for topic in self._events:
            self.wake(topic)
