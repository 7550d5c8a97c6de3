"""Packed documents: JSON in its one canonical form, compressed. The same value has the same JSON and the same hash."""

import hashlib
import lzma

import msgspec

from rota.domain.errors import DomainError
from rota.domain.jobs import UNPACKED_BYTES_MAX

# A third smaller than what zlib makes of a graph, in the same time; the decoder needs 3 MiB.
_PRESET = 2
_MEMORY_BYTES_MAX = 16 * 1024 * 1024


def canonical(value: object) -> bytes:
    """Members of objects in order of their names."""
    return msgspec.json.encode(value, order="deterministic")


def content_hash(value: object) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()


def pack(value: object) -> bytes:
    return lzma.compress(canonical(value), preset=_PRESET)


def unpack(packed: bytes) -> bytes:
    """The JSON. Raises INVALID_INPUT for what `pack` did not make, or what is larger than `UNPACKED_BYTES_MAX`."""
    reader = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY_BYTES_MAX)
    try:
        data = reader.decompress(packed, UNPACKED_BYTES_MAX)
    except lzma.LZMAError as wrong:
        raise DomainError("INVALID_INPUT", "a packed document cannot be read") from wrong
    if not reader.eof:
        raise DomainError("INVALID_INPUT", f"a packed document is cut off, or larger than {UNPACKED_BYTES_MAX} bytes")
    return data
