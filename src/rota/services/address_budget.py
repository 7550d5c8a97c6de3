"""How often addresses that are their own proof are asked for: nobody is known before the store has looked, so that the
budget is spent before it looks. It is one process's; it says nothing of whether an address exists.
"""

from collections import OrderedDict

from rota.domain.errors import DomainError
from rota.ports.clock import Clock

ADDRESS_AT_ONCE_MAX = 10
ADDRESS_PER_SECOND_MAX = 1.0
ALL_AT_ONCE_MAX = 1_000
ALL_PER_SECOND_MAX = 500.0
ADDRESSES_REMEMBERED_MAX = 20_000


class AddressBudget:
    """A bucket for each address, and one for all. Of addresses that were not asked for lately the oldest are forgotten:
    theirs is full again.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._each: OrderedDict[bytes, tuple[float, float]] = OrderedDict()
        self._all = (float(ALL_AT_ONCE_MAX), clock.monotonic_seconds())

    def spend(self, secret_hash: bytes) -> None:
        """Asks for an address once more. Raises RATE_LIMITED."""
        now = self._clock.monotonic_seconds()
        left, at = self._each.pop(secret_hash, (float(ADDRESS_AT_ONCE_MAX), now))
        own = min(ADDRESS_AT_ONCE_MAX, left + (now - at) * ADDRESS_PER_SECOND_MAX)
        of_all = min(ALL_AT_ONCE_MAX, self._all[0] + (now - self._all[1]) * ALL_PER_SECOND_MAX)
        allowed = own >= 1 and of_all >= 1
        spent = 1 if allowed else 0
        self._each[secret_hash] = (own - spent, now)
        self._all = (of_all - spent, now)
        if len(self._each) > ADDRESSES_REMEMBERED_MAX:
            self._each.popitem(last=False)
        if not allowed:
            raise DomainError("RATE_LIMITED", "this address, or all of them together, is asked for too often")
