"""Claims whose signed requests come with their keys. The supervisor looks them up; executors ask no store.

Keys are looked up anew for each batch that needs some, in one question for all of it, and kept nowhere: a secret that
was retired signs nothing that is claimed afterwards. A question that fails fails the claim, whose outcome is unknown
then; what it took is found and given back (see `claiming`).
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec import structs

from rota.domain.ids import TenantId, WorkerId
from rota.domain.run import ClaimedRun, LogLine, Settlement
from rota.domain.targets import HttpTarget, SignedHttpTarget
from rota.ports.run_store import HeldRun, LostAttempt, RunClaims, SettleResult
from rota.ports.signing_store import SecretName, SigningKeys
from rota.worker.target_kinds import have_kind


class SigningClaims:
    """`rota.ports.run_store.RunClaims` over another one. A batch without signed requests costs nothing more."""

    def __init__(self, claims: RunClaims, keys: SigningKeys) -> None:
        self._claims = claims
        self._keys = keys

    async def claim_batch(self, worker_id: WorkerId, queues: Sequence[str], limit: int) -> tuple[ClaimedRun, ...]:
        runs = await self._claims.claim_batch(worker_id, queues, limit)
        if not have_kind(runs, {HttpTarget}):
            return runs
        names = {name for run in runs if (name := _secret_name(run)) is not None}
        if not names:
            return runs
        keys = await self._keys.live_keys(sorted(names))
        return tuple(_signed(run, keys) for run in runs)

    async def settle_batch(self, settlements: Sequence[Settlement]) -> tuple[SettleResult, ...]:
        return await self._claims.settle_batch(settlements)

    async def list_held(self, worker_id: WorkerId, limit: int) -> tuple[HeldRun, ...]:
        return await self._claims.list_held(worker_id, limit)

    async def give_back_batch(self, claims: Sequence[ClaimedRun | HeldRun]) -> int:
        return await self._claims.give_back_batch(claims)

    async def find_lost(
        self, grace_seconds: float, limit: int, overdue_since: datetime | None = None
    ) -> tuple[LostAttempt, ...]:
        return await self._claims.find_lost(grace_seconds, limit, overdue_since)

    async def append_log_lines(self, lines: Sequence[LogLine], tenants: Sequence[TenantId]) -> None:
        await self._claims.append_log_lines(lines, tenants)


def _secret_name(run: ClaimedRun) -> SecretName | None:
    if isinstance(run.target, HttpTarget) and run.target.signed_with is not None:
        return run.tenant_id, run.target.signed_with
    return None


def _signed(run: ClaimedRun, keys: dict[SecretName, tuple[bytes, ...]]) -> ClaimedRun:
    name = _secret_name(run)
    if name is None or not isinstance(run.target, HttpTarget):
        return run
    return structs.replace(run, target=SignedHttpTarget(run.target, keys.get(name, ()), run.claimed_at))
