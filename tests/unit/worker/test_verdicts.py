"""Handlers may return and raise anything; what leaves the executor is always something that others can carry."""

from collections.abc import Callable
from datetime import timedelta
from functools import reduce
from typing import Any, NoReturn

import pytest
from msgspec import Raw

from rota.core.settlement import decide_settlement
from rota.domain.policies import RetryPolicy
from rota.worker.outcomes import Failure, Retry
from rota.worker.protocol import AttemptEnd, Ended, encode_frame, frames_from_executor
from rota.worker.verdicts import RESULT_BYTES_MAX, Verdict, verdict_on_raise, verdict_on_return
from tests.unit.core.values import LoadedDice, claimed


def arrived(verdict: Verdict) -> Verdict:
    """As the supervisor reads it."""
    said = Ended((AttemptEnd(1, verdict.outcome, verdict.result_json, verdict.error),))
    (heard,) = frames_from_executor().feed(encode_frame(said))
    assert isinstance(heard, Ended)
    (end,) = heard.ends
    return Verdict(end.outcome, end.result_json, end.error)


def nested(levels: int) -> Any:
    return reduce(lambda inner, _: [inner], range(levels), 1)


@pytest.mark.parametrize("value", [nested(64), [[] for _ in range(500)], "[" * 500, {"a": 10**40}, 1e308, b"x"])
def test_results_that_readers_can_take_are_kept(value: object) -> None:
    assert verdict_on_return(value).outcome == "succeeded"


@pytest.mark.parametrize("levels", [65, 500, 900, 5_000])
def test_a_result_that_no_reader_could_take_is_refused_by_its_depth(levels: int) -> None:
    found = verdict_on_return(nested(levels))
    assert found.error is not None
    assert (found.outcome, found.error.type, found.error.retryable) == ("failed", "ResultNotStorable", False)


def test_a_result_counts_by_what_readers_get_back() -> None:
    found = verdict_on_return([1e308] * (RESULT_BYTES_MAX // 10))
    assert found.error is not None
    assert "bytes of JSON" in found.error.message


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_error_without_words_is_a_failure_like_any_other() -> None:
    found = verdict_on_raise(Unspeakable())
    assert found.error is not None
    assert (found.outcome, found.error.retryable) == ("failed", True)
    assert found.error.message == "<exception str() failed>"


def retrying(delay: object) -> Retry:
    return Retry("later", delay_seconds=delay)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "verdict",
    [
        verdict_on_raise(retrying("60")),
        verdict_on_raise(retrying(timedelta(seconds=60))),
        verdict_on_return(Failure("later", retry_after_seconds="soon")),  # pyright: ignore[reportArgumentType]
        verdict_on_return(Failure("later", failure_class="mine")),  # pyright: ignore[reportArgumentType]
        verdict_on_return(Failure("later", retryable="perhaps")),  # pyright: ignore[reportArgumentType]
    ],
)
def test_words_of_the_wrong_type_are_told_and_cost_nothing_else(verdict: Verdict) -> None:
    found = arrived(verdict).error
    assert found is not None
    assert (found.failure_class, found.retryable, found.retry_after_seconds) == ("config", True, None)
    assert found.message.startswith("later (")
    assert "is not what it must be: Expected" in found.message or "Invalid" in found.message


@pytest.mark.parametrize("delay", [float("nan"), float("inf"), float("-inf")])
def test_a_delay_without_end_is_left_to_the_policy(delay: float) -> None:
    found = arrived(verdict_on_raise(Retry(delay_seconds=delay))).error
    assert found is not None
    assert (found.retryable, found.retry_after_seconds) == (True, None)


def test_a_message_of_another_type_is_shown_as_text() -> None:
    found = arrived(verdict_on_return(Failure(404))).error  # pyright: ignore[reportArgumentType]
    assert found is not None
    assert found.message == "404"


def test_the_name_of_an_error_is_bounded() -> None:
    found = arrived(verdict_on_raise(type("E" * 5_000, (Exception,), {})("boo"))).error
    assert found is not None
    assert (found.message, len(found.type)) == ("boo", 200)


@pytest.mark.parametrize(
    "text",
    [b"{no", b'1, "2"', b"NaN", b'"\xff"', b'"\\ud800"', b"1e400000", b"9" * 200_000],
    ids=["no JSON", "two values", "NaN", "no UTF-8", "half a character", "beyond floats", "too many digits"],
)
def test_a_result_that_is_no_json_although_it_says_so_is_refused(text: bytes) -> None:
    found = verdict_on_return({"given": Raw(text)})
    assert found.error is not None
    assert (found.outcome, found.error.type, found.error.retryable) == ("failed", "ResultNotStorable", False)


def test_a_result_of_ready_made_json_is_kept_as_readers_get_it() -> None:
    assert verdict_on_return([Raw(b' {"a": 1.50, "b" : 1e-400000} ')]).result_json == '[{"a":1.5,"b":0.0}]'


def masked() -> Exception:
    class Masked(Exception):
        @property
        def __class__(self) -> NoReturn:  # pyright: ignore[reportIncompatibleMethodOverride]
            raise KeyboardInterrupt

    return Masked("text")


def unnamed() -> Exception:
    class Nameless(type):
        def __getattribute__(cls, name: str) -> Any:
            raise SystemExit(name)

    class Unnamed(Exception, metaclass=Nameless):
        pass

    return Unnamed("text")


@pytest.mark.parametrize("make", [masked, unnamed])
def test_an_error_that_raises_another_when_it_is_looked_at_is_a_failure_like_any_other(
    make: Callable[[], Exception],
) -> None:
    found = verdict_on_raise(make())
    assert found.error is not None
    assert (found.outcome, found.error.retryable) == ("failed", True)
    assert found.error.type.lower().endswith(make.__name__)
    assert arrived(found) == found


@pytest.mark.parametrize("attempt_no", [1, 2, 3])
def test_a_returned_failure_is_tried_again_just_as_a_raised_one(attempt_no: int) -> None:
    policy = RetryPolicy(delays_seconds=(30.0, 120.0))
    verdicts = [arrived(one) for one in (verdict_on_raise(RuntimeError("full")), verdict_on_return(Failure("full")))]
    raised, returned = (
        decide_settlement(claimed(attempt_no, 0, policy), one.outcome, one.error, LoadedDice(0.5)) for one in verdicts
    )

    assert (returned.verb, returned.outcome, returned.dead_letter) == (raised.verb, raised.outcome, raised.dead_letter)
    assert (returned.retry_delay_seconds, returned.reason) == (raised.retry_delay_seconds, raised.reason)
    assert raised.verb == ("fail" if attempt_no == 3 else "retry")
