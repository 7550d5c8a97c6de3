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


class IdempotencyStore(Protocol):
    """The first use of a key wins for ever (until its retention ends): later ones read what it said."""

    async def reserve_many(self, tenant_id: TenantId, scope: str, uses: Sequence[KeyUse]) -> tuple[KeyUse, ...]:
        """What each key was first used for, in order: the use itself where it is the first.

        Keys within `uses` are distinct. `scope` keeps the keys of different verbs apart.
        """
        ...
