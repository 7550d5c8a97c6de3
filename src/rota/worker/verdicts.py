"""From what a handler returned or raised to the outcome of its attempt: the only place that decides it.

Results are encoded once, here, by the process that has them. Whatever a handler returned or raised, its verdict is one
that the wire, the store and the API can carry.
"""

import asyncio
import traceback
from math import isfinite

import msgspec
from msgspec import Struct, structs

from rota.core.field_rules import JSON_DEPTH_MAX, is_nested_deeper, stored_json_bytes
from rota.domain.run import AttemptOutcome, RunError
from rota.worker.outcomes import Cancel, Failure, NonRetryable, Retry

RESULT_BYTES_MAX = 256 * 1024
MESSAGE_CHARS_MAX = 2_000
TRACEBACK_CHARS_MAX = 16_000
TYPE_CHARS_MAX = 200

_RESULTS = msgspec.json.Encoder()


class Verdict(Struct, frozen=True):
    """The end of an attempt as its executor saw it."""

    outcome: AttemptOutcome
    result_json: str | None = None
    error: RunError | None = None


_NOTHING = Verdict("succeeded", "null")


def verdict_on_return(value: object) -> Verdict:
    """A returned `Failure` counts as raised; a result that cannot be stored is a failure that no retry mends."""
    if isinstance(value, Failure):
        return Verdict("failed", error=_returned(value))
    if value is None:
        return _NOTHING
    try:
        return _verdict_on_result(_RESULTS.encode(value))
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as wrong:
        return _unstorable(f"the result, a {type(value).__qualname__}, cannot be stored as JSON: {wrong}")


def _verdict_on_result(encoded: bytes) -> Verdict:
    """Read back before it is believed: a handler may return JSON of its own making (`msgspec.Raw`), which is none."""
    size = len(encoded) if len(encoded) > RESULT_BYTES_MAX else stored_json_bytes(encoded)
    if size > RESULT_BYTES_MAX:
        return _unstorable(
            f"the result has {size} bytes of JSON, at most {RESULT_BYTES_MAX} are kept; "
            "store it elsewhere and return where it is"
        )
    value = msgspec.json.decode(encoded)
    # Only where there are brackets enough is it worth looking inside.
    brackets_count = encoded.count(b"[") + encoded.count(b"{")
    if brackets_count > JSON_DEPTH_MAX and is_nested_deeper(value, JSON_DEPTH_MAX):
        return _unstorable(
            f"the result is nested deeper than {JSON_DEPTH_MAX} levels; flatten it, or return it as text"
        )
    return Verdict("succeeded", _RESULTS.encode(value).decode())


def verdict_on_raise(raised: BaseException) -> Verdict:
    """Never raises, although what a handler raised may do so as soon as it is looked at."""
    try:
        return _verdict_on_raised(raised)
    except BaseException:
        name = type.__dict__["__qualname__"].__get__(type(raised))
        message = f"the handler raised an exception, a {name}, that raises another one when it is looked at"
        return Verdict(
            "failed", error=RunError(storable(message, MESSAGE_CHARS_MAX), type=storable(name, TYPE_CHARS_MAX))
        )


def verdict_on_soft_timeout(raised: Exception) -> Verdict:
    """The handler did not catch what it was told at its soft time-out."""
    message = storable(_text_of(raised) or "the soft time-out passed", MESSAGE_CHARS_MAX)
    error = RunError(message, _qualified(raised), _traceback(raised), failure_class="timeout")
    return Verdict("timed_out", error=error)


def _verdict_on_raised(raised: BaseException) -> Verdict:
    if isinstance(raised, Cancel | asyncio.CancelledError):
        message = _text_of(raised) or "the handler was cancelled"
        return Verdict(
            "cancelled", error=RunError(storable(message, MESSAGE_CHARS_MAX), type=_qualified(raised), retryable=False)
        )
    return Verdict("failed", error=_raised(raised))


def _raised(raised: BaseException) -> RunError:
    delay = raised.delay_seconds if isinstance(raised, Retry) else None
    return _well_formed(
        RunError(
            message=storable(_text_of(raised) or type(raised).__name__, MESSAGE_CHARS_MAX),
            type=_qualified(raised),
            traceback="" if isinstance(raised, Retry) else _traceback(raised),
            retryable=not isinstance(raised, NonRetryable),
            retry_after_seconds=delay,
        )
    )


def _returned(failure: Failure) -> RunError:
    return _well_formed(
        RunError(
            message=storable(str(failure.message), MESSAGE_CHARS_MAX),
            type="Failure",
            failure_class=failure.failure_class,
            retryable=failure.retryable,
            retry_after_seconds=failure.retry_after_seconds,
        )
    )


def _well_formed(error: RunError) -> RunError:
    """Handlers are not checked by a type checker: what they say beside the message may be of any type."""
    try:
        checked = msgspec.convert(structs.asdict(error), RunError)
    except msgspec.ValidationError as wrong:
        named = str(wrong).rpartition("`$.")[2].rstrip("`")
        message = f"{error.message} ({named} is not what it must be: {str(wrong).partition(' - at')[0]})"
        return RunError(storable(message, MESSAGE_CHARS_MAX), error.type, error.traceback, "config")
    after = checked.retry_after_seconds
    return structs.replace(checked, retry_after_seconds=None) if after is not None and not isfinite(after) else checked


def _text_of(raised: BaseException) -> str:
    """What `str` says; the interpreter's own words where an exception cannot tell its text."""
    return str(traceback.TracebackException(type(raised), raised, None))


def _unstorable(message: str) -> Verdict:
    return Verdict("failed", error=RunError(message, type="ResultNotStorable", failure_class="config", retryable=False))


def _traceback(raised: BaseException) -> str:
    """The end of it: the last frames are the handler's."""
    whole = "".join(traceback.format_exception(raised))
    return storable(whole[-TRACEBACK_CHARS_MAX:], TRACEBACK_CHARS_MAX)


def _qualified(raised: BaseException) -> str:
    kind = type(raised)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return storable(name, TYPE_CHARS_MAX)


def storable(text: str, chars_max: int) -> str:
    """Text that any store and wire can carry: bounded, valid UTF-8, without NUL."""
    kept = text if len(text) <= chars_max else text[: chars_max - 1] + "…"
    return kept.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
