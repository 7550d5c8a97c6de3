"""What may be said to a callback, and what becomes of a run whose waiting for one is over. Pure."""

import hashlib
from collections.abc import Iterator

from msgspec import json

from rota.core.dice import Dice
from rota.core.field_rules import json_problems, number_problems, under
from rota.core.retry import RETRY_AFTER_SECONDS_MAX
from rota.core.settlement import decide_settlement
from rota.domain.callback import CallbackAnswer, CallbackError, EndedWait
from rota.domain.errors import Bug
from rota.domain.problems import FieldProblem
from rota.domain.run import RunError, Settlement
from rota.domain.targets import HttpTarget

RESULT_BYTES_MAX = 256 * 1024
MESSAGE_CHARS_MAX = 2_000
TYPE_CHARS_MAX = 200


def callback_digest(secret: str) -> bytes:
    """As which an address's secret is kept: it has 256 random bits, so that a plain hash suffices."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def wait_seconds_of(target: HttpTarget, timeout_seconds: float) -> float:
    """How long an attempt waits for its callback: the target's own time, else the run's time-out once more."""
    return timeout_seconds if target.callback_timeout_seconds is None else target.callback_timeout_seconds


def answer_problems(answer: CallbackAnswer) -> Iterator[FieldProblem]:
    if answer.outcome == "succeeded":
        yield from json_problems("result", answer.result, RESULT_BYTES_MAX)
        if answer.error is not None:
            yield FieldProblem("error", "a success has none", "leave it out, or give outcome failed")
        return
    if answer.result is not None:
        yield FieldProblem("result", "a failure has none", "leave it out, or give outcome succeeded")
    if answer.error is None:
        yield FieldProblem("error", "is missing", 'say what failed, as {"message": …}')
    else:
        yield from under("error", _error_problems(answer.error))


def _error_problems(error: CallbackError) -> Iterator[FieldProblem]:
    for field, text, least, most in (
        ("message", error.message, 1, MESSAGE_CHARS_MAX),
        ("type", error.type, 0, TYPE_CHARS_MAX),
    ):
        if not least <= len(text) <= most:
            yield FieldProblem(field, f"has {len(text)} characters", f"use {least} to {most}")
    if error.retry_after_seconds is not None:
        seconds = error.retry_after_seconds
        yield from number_problems("retry_after_seconds", seconds, 0.0, RETRY_AFTER_SECONDS_MAX, "seconds")


def error_of(answer: CallbackAnswer) -> RunError | None:
    """What the store keeps of a failure."""
    error = answer.error
    if error is None:
        return None
    return RunError(
        error.message,
        error.type,
        failure_class=error.failure_class,
        retryable=error.retryable,
        retry_after_seconds=error.retry_after_seconds,
    )


def decide_wait_end(ended: EndedWait, rng: Dice) -> Settlement:
    """As an attempt that a worker saw ending in the same way. An answer counts even where it was to be cancelled."""
    if ended.claimed is None:
        raise Bug("a run that has moved on is not settled")
    if ended.outcome == "succeeded":
        return decide_settlement(ended.claimed, "succeeded", None, rng, result_json=ended.result_json)
    if ended.outcome == "failed":
        return decide_settlement(ended.claimed, "failed", ended.error, rng)
    if ended.is_late:
        message = f"202 was answered, but its callback did not come within {ended.wait_seconds:g} s"
        late = RunError(message, type="CallbackTimedOut", failure_class="timeout")
        return decide_settlement(ended.claimed, "timed_out", late, rng)
    return decide_settlement(ended.claimed, "cancelled", None, rng)


def stored_error(error: RunError | None) -> str | None:
    return None if error is None else json.encode(error).decode()
