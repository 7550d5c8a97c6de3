"""Raising an exception inside a handler that is running: how a task that asks for it is told of its soft time-out.

On the loop it is raised where the handler waits, as a cancellation would be: what waits for tasks of its own (a
TaskGroup, wait_for) cancels them on its way, since within the handler it is a CancelledError, too. In a thread it is
raised between two of the handler's own instructions: a call that blocks returns first. It is raised once at most, never
outside the handler.
"""

import asyncio
import ctypes
import threading
from collections.abc import Coroutine, Generator
from types import new_class
from typing import Any, cast

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in_thread.argtypes = (ctypes.c_ulong, ctypes.py_object)
_raise_in_thread.restype = ctypes.c_int
_NOTHING = ctypes.py_object()


class InterruptibleCoroutine:
    """Awaits a handler's coroutine, into which it passes on what `interrupt` is given. Belongs to the loop's thread."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self._error: Exception | None = None
        self._told: tuple[BaseException, Exception] | None = None
        self._task: asyncio.Task[None] | None = None

    def interrupt(self, error: Exception) -> None:
        """No effect before the handler's first step and after its last."""
        if self._task is not None and not self._task.done():
            self._error = error
            self._task.cancel()

    def __await__(self) -> Generator[Any, None, Any]:
        self._task = asyncio.current_task()
        try:
            waited = self._coroutine.send(None)
            while True:
                try:
                    yield waited
                except asyncio.CancelledError as cancelled:
                    waited = self._coroutine.throw(self._raised(cancelled))
                else:
                    waited = self._coroutine.send(None)
        except StopIteration as ended:
            return ended.value
        except asyncio.CancelledError as escaped:
            if self._told is None or escaped is not self._told[0]:
                raise
            raise self._told[1].with_traceback(escaped.__traceback__) from escaped.__cause__
        finally:
            self._task = None
            self._coroutine.close()

    def _raised(self, cancelled: asyncio.CancelledError) -> BaseException:
        """A cancellation that came as well goes first: then nobody waits for the handler any more."""
        error, self._error = self._error, None
        if error is None or self._task is None or self._task.uncancel() > 0:
            return cancelled
        self._told = as_cancellation(error), error
        return self._told[0]


def as_cancellation(error: Exception) -> Exception:
    """The same error, also for those who look for a cancellation: of its own type and a CancelledError.

    A type that admits no others beneath it stays what it is.
    """
    kind = type(error)
    named = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    try:
        both = new_class(kind.__name__, (kind, asyncio.CancelledError), exec_body=lambda body: body.update(named))
    except TypeError:
        return error
    told = cast("Exception", both.__new__(both, *error.args))
    told.args = error.args
    told.__dict__.update(error.__dict__)
    return told


class InterruptibleThread:
    """A block of the calling thread into which another one may raise an exception."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread_id: int | None = None

    def interrupt(self, error: type[Exception]) -> None:
        """No effect before the block and after it."""
        with self._lock:
            if self._thread_id is not None:
                _raise_in_thread(self._thread_id, error)

    def __enter__(self) -> None:
        with self._lock:
            self._thread_id = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        """What was asked for and is not raised yet never will be: the thread's next work is another handler's."""
        with self._lock:
            self._thread_id = None
            _raise_in_thread(threading.get_ident(), _NOTHING)
