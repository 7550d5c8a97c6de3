"""How tenants share what is picked up from a queue: by weight, and whoever has had least for its weight comes first.

Each run that a tenant is given moves its tag on by `UNIT / weight`; the next one goes to whoever has the lowest tag.
A tenant that had nothing to do begins where the others are: waiting earns it nothing, and having waited costs nothing.
So over time tenants that always have work get runs in proportion to their weights; of any two of them, none is ahead by
more than one run of each; and the first run of a tenant that comes anew is the next one or among the next few, however
much the others have. Decides shares alone: who has work, and which runs they are, is the store's to know.
"""

import heapq
from collections.abc import Sequence

from rota.domain.ids import TenantId

WEIGHT_MIN = 1
WEIGHT_MAX = 1_000
# Divisible by most weights, and large beside them: what is rounded off is less than a thousandth of a run.
UNIT = 720_720 * 1_000
# Tenants whose tags are remembered after they had nothing to do. One that was forgotten begins where the others are.
REMEMBERED_MAX = 1_024


class FairShare:
    """The tags of the tenants of one queue. Given the same calls it decides the same."""

    def __init__(self) -> None:
        self._tags: dict[TenantId, int] = {}
        self._weights: dict[TenantId, int] = {}
        self._reached = 0

    @property
    def remembered_count(self) -> int:
        """Of how many tenants anything is remembered."""
        return len(self._tags.keys() | self._weights.keys())

    def weigh(self, tenant_id: TenantId, weight: int) -> None:
        """Tells a tenant's weight, from here on."""
        if weight == 1:
            self._weights.pop(tenant_id, None)
        else:
            self._weights[tenant_id] = weight

    def order(self, tenants: Sequence[TenantId]) -> list[TenantId]:
        """Whoever is next comes first; of equals, the one that was named first."""
        return sorted(tenants, key=self._tag)

    def allot(self, tenants: Sequence[TenantId], limit: int) -> list[int]:
        """How many of the next `limit` runs go to each of `tenants`, if each of them has as many."""
        if len(tenants) == 1:
            return [limit]
        allotted = [0] * len(tenants)
        nearest = [(self._tag(tenant_id), place) for place, tenant_id in enumerate(tenants)]
        heapq.heapify(nearest)
        for _ in range(limit if nearest else 0):
            tag, place = nearest[0]
            allotted[place] += 1
            heapq.heapreplace(nearest, (tag + self._stride(tenants[place]), place))
        return allotted

    def charge(self, given: Sequence[tuple[TenantId, int]]) -> None:
        """Tells how many runs tenants were given, all in one go. Zero tells nothing."""
        served = [(tenant_id, self._tag(tenant_id), count) for tenant_id, count in given if count]
        for tenant_id, tag, count in served:
            self._tags.pop(tenant_id, None)
            self._tags[tenant_id] = tag + count * self._stride(tenant_id)
        last = (tag + (count - 1) * self._stride(tenant_id) for tenant_id, tag, count in served)
        self._reached = max(self._reached, min(last, default=0))
        if len(self._tags) > REMEMBERED_MAX:
            self._forget()

    def _tag(self, tenant_id: TenantId) -> int:
        return max(self._tags.get(tenant_id, 0), self._reached)

    def _stride(self, tenant_id: TenantId) -> int:
        return UNIT // self._weights.get(tenant_id, 1)

    def _forget(self) -> None:
        """Those who are not ahead need no memory; beyond them, who was served longest ago."""
        kept = [(tenant_id, tag) for tenant_id, tag in self._tags.items() if tag > self._reached]
        self._tags = dict(kept[-REMEMBERED_MAX // 2 :])
        if len(self._weights) > REMEMBERED_MAX:
            self._weights = {name: weight for name, weight in self._weights.items() if name in self._tags}
