from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

import pytest

from rota.domain.errors import Unavailable
from rota.domain.ids import AttemptToken, RunId, TenantId, WorkerId
from rota.domain.policies import RunPolicy
from rota.domain.run import ClaimedRun
from rota.domain.targets import HandedTarget, HttpTarget, SignedHttpTarget, TaskTarget
from rota.ports.run_store import RunClaims
from rota.ports.signing_store import SecretName
from rota.worker.signing_claims import SigningClaims

AT = datetime(2026, 3, 1, 2, 30, tzinfo=UTC)
SIGNED = HttpTarget("https://example.com/", signed_with="billing")
UNKNOWN = HttpTarget("https://example.com/", signed_with="gone")


class Claims:
    def __init__(self, *targets: HandedTarget) -> None:
        self.runs = tuple(
            ClaimedRun(RunId(str(number)), TenantId("acme"), AttemptToken(1), 1, target, RunPolicy(), "default", AT)
            for number, target in enumerate(targets)
        )

    async def claim_batch(self, worker_id: WorkerId, queues: Sequence[str], limit: int) -> tuple[ClaimedRun, ...]:
        del worker_id, queues, limit
        return self.runs


class Keys:
    def __init__(self, *, away: bool = False) -> None:
        self.away = away
        self.asked: list[Sequence[SecretName]] = []

    async def live_keys(self, names: Sequence[SecretName]) -> dict[SecretName, tuple[bytes, ...]]:
        self.asked.append(names)
        if self.away:
            raise Unavailable("away")
        return {(TenantId("acme"), "billing"): (b"k",)}


async def claimed(keys: Keys, *targets: HandedTarget) -> list[HandedTarget]:
    claims = SigningClaims(cast("RunClaims", Claims(*targets)), keys)
    return [run.target for run in await claims.claim_batch(WorkerId("w"), ("default",), 10)]


async def test_a_batch_asks_once_and_only_signed_requests_get_keys() -> None:
    keys, plain, task = Keys(), HttpTarget("https://example.com/"), TaskTarget("report")
    found = await claimed(keys, SIGNED, plain, task, SIGNED, UNKNOWN)
    signed = SignedHttpTarget(SIGNED, (b"k",), AT)
    assert found == [signed, plain, task, signed, SignedHttpTarget(UNKNOWN, (), AT)]
    assert keys.asked == [[("acme", "billing"), ("acme", "gone")]]


async def test_a_batch_without_signed_requests_asks_nothing() -> None:
    keys = Keys()
    await claimed(keys, TaskTarget("report"), HttpTarget("https://example.com/"))
    assert keys.asked == []


async def test_keys_that_cannot_be_read_leave_the_claim_in_doubt() -> None:
    with pytest.raises(Unavailable):
        await claimed(Keys(away=True), SIGNED)
