"""Places of concurrency keys. Who has none is not claimed; whoever ends a run gives its place to the next at once, and
this finds what that leaves to do: what became due, was cancelled, or found no worker listening.
"""

from typing import Protocol

from msgspec import Struct


class PlacesGiven(Struct, frozen=True):
    """`queues` have something to claim now. `last_key` is where to go on, None when there is no more.

    `next_wanted_in_seconds`: until a run of the keys that were passed becomes due; not above 0 where one waits for a
    place, None where none waits.
    """

    queues: tuple[str, ...]
    last_key: str | None
    next_wanted_in_seconds: float | None


class PlaceStore(Protocol):
    """Over all tenants. It needs no fence: doing it twice, or two at once, gives no place too many."""

    async def give_places(self, behind: str | None, keys_max: int) -> PlacesGiven:
        """Gives free places of at most `keys_max` keys behind one of which runs are due, in their order."""
        ...
