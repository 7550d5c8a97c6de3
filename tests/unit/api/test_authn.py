from typing import cast

import pytest

from rota.api.authn import REMEMBERED_SECONDS, REMEMBERED_TOKENS_MAX, Authenticator, bearer_hash
from rota.domain.errors import DomainError
from rota.domain.ids import TenantId, TokenId
from rota.domain.tenancy import Principal
from rota.ports.tenant_store import TokenStore
from rota.services.tenant_verbs import secret_digest
from rota.telemetry.metrics import Metrics
from tests.unit.api.stand_ins import CountingTokens, SteppedClock

TOKEN = "rota_" + "x" * 43
ADA = Principal(TokenId("t1"), "ada", TenantId("acme"), "viewer")


def authenticator(tokens: CountingTokens, clock: SteppedClock) -> Authenticator:
    return Authenticator(cast("TokenStore", tokens), clock, Metrics())


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer {TOKEN} {TOKEN}",
        "Bearer other_" + "x" * 43,
        "Bearer rota_short",
        "Bearer rota_" + "x" * 300,
        f"Bearer {TOKEN}\n",
        "Bearer rota_" + "é" * 43,
    ],
)
def test_whatever_is_no_bearer_token_is_unauthenticated(header: str | None) -> None:
    with pytest.raises(DomainError) as refused:
        bearer_hash(header)
    assert refused.value.code == "UNAUTHENTICATED"
    assert TOKEN not in refused.value.detail


def test_a_bearer_token_becomes_its_hash() -> None:
    assert bearer_hash(f"Bearer {TOKEN}") == bearer_hash(f"bearer  {TOKEN} ") == secret_digest(TOKEN)


async def test_revocation_takes_effect_within_the_bound_and_not_before_it_is_asked_again() -> None:
    tokens, clock = CountingTokens(), SteppedClock()
    tokens.known[b"h"] = ADA
    door = authenticator(tokens, clock)
    assert await door.authenticate(b"h") == ADA
    tokens.known.clear()
    clock.seconds += REMEMBERED_SECONDS - 0.01
    assert await door.authenticate(b"h") == ADA
    assert tokens.asked_count == 1
    clock.seconds += 0.01
    with pytest.raises(DomainError):
        await door.authenticate(b"h")


async def test_a_refusal_is_not_remembered() -> None:
    tokens, clock = CountingTokens(), SteppedClock()
    door = authenticator(tokens, clock)
    with pytest.raises(DomainError):
        await door.authenticate(b"h")
    tokens.known[b"h"] = ADA
    assert await door.authenticate(b"h") == ADA


async def test_no_more_tokens_are_remembered_than_the_bound() -> None:
    tokens, clock = CountingTokens(), SteppedClock()
    door = authenticator(tokens, clock)
    for number in range(REMEMBERED_TOKENS_MAX + 1):
        token_hash = str(number).encode()
        tokens.known[token_hash] = ADA
        await door.authenticate(token_hash)
    before = tokens.asked_count
    await door.authenticate(str(REMEMBERED_TOKENS_MAX).encode())
    assert tokens.asked_count == before
    await door.authenticate(b"0")
    assert tokens.asked_count == before + 1
