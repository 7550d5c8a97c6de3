"""Idempotency keys of one tenant: which request a key was first used for."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from rota.domain.ids import TenantId


class KeyUse(Struct, frozen=True):
    """`fingerprint` is a digest of the request; `resource_id` the id of what it makes, where the caller chooses."""

    key: str
    fingerprint: bytes
    resource_id: str = ""


class KeyClaim(Struct, frozen=True):
    """Who has claimed a key (the `resource_id` of its use), for which request, and what was answered, once it was.

    `left_seconds`: how much longer nobody else may claim it, where nothing was answered.
    """

    holder: str
    fingerprint: bytes
    answer: bytes | None = None
    left_seconds: float = 0.0


class IdempotencyStore(Protocol):
    """The first use of a key wins for ever (until its retention ends): later ones read what it said."""

    async def reserve_many(self, tenant_id: TenantId, scope: str, uses: Sequence[KeyUse]) -> tuple[KeyUse, ...]:
        """What each key was first used for, in order: the use itself where it is the first.

        Keys within `uses` are distinct. `scope` keeps the keys of different verbs apart. Raises NOT_FOUND (the tenant).
        """
        ...

    async def claim(self, tenant_id: TenantId, scope: str, use: KeyUse, hold_seconds: float) -> KeyClaim:
        """The first claim has the key until it is settled, for `hold_seconds` at most: the next one takes it over.

        Raises NOT_FOUND (the tenant).
        """
        ...

    async def settle_if_held(self, tenant_id: TenantId, scope: str, use: KeyUse, answer: bytes | None) -> None:
        """Keeps the answer to a claim; None gives the key back, since nothing was done under it."""
        ...
