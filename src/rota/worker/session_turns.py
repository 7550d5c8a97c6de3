"""In which order a worker begins what it holds ahead of its slots. Pure.

Claims share out the queue among tenants; but a tenant's only run, claimed beside hundreds of another's, would begin
behind all of them, and behind those of the claim before. So tenants take turns here too, priority by priority.
"""

from collections import Counter
from collections.abc import Mapping

from rota.domain.ids import TenantId
from rota.worker.session_state import AttemptState


def in_turns(waiting: Mapping[int, AttemptState]) -> dict[int, AttemptState]:
    """Highest priority first, within it the first of each tenant, then the second of each; else as they came."""
    seen = Counter[tuple[int, TenantId]]()
    placed: list[tuple[int, int, int]] = []
    for key, attempt in waiting.items():
        lane = (-attempt.claimed.priority, attempt.claimed.tenant_id)
        seen[lane] += 1
        placed.append((lane[0], seen[lane], key))
    placed.sort()
    return {key: waiting[key] for _, _, key in placed}
