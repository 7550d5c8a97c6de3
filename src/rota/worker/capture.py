"""print() and what goes to stdout or stderr while a handler runs become log lines of its attempt.

The streams of the process are replaced once; each write looks up whose context it runs in. Code that runs outside of
any attempt (imports, threads that a handler started by itself) writes to the real streams.
"""

import codecs
import contextlib
import io
import sys
import threading
from collections.abc import Generator
from contextvars import ContextVar
from typing import TYPE_CHECKING

from rota.worker.outlet import Outlet
from rota.worker.protocol import GroupEnded, GroupStarted
from rota.worker.verdicts import storable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

LINE_CHARS_MAX = 8_000
STREAM_CHARS_MAX = 20

_UTF8 = codecs.getincrementaldecoder("utf-8")

_current: ContextVar["AttemptOutput | None"] = ContextVar("rota_attempt_output", default=None)


class AttemptOutput:
    """One attempt's lines, bounded in number and bytes; what exceeds the bound is replaced by one last line."""

    def __init__(self, outlet: Outlet, key: int, *, lines_max: int, bytes_max: int) -> None:
        self._outlet = outlet
        self._key = key
        self._lines_left = lines_max
        self._bytes_left = bytes_max
        self._bounds = (lines_max, bytes_max)
        self._open = True
        self._unfinished: dict[str, str] = {}
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}
        self._lock = threading.Lock()

    def line(self, stream: str, text: str) -> None:
        with self._lock:
            self._emit(stream, text)

    def write(self, stream: str, text: str) -> None:
        """Text in any pieces; a line goes out when its end arrives, or when it is too long to wait for."""
        with self._lock:
            self._write(stream, text)

    def write_bytes(self, stream: str, data: bytes) -> None:
        """A character may come in two pieces."""
        with self._lock:
            decoder = self._decoders.setdefault(stream, _UTF8(errors="backslashreplace"))
            self._write(stream, decoder.decode(data))

    def finish(self) -> None:
        """Unfinished lines go out as they are; what comes later belongs to nobody and is dropped."""
        with self._lock:
            for stream, decoder in self._decoders.items():
                self._write(stream, decoder.decode(b"", final=True))
            for stream, rest in self._unfinished.items():
                if rest:
                    self._emit(stream, rest)
            self._unfinished = {}
            self._open = False

    def group_started(self, group_id: int) -> None:
        self._outlet.send(GroupStarted(group_id))

    def group_ended(self, group_id: int) -> None:
        self._outlet.send(GroupEnded(group_id))

    def _write(self, stream: str, text: str) -> None:
        *lines, rest = (self._unfinished.get(stream, "") + text).split("\n")
        for line in lines:
            self._emit(stream, line)
        if len(rest) > LINE_CHARS_MAX:
            self._emit(stream, rest)
            rest = ""
        self._unfinished[stream] = rest

    def _emit(self, stream: str, text: str) -> None:
        if not self._open:
            return
        stream, kept = storable(stream, STREAM_CHARS_MAX), storable(text, LINE_CHARS_MAX)
        self._lines_left -= 1
        self._bytes_left -= len(kept.encode())
        if self._lines_left < 0 or self._bytes_left < 0:
            self._open = False
            lines_max, bytes_max = self._bounds
            stream, kept = "log", f"truncated: an attempt may log {lines_max} lines and {bytes_max} bytes"
        self._outlet.add_line(self._key, stream, kept)


class RoutedStream(io.TextIOBase):
    """Stands where sys.stdout or sys.stderr stood."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, stream: str, original: io.TextIOBase) -> None:
        self._stream = stream
        self._original = original
        self.name = f"<{stream}>"
        self.buffer = RoutedBytes(stream, original)

    def write(self, text: str, /) -> int:
        output = _current.get()
        if output is None:
            return self._original.write(text)
        output.write(self._stream, text)
        return len(text)

    def flush(self) -> None:
        self._original.flush()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        """The real stream's: what a child process inherits is not captured."""
        return self._original.fileno()

    def reconfigure(self, **_settings: object) -> None:
        """Lines are sent when they end, and any text is taken: there is nothing to set."""

    def close(self) -> None:
        """It is every handler's: none may close it for the others."""


class RoutedBytes(io.RawIOBase):
    """What `buffer` is to a text stream. Bytes that are no UTF-8 are shown by their numbers."""

    def __init__(self, stream: str, original: io.TextIOBase) -> None:
        self._stream = stream
        self._original = original

    def write(self, data: "ReadableBuffer", /) -> int:
        output, given = _current.get(), bytes(data)
        if output is None:
            self._original.write(given.decode("utf-8", "backslashreplace"))
            return len(given)
        output.write_bytes(self._stream, given)
        return len(given)

    def flush(self) -> None:
        self._original.flush()

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        """As above."""


def route_streams() -> None:
    """Once per process, before user code is imported, so that its logging handlers get the routed streams."""
    sys.stdout = RoutedStream("stdout", sys.stdout)  # pyright: ignore[reportArgumentType]  # TextIO in typeshed
    sys.stderr = RoutedStream("stderr", sys.stderr)  # pyright: ignore[reportArgumentType]  # TextIO in typeshed


def capture_from_here(output: AttemptOutput) -> None:
    """For the rest of this context, which is the attempt's own: a task's."""
    _current.set(output)


@contextlib.contextmanager
def capturing(output: AttemptOutput) -> Generator[None]:
    """Within this context (and what copies it) output belongs to the attempt."""
    token = _current.set(output)
    try:
        yield
    finally:
        _current.reset(token)
        output.finish()
