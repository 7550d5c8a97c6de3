"""From what a handler returned or raised to the outcome of its attempt: the only place that decides it.

Results are encoded once, here, by the process that has them.
"""

import asyncio
import traceback

import msgspec
from msgspec import Struct

from rota.domain.run import AttemptOutcome, RunError
from rota.worker.outcomes import Cancel, Failure, NonRetryable, Retry

RESULT_BYTES_MAX = 256 * 1024
MESSAGE_CHARS_MAX = 2_000
TRACEBACK_CHARS_MAX = 16_000

_RESULTS = msgspec.json.Encoder()


class Verdict(Struct, frozen=True):
    """The end of an attempt as its executor saw it."""

    outcome: AttemptOutcome
    result_json: str | None = None
    error: RunError | None = None


def verdict_on_return(value: object) -> Verdict:
    """A returned `Failure` counts as raised; a result that cannot be stored is a failure that no retry mends."""
    if isinstance(value, Failure):
        return Verdict("failed", error=_returned(value))
    if value is None:
        return Verdict("succeeded", "null")
    try:
        encoded = _RESULTS.encode(value)
    except (TypeError, ValueError, RecursionError) as problem:
        return _unstorable(f"the result, a {type(value).__qualname__}, cannot be stored as JSON: {problem}")
    if len(encoded) > RESULT_BYTES_MAX:
        return _unstorable(
            f"the result has {len(encoded)} bytes of JSON, at most {RESULT_BYTES_MAX} are kept; "
            "store it elsewhere and return where it is"
        )
    return Verdict("succeeded", encoded.decode())


def verdict_on_raise(raised: BaseException) -> Verdict:
    if isinstance(raised, Cancel | asyncio.CancelledError):
        message = str(raised) or "the handler was cancelled"
        return Verdict("cancelled", error=RunError(message, type=_qualified(raised), retryable=False))
    return Verdict("failed", error=_raised(raised))


def _raised(raised: BaseException) -> RunError:
    delay = raised.delay_seconds if isinstance(raised, Retry) else None
    return RunError(
        message=storable(str(raised) or type(raised).__name__, MESSAGE_CHARS_MAX),
        type=_qualified(raised),
        traceback="" if isinstance(raised, Retry) else _traceback(raised),
        retryable=not isinstance(raised, NonRetryable),
        retry_after_seconds=delay,
    )


def _returned(failure: Failure) -> RunError:
    return RunError(
        message=storable(failure.message, MESSAGE_CHARS_MAX),
        type="Failure",
        failure_class=failure.failure_class,
        retryable=failure.retryable,
        retry_after_seconds=failure.retry_after_seconds,
    )


def _unstorable(message: str) -> Verdict:
    return Verdict("failed", error=RunError(message, type="ResultNotStorable", failure_class="config", retryable=False))


def _traceback(raised: BaseException) -> str:
    """The end of it: the last frames are the handler's."""
    whole = "".join(traceback.format_exception(raised))
    return storable(whole[-TRACEBACK_CHARS_MAX:], TRACEBACK_CHARS_MAX)


def _qualified(raised: BaseException) -> str:
    kind = type(raised)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def storable(text: str, chars_max: int) -> str:
    """Text that any store and wire can carry: bounded, valid UTF-8, without NUL."""
    kept = text if len(text) <= chars_max else text[: chars_max - 1] + "…"
    return kept.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
