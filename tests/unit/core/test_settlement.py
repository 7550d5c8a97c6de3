import pytest
from msgspec import json

from rota.core.failure_class import classify_failure
from rota.core.retry import RETRY_AFTER_SECONDS_MAX
from rota.core.settlement import decide_settlement
from rota.domain.lifecycle import Lifecycle
from rota.domain.policies import RetryPolicy
from rota.domain.run import RUN_LIFECYCLE, AttemptOutcome, FailureClass, RunError, Settlement
from tests.unit.core.values import LoadedDice, claimed


def settled(
    outcome: AttemptOutcome = "failed",
    error: RunError | None = None,
    *,
    attempt_no: int = 1,
    losses_count: int = 0,
    dice: float = 0.5,
    **retry: object,
) -> Settlement:
    policy = RetryPolicy(**retry)  # pyright: ignore[reportArgumentType]
    return decide_settlement(claimed(attempt_no, losses_count, policy), outcome, error, LoadedDice(dice))


def stored_error(settlement: Settlement) -> RunError:
    assert settlement.error_json is not None
    return json.decode(settlement.error_json, type=RunError)


def test_success_ends_the_run_with_its_result() -> None:
    done = decide_settlement(claimed(), "succeeded", None, LoadedDice(), result_json='{"rows":3}')

    assert (done.verb, done.outcome, done.result_json, done.error_json) == ("succeed", "succeeded", '{"rows":3}', None)


@pytest.mark.parametrize(
    ("attempt_no", "delay"), [(1, 5.0), (2, 10.0), (3, 20.0), (4, 40.0), (5, 80.0), (6, 120.0), (7, 120.0)]
)
def test_delays_double_up_to_the_cap(attempt_no: int, delay: float) -> None:
    again = settled(attempt_no=attempt_no, attempts_max=10)

    assert (again.verb, again.retry_delay_seconds, again.dead_letter) == ("retry", delay, False)


def test_an_enormous_attempt_number_waits_for_the_cap() -> None:
    assert settled(attempt_no=999, attempts_max=1000, factor=100.0, base_seconds=1e3).retry_delay_seconds == 120.0


@pytest.mark.parametrize(("attempt_no", "expected"), [(1, ("retry", 1800.0)), (2, ("retry", 7200.0)), (3, ("fail", 0))])
def test_a_list_of_delays_gives_one_retry_each(attempt_no: int, expected: tuple[str, float]) -> None:
    after = settled(attempt_no=attempt_no, delays_seconds=(1800.0, 7200.0))

    assert (after.verb, after.retry_delay_seconds) == expected


def test_an_empty_list_of_delays_means_no_retry() -> None:
    assert settled(delays_seconds=()).verb == "fail"


def test_exhausted_run_is_dead_lettered_with_its_count() -> None:
    after = settled(attempt_no=5)

    assert (after.verb, after.dead_letter, after.reason) == ("fail", True, "attempt 5 of 5 failed")


@pytest.mark.parametrize(("dice", "delay"), [(0.0, 0.0), (0.25, 1.25), (0.999, 4.995)])
def test_full_jitter_spreads_the_delay_over_its_whole_length(dice: float, delay: float) -> None:
    assert settled(dice=dice, jitter=True).retry_delay_seconds == pytest.approx(delay)


def test_retry_after_prolongs_and_never_shortens() -> None:
    patient = settled(error=RunError("HTTP 429", retry_after_seconds=300.0))
    hasty = settled(error=RunError("HTTP 429", retry_after_seconds=1.0))
    endless = settled(error=RunError("HTTP 429", retry_after_seconds=1e9))

    delays = [answer.retry_delay_seconds for answer in (patient, hasty, endless)]
    assert delays == [300.0, 5.0, RETRY_AFTER_SECONDS_MAX]


@pytest.mark.parametrize("listed", ["SoldOut", "shop.errors.SoldOut"])
def test_listed_types_fail_at_once_bare_or_qualified(listed: str) -> None:
    after = settled(error=RunError("none left", type="shop.errors.SoldOut"), non_retryable=(listed,))

    assert (after.verb, after.dead_letter) == ("fail", True)
    assert after.reason == "shop.errors.SoldOut is not retried by this policy"


def test_a_type_of_the_same_ending_in_another_module_is_not_meant_by_a_qualified_name() -> None:
    error = RunError("none left", type="bakery.errors.SoldOut")

    assert settled(error=error, non_retryable=("shop.errors.SoldOut",)).verb == "retry"


def test_an_error_that_says_so_is_not_retried() -> None:
    assert settled(error=RunError("no such account", retryable=False)).verb == "fail"


def test_a_time_out_counts_as_a_failure_and_says_how_long_it_was() -> None:
    after = settled("timed_out")

    assert (after.verb, after.outcome) == ("retry", "timed_out")
    assert stored_error(after) == RunError(
        "the hard time-out of 3600 s passed", type="AttemptTimedOut", failure_class="timeout"
    )


def test_a_loss_is_queued_again_at_once_and_costs_no_try() -> None:
    lost = settled("lost", attempt_no=1, attempts_max=1)
    failed_after_loss = settled("failed", attempt_no=2, losses_count=1, attempts_max=2)

    assert (lost.verb, lost.retry_delay_seconds) == ("retry", 0.0)
    assert (failed_after_loss.verb, failed_after_loss.retry_delay_seconds) == ("retry", 5.0)


@pytest.mark.parametrize(("attempts_max", "allowed"), [(1, 3), (3, 3), (7, 7)])
def test_too_many_losses_end_the_run(attempts_max: int, allowed: int) -> None:
    verbs = [
        settled("lost", attempt_no=count + 1, losses_count=count, attempts_max=attempts_max).verb
        for count in range(allowed)
    ]

    assert verbs == ["retry"] * (allowed - 1) + ["fail"]


def test_cancelled_is_final_and_not_dead_lettered() -> None:
    after = settled("cancelled")

    assert (after.verb, after.outcome, after.dead_letter) == ("cancel", "cancelled", False)


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "timed_out", "lost", "cancelled"])
@pytest.mark.parametrize("attempt_no", [1, 5])
def test_every_settlement_is_a_move_of_the_run_lifecycle(outcome: AttemptOutcome, attempt_no: int) -> None:
    lifecycle: Lifecycle = RUN_LIFECYCLE

    assert lifecycle.allows("running", settled(outcome, attempt_no=attempt_no).verb)


def test_thrown_and_returned_failures_count_the_same() -> None:
    thrown = settled(error=RunError("boom", type="ValueError", traceback="…"), attempt_no=2)
    returned = settled(error=RunError("boom"), attempt_no=2)

    assert (thrown.verb, thrown.retry_delay_seconds) == (returned.verb, returned.retry_delay_seconds)


def test_the_stored_error_has_a_failure_class_and_keeps_a_given_one() -> None:
    found = settled(error=RunError("HTTP 503 from the bank"))
    given = settled(error=RunError("HTTP 503 from the bank", failure_class="config"))

    assert stored_error(found).failure_class == "network"
    assert stored_error(given).failure_class == "config"


@pytest.mark.parametrize(
    ("error_type", "message", "status", "expected"),
    [
        ("", "429 Too Many Requests", None, "api_limit"),
        ("", "answered", 429, "api_limit"),
        ("openai.RateLimitError", "slow down", None, "api_limit"),
        ("", "HTTP 401", None, "auth"),
        ("", "status code: 403", None, "auth"),
        ("", "Access denied for user", None, "auth"),
        ("builtins.ConnectionRefusedError", "[Errno 111]", None, "network"),
        ("socket.gaierror", "Name or service not known", None, "network"),
        ("", "HTTP 502", None, "network"),
        ("asyncio.TimeoutError", "", None, "timeout"),
        ("", "the read timed out", None, "timeout"),
        ("", "gateway", 504, "timeout"),
        ("ModuleNotFoundError", "No module named 'pandas'", None, "config"),
        ("", "HTTP 404", None, "config"),
        ("ValueError", "bad value", None, "unknown"),
        ("", "HTTP 500", None, "unknown"),
        ("", "process 401 ended", None, "unknown"),
    ],
)
def test_failures_are_classified(error_type: str, message: str, status: int | None, expected: FailureClass) -> None:
    assert classify_failure(error_type, message, status) == expected
