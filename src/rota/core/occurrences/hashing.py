"""Stable choices drawn from a hash: the place of an `H` in a cron field, and the jitter of one run.

The same key gives the same choice in every process and release: SHA-256, never Python's own hash.
"""

from datetime import datetime
from hashlib import sha256

from rota.core.occurrences.instants import to_microseconds

UNIT_BITS = 53


def hashed_place(hash_key: str, field_name: str, places: int) -> int:
    """A number in [0, places), spread evenly over keys and independent from field to field."""
    digest = sha256(f"{field_name}\0{hash_key}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % places


def jitter_offset(trigger_id: str, fire_at: datetime, jitter_seconds: float) -> float:
    """Seconds in [0, jitter_seconds) to add to the nominal time of one run; the same run always gets the same."""
    if jitter_seconds <= 0:
        return 0.0
    nominal = f"{trigger_id}\0{to_microseconds(fire_at)}"
    digest = sha256(nominal.encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") >> (64 - UNIT_BITS)) / (1 << UNIT_BITS) * jitter_seconds
