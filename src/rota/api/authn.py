"""Who calls: a bearer token, known here only by its SHA-256.

A token that was accepted is remembered for `REMEMBERED_SECONDS`, so that revoking a token, or its tenant, takes effect
within that time at most in every process. Refusals are never remembered: a new token works at once.
"""

import re
from collections import OrderedDict

from msgspec import Struct

from rota.domain.errors import DomainError
from rota.domain.tenancy import Principal
from rota.ports.clock import Clock
from rota.ports.tenant_store import TokenStore
from rota.services.tenant_verbs import secret_digest
from rota.telemetry.metrics import Metrics

REMEMBERED_SECONDS = 5.0
REMEMBERED_TOKENS_MAX = 1_024

_BEARER = re.compile(r"[Bb]earer +(?P<token>[^\s]{1,256}) *")
_TOKEN = re.compile(r"rota_[A-Za-z0-9_-]{32,128}")


class _Remembered(Struct, frozen=True):
    principal: Principal
    until_seconds: float


def _refused(detail: str) -> DomainError:
    return DomainError("UNAUTHENTICATED", detail)


def bearer_hash(authorization: str | None) -> bytes:
    """The hash of the token in an `Authorization` header; raises UNAUTHENTICATED where there is none."""
    if authorization is None:
        raise _refused("the request has no Authorization header")
    match = _BEARER.fullmatch(authorization)
    if match is None or _TOKEN.fullmatch(match["token"]) is None:
        raise _refused("the Authorization header is not `Bearer` with a token of Rota")
    return secret_digest(match["token"])


class Authenticator:
    """Decides who a token is. Safe to call on every request and on every turn of a stream."""

    def __init__(self, tokens: TokenStore, clock: Clock, metrics: Metrics) -> None:
        self._tokens = tokens
        self._clock = clock
        self._metrics = metrics
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()

    async def authenticate(self, token_hash: bytes) -> Principal:
        """Raises UNAUTHENTICATED for an unknown, expired or revoked token; `Unavailable` passes through."""
        known = self._recall(token_hash)
        if known is not None:
            self._metrics.count("rota_authentications_total", outcome="remembered")
            return known
        asked_at = self._clock.monotonic_seconds()
        principal = await self._tokens.authenticate(token_hash)
        if principal is None:
            self._metrics.count("rota_authentications_total", outcome="refused")
            raise _refused("the token is unknown, expired or revoked")
        self._metrics.count("rota_authentications_total", outcome="accepted")
        self._remember(token_hash, _Remembered(principal, asked_at + REMEMBERED_SECONDS))
        return principal

    def _recall(self, token_hash: bytes) -> Principal | None:
        known = self._remembered.get(token_hash)
        if known is None:
            return None
        if known.until_seconds <= self._clock.monotonic_seconds():
            del self._remembered[token_hash]
            return None
        return known.principal

    def _remember(self, token_hash: bytes, entry: _Remembered) -> None:
        self._remembered[token_hash] = entry
        self._remembered.move_to_end(token_hash)
        while len(self._remembered) > REMEMBERED_TOKENS_MAX:
            self._remembered.popitem(last=False)
