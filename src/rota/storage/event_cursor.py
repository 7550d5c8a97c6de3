"""The cursor of an event: the number of the transaction that wrote it, and its id within that transaction."""

import re

from rota.storage.page_cursor import cursor_refused, decode_id_cursor, encode_cursor

_TRANSACTION_MAX = 2**64 - 1
_NUMBER = re.compile(r"[0-9]{1,20}")

EVENT_CURSOR_START: tuple[int, str] = (0, "00000000-0000-0000-0000-000000000000")
"""Before every event."""

EVENT_CURSOR_END: tuple[int, str] = (_TRANSACTION_MAX, "ffffffff-ffff-ffff-ffff-ffffffffffff")
"""Behind every event."""


def encode_event_cursor(txid: int, event_id: str) -> str:
    return encode_cursor(str(txid), event_id)


def decode_event_cursor(cursor: str) -> tuple[int, str]:
    """Raises INVALID_INPUT for anything that `encode_event_cursor` did not make."""
    txid, event_id = decode_id_cursor(cursor, 2)
    if not (_NUMBER.fullmatch(txid) and int(txid) <= _TRANSACTION_MAX):
        raise cursor_refused()
    return int(txid), event_id
