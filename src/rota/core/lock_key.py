"""The stable 64-bit number of a lock, for PostgreSQL's advisory locks: the same in every process, release and language.

It is published (docs/locks.md) and the SQL function `scheduler.lock_key` computes it, too: it never changes.
"""

from hashlib import sha256

KEY_BYTES = 8


def lock_key(tenant_id: str, name: str) -> int:
    """The first 8 bytes, signed and big-endian, of SHA-256 over `rota/lock`, 0, the tenant, 0, the name, in UTF-8.

    Neither text can hold a zero character, so different pairs never make the same input.
    """
    text = f"rota/lock\0{tenant_id}\0{name}".encode()
    return int.from_bytes(sha256(text).digest()[:KEY_BYTES], "big", signed=True)
