"""The identity of a run: a 128-bit key, so that whoever asks twice for the same run gets the one that exists (law 7).

A key is the BLAKE2b-128 digest of its domain and parts, written as a UUID's text. Each part is preceded by its length,
so that no two lists of parts look alike; the domain keeps fire keys and idempotency keys apart for ever. Changing
anything here would let runs be born twice across an upgrade.
"""

from datetime import UTC, datetime
from hashlib import blake2b

from rota.domain.errors import Bug
from rota.domain.ids import RunId, TenantId, TriggerId

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def fire_key(trigger_id: TriggerId, fire_at: datetime) -> str:
    """The key of the run that a trigger fires for a nominal time, to the microsecond, in whatever zone it is given."""
    return _key(b"rota.fire", trigger_id, _microseconds(fire_at))


def backfill_key(trigger_id: TriggerId, fire_at: datetime) -> str:
    """The key of the run that backfills give a nominal time whose fire key a skipped record has."""
    return _key(b"rota.back", trigger_id, _microseconds(fire_at))


RUNS_SCOPE = "runs"


def idempotency_key(tenant_id: TenantId, scope: str, key: str) -> str:
    """The key of the run that a tenant's caller asked for under its own `key`; `scope` tells verbs apart."""
    return _key(b"rota.idem", tenant_id, scope, key)


def unique_key(tenant_id: TenantId, scope: str, *parts: str) -> str:
    """The key that a tenant's runs share which are alike in `scope`: see `rota.domain.uniqueness`."""
    return _key(b"rota.uniq", tenant_id, scope, *parts)


def concurrency_key(tenant_id: TenantId, key: str) -> str:
    """The identity of a tenant's concurrency key."""
    return _key(b"rota.conc", tenant_id, key)


def milestone_key(tenant_id: TenantId, name: str, subject: str, attempt_no: int) -> str:
    """The key of the run that is the nth attempt ever at a subject's milestone."""
    return _key(b"rota.mile", tenant_id, name, subject, str(attempt_no))


def _microseconds(fire_at: datetime) -> str:
    if fire_at.tzinfo is None:
        raise Bug("a nominal time without a zone has no identity")
    since = fire_at - _EPOCH
    return str((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


def replay_key(tenant_id: TenantId, run_id: RunId) -> str:
    """The key of the first clone of a run, so that whoever clones it in bulk, or as a dead letter, makes one."""
    return _key(b"rota.replay", tenant_id, run_id)


def _key(domain: bytes, *parts: str) -> str:
    pieces: list[bytes] = []
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        pieces += (len(encoded).to_bytes(8, "big"), encoded)
    text = blake2b(b"".join(pieces), digest_size=16, person=domain).hexdigest()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
