"""Wake-ups: coalesced hints that work may wait. They may be lost; polling alone converges (design law 6)."""

import asyncio
from typing import Protocol


class Wakeups(Protocol):
    """Topics: `queue:<name>`, `schedules`, `cancel`, `logs`, `leader:<lease>`.

    `announce` never blocks nor is inside a transaction.
    """

    def announce(self, topic: str) -> None: ...

    def subscribe(self, topic: str) -> asyncio.Event:
        """An event that is set at every announcement from any process; the reader clears it."""
        ...
