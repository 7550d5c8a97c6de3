"""The opaque cursor of a page: the sort key of its last item, in a form that callers hand back and never read."""

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from rota.domain.errors import DomainError, invalid_input
from rota.domain.problems import FieldProblem

TOTAL_DIGITS_MAX = 15

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def is_uuid(text: str) -> bool:
    """Whether it is a UUID in its canonical form. Any other spelling names nothing."""
    return _UUID.fullmatch(text) is not None


def encode_cursor(*parts: str) -> str:
    """A cursor for this sort key, safe in a URL."""
    return urlsafe_b64encode(msgspec.json.encode(parts)).rstrip(b"=").decode("ascii")


def decode_cursor(cursor: str, parts_count: int) -> tuple[str, ...]:
    """The sort key that was encoded. Raises INVALID_INPUT for anything that `encode_cursor` did not make."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        parts = msgspec.json.decode(urlsafe_b64decode(padded), type=tuple[str, ...])
    except (UnicodeEncodeError, binascii.Error, msgspec.DecodeError) as error:
        raise cursor_refused() from error
    if len(parts) != parts_count or encode_cursor(*parts) != cursor:
        raise cursor_refused()
    return parts


def decode_id_cursor(cursor: str, parts_count: int) -> tuple[str, ...]:
    """As `decode_cursor`, for a sort key that ends in a UUID."""
    parts = decode_cursor(cursor, parts_count)
    if not is_uuid(parts[-1]):
        raise cursor_refused()
    return parts


def decode_counted_cursor(cursor: str, parts_count: int) -> tuple[int, tuple[str, ...]]:
    """A total, and a sort key that ends in a UUID: of a list that is counted once for a walk through its pages."""
    total, *position = decode_id_cursor(cursor, parts_count + 1)
    if not (total.isascii() and total.isdecimal() and len(total) <= TOTAL_DIGITS_MAX):
        raise cursor_refused()
    return int(total), tuple(position)


def cursor_refused() -> DomainError:
    """The 422 of a cursor that was not given out by this store."""
    return invalid_input([FieldProblem("cursor", "is not a cursor of this list", "Pass `next_cursor` back unchanged.")])
