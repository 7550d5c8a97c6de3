"""What the leader's duties ask of the election that they act under."""

import asyncio
from typing import Protocol

from rota.domain.ids import Epoch
from rota.domain.lease import Fence


class Leadership(Protocol):
    """`rota.services.election.Election` is one."""

    def fence(self) -> Fence | None:
        """What to act under; None unless this process leads, now."""
        ...

    def refuse(self, epoch: Epoch) -> None:
        """A write under `epoch` was refused by the store."""
        ...

    def subscribe(self) -> asyncio.Event:
        """Set at every change; the reader clears it."""
        ...
