"""A lease: a time-bounded right with a growing term number (`epoch`), and the fence that its holder shows."""

from datetime import datetime

from msgspec import Struct

from rota.domain.ids import Epoch


class Fence(Struct, frozen=True):
    """What every write under a lease proves inside its own transaction (design law 2).

    The holder is compared, too: in a store that was restored or failed over, an epoch may be given out a second time.
    """

    lease_name: str
    epoch: Epoch
    holder: str


class Lease(Struct, frozen=True):
    """The stored row, as of the moment it was read. `remaining_seconds` is by the store's clock."""

    name: str
    epoch: Epoch
    holder: str
    acquired_at: datetime
    expires_at: datetime
    remaining_seconds: float

    @property
    def fence(self) -> Fence:
        return Fence(self.name, self.epoch, self.holder)
