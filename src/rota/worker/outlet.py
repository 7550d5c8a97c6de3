"""An executor's way out: every thread writes here, in order, straight to the socket.

Control messages are on the wire when `send` returns, whatever the loop is doing. The first line after a silence is,
too: often it is the last one before a crash. Those that follow are gathered for a moment by a thread of their own, so
that they flow also while a handler blocks the loop; lines and control messages never overtake one another. The ends of
attempts are gathered until whoever adds them tells them, or the next control message goes out, or that thread comes by.
A supervisor that does not read makes writers wait: output is bounded by back-pressure, not by memory.

A handler that forks makes a second process with this object in it. The copy must never speak: its lines go to stderr,
and where it would announce an attempt's end, it ends itself.

A process that cannot speak any more ends at once: a handler has closed the socket, or the supervisor is gone. Its
attempts are accounted for then, and not before.
"""

import contextlib
import os
import socket
import threading
from typing import NoReturn

from rota.worker.protocol import ENDS_PER_FRAME_MAX, AttemptEnd, Ended, FromExecutor, Lines, encode_frame

FLUSH_SECONDS = 0.05
LINES_PENDING_MAX = 200


class Outlet:
    """Thread-safe. `close` is the end: what comes later is dropped."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._owner_pid = os.getpid()
        self._lock = threading.Lock()
        self._pending: list[tuple[int, str, str]] = []
        self._ends: list[AttemptEnd] = []
        self._has_some = threading.Event()
        self._is_quiet = True
        self._closed = threading.Event()
        self._flusher = threading.Thread(target=self._flush_regularly, name="rota-lines", daemon=True)
        self._flusher.start()
        os.register_at_fork(after_in_child=self._disown)

    def send(self, message: FromExecutor) -> None:
        """Lines and ends that came before go before."""
        if self._is_a_fork():
            os._exit(0)
        with self._lock:
            self._write(*self._gathered(), message)

    def end(self, end: AttemptEnd) -> None:
        """To be told soon: with `tell_ends`, with what is sent next, or after a moment at the latest."""
        if self._is_a_fork():
            os._exit(0)
        with self._lock:
            self._ends.append(end)
        if not self._has_some.is_set():
            self._has_some.set()

    def tell_ends(self) -> None:
        if self._ends:
            with self._lock:
                self._write(*self._gathered())

    def add_line(self, key: int, stream: str, text: str) -> None:
        if self._is_a_fork():
            os.write(2, f"{text}\n".encode("utf-8", "replace"))
            return
        with self._lock:
            self._pending.append((key, stream, text))
            if self._is_quiet or len(self._pending) >= LINES_PENDING_MAX:
                self._is_quiet = False
                self._write(*self._gathered())
        self._has_some.set()

    def close(self) -> None:
        self._closed.set()
        self._has_some.set()

    def _is_a_fork(self) -> bool:
        return os.getpid() != self._owner_pid

    def _disown(self) -> None:
        """In a forked child: the socket stays the parent's alone, and a lock that was held then is free."""
        self._lock = threading.Lock()
        self._pending, self._ends = [], []
        self._connection.close()

    def _gathered(self) -> list[FromExecutor]:
        """Lines before ends: each attempt's lines came before its end."""
        messages: list[FromExecutor] = []
        if self._pending:
            lines, self._pending = tuple(self._pending), []
            messages.append(Lines(lines))
        if self._ends:
            ends, self._ends = self._ends, []
            firsts = range(0, len(ends), ENDS_PER_FRAME_MAX)
            messages.extend(Ended(tuple(ends[first : first + ENDS_PER_FRAME_MAX])) for first in firsts)
        return messages

    def _write(self, *messages: FromExecutor) -> None:
        try:
            if messages:
                self._connection.sendall(b"".join([encode_frame(message) for message in messages]))
        except BaseException as broken:
            kinds = ", ".join([type(message).__name__ for message in messages])
            end_at_once(f"the supervisor cannot be told of: {kinds}: {broken!r}")

    def _flush_regularly(self) -> None:
        while not self._closed.is_set():
            self._has_some.wait()
            self._closed.wait(FLUSH_SECONDS)
            self._has_some.clear()
            with self._lock:
                self._is_quiet = not self._pending
                self._write(*self._gathered())
            if not self._is_quiet:
                self._has_some.set()


def end_at_once(reason: str) -> NoReturn:
    """Without waiting for threads or cleaning up: an executor holds nothing that needs closing."""
    warn(reason)
    os._exit(1)


def warn(message: str) -> None:
    """To the worker's own output, whatever handlers have done to the streams."""
    with contextlib.suppress(OSError):
        os.write(2, f"rota executor: {message}\n".encode("utf-8", "replace"))
