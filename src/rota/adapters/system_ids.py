"""Names from the machine's clock and entropy: UUIDs of version 7 (RFC 9562 §5.7), and secrets for credentials."""

import os
import secrets
import threading
import time
from uuid import UUID

# 32 bytes: 256 bits, 43 URL-safe characters.
SECRET_BYTES = 32
_COUNTER_BITS = 12
_COUNTER_MAX = (1 << _COUNTER_BITS) - 1


class SystemIds:
    """`rota.ports.ids.Ids`. Ids of one instance grow, also within a millisecond and when the wall clock steps back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_ms = 0
        self._counter = 0

    def new_id(self) -> str:
        milliseconds, counter = self._tick(time.time_ns() // 1_000_000)
        tail = int.from_bytes(os.urandom(8)) & ((1 << 62) - 1)
        return str(UUID(int=milliseconds << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62 | tail))

    def new_secret(self) -> str:
        return secrets.token_urlsafe(SECRET_BYTES)

    def _tick(self, milliseconds: int) -> tuple[int, int]:
        with self._lock:
            if milliseconds > self._last_ms:
                self._last_ms, self._counter = milliseconds, int.from_bytes(os.urandom(1))
            elif self._counter < _COUNTER_MAX:
                self._counter += 1
            else:
                self._last_ms, self._counter = self._last_ms + 1, 0
            return self._last_ms, self._counter
