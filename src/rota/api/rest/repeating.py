"""Repeated requests: a key that was seen is answered as it was the first time, and the verb is not done again.

For verbs that keep no key themselves. The key is claimed before the verb and its answer is kept behind it; a refused
request gives the key back. A crash in between leaves the claim until it is over: what is asked under the key then
is done, for the second time if the crash came late. So it is where the verb could not tell whether it was done (503):
who repeats it is told when to, and it is never refused for good.
"""

import math
import zlib
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from rota.api.rest.endpoint import Answer, Call, Endpoint, StreamAnswer
from rota.api.rest.rendering import to_json
from rota.domain.errors import DomainError, Unavailable
from rota.domain.problems import FieldProblem
from rota.ports.idempotency_store import KeyUse
from rota.services.schedule_verbs import fingerprint_of, key_mismatch

CLAIM_SECONDS = 60.0
"""Longer than any request takes."""
WAITS_MAX = 10
WAIT_SECONDS = 0.05
KEPT_BYTES_MAX = 262_144
NOT_KEPT = b""
REPLAYED_HEADER = "Idempotency-Replayed"

_log = structlog.get_logger("rota.api")


class KeptAnswer(Struct, frozen=True, array_like=True):
    """An answer as it went out."""

    status: int
    headers: dict[str, str]
    body: bytes


async def answer_once(endpoint: Endpoint, call: Call[Any, Any]) -> Answer | StreamAnswer:
    """Raises IDEMPOTENCY_MISMATCH where the key was used for another request, STATE_CONFLICT where the first one's
    answer was not one to be kept, and Unavailable, while its claim lasts, where it is under way or its outcome unknown.
    """
    if call.idempotency_key is None or not endpoint.keeps_answer:
        return await endpoint.handler(call)
    store, scope = call.services.ports.idempotency, f"answer:{endpoint.operation_id}"
    asked = (call.path, call.query, call.body, call.if_match)
    use = KeyUse(call.idempotency_key, fingerprint_of(asked), call.services.ports.ids.new_id())
    known = await _claimed(call, scope, use)
    if known is not None:
        return _again(known, use.key)
    try:
        answer = await endpoint.handler(call)
    except DomainError:
        await store.settle_if_held(call.tenant_id, scope, use, None)
        raise
    try:
        await store.settle_if_held(call.tenant_id, scope, use, _packed(endpoint, answer))
    except Unavailable:
        _log.warning("answer_not_kept", operation=endpoint.operation_id, tenant_id=call.tenant_id)
    return answer


async def _claimed(call: Call[Any, Any], scope: str, use: KeyUse) -> bytes | None:
    """None where the verb is ours to do, else what was answered. Who does it now is given a moment."""
    ports = call.services.ports
    left_seconds = CLAIM_SECONDS
    for _ in range(WAITS_MAX):
        claim = await ports.idempotency.claim(call.tenant_id, scope, use, CLAIM_SECONDS)
        if claim.fingerprint != use.fingerprint:
            raise key_mismatch(use.key)
        if claim.holder == use.resource_id:
            return None
        if claim.answer is not None:
            return claim.answer
        left_seconds = claim.left_seconds
        await ports.clock.sleep(WAIT_SECONDS)
    detail = f"a request with the idempotency key {use.key!r} is under way, or ended without it being known how"
    raise Unavailable(detail, math.ceil(left_seconds))


def _packed(endpoint: Endpoint, answer: Answer | StreamAnswer) -> bytes:
    if endpoint.tells_secret or isinstance(answer, StreamAnswer):
        return NOT_KEPT
    body = answer.body if isinstance(answer.body, bytes) else to_json(answer.body)
    packed = zlib.compress(msgspec.msgpack.encode(KeptAnswer(answer.status, answer.headers, body)), 1)
    return packed if len(packed) <= KEPT_BYTES_MAX else NOT_KEPT


def _again(packed: bytes, key: str) -> Answer:
    if packed == NOT_KEPT:
        problem = FieldProblem("Idempotency-Key", "was used, and its answer is not kept", "look at what there is now")
        detail = (
            f"the request with the idempotency key {key!r} was done; its answer held a secret, or was too long to keep"
        )
        raise DomainError("STATE_CONFLICT", detail, [problem])
    kept = msgspec.msgpack.decode(zlib.decompress(packed), type=KeptAnswer)
    return Answer(kept.body, kept.status, {**kept.headers, REPLAYED_HEADER: "true"})
