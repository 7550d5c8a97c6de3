"""What is wrong with policies: bounds of every number, and the rules between two of them."""

from collections.abc import Iterator
from typing import get_args

from rota.core.concurrency import concurrency_problems
from rota.core.field_rules import (
    ERROR_NAME_RULE,
    QUEUE_RULE,
    choice_problems,
    number_problems,
    text_problems,
    under,
)
from rota.core.interventions import intervention_problems
from rota.domain.policies import (
    ATTEMPTS_MAX_LIMIT,
    PRIORITY_MAX,
    PRIORITY_MIN,
    Misfire,
    Overlap,
    Policies,
    RetryPolicy,
    RunPolicy,
)
from rota.domain.problems import FieldProblem

TIMEOUT_SECONDS_MIN = 0.01
TIMEOUT_SECONDS_MAX = 30 * 86_400.0
# Below one second every firing could be called late by a leader's take-over.
MISFIRE_GRACE_SECONDS_MIN = 1.0
MISFIRE_GRACE_SECONDS_MAX = 366 * 86_400.0
CATCH_UP_MAX_LIMIT = 1_000
CATCH_UP_WINDOW_SECONDS_MIN = 1.0
CATCH_UP_WINDOW_SECONDS_MAX = 366 * 86_400.0
RETRY_DELAY_SECONDS_MAX = 30 * 86_400.0
RETRY_DELAYS_MAX = 100
RETRY_FACTOR_MAX = 100.0
NON_RETRYABLE_MAX = 50


def validate_policies(policies: Policies) -> Iterator[FieldProblem]:
    yield from choice_problems("overlap", policies.overlap, get_args(Overlap))
    yield from choice_problems("misfire", policies.misfire, get_args(Misfire))
    grace, window = policies.misfire_grace_seconds, policies.catch_up_window_seconds
    yield from number_problems(
        "misfire_grace_seconds", grace, MISFIRE_GRACE_SECONDS_MIN, MISFIRE_GRACE_SECONDS_MAX, "seconds"
    )
    yield from number_problems("catch_up_max", policies.catch_up_max, 1, CATCH_UP_MAX_LIMIT, "runs")
    yield from number_problems(
        "catch_up_window_seconds", window, CATCH_UP_WINDOW_SECONDS_MIN, CATCH_UP_WINDOW_SECONDS_MAX, "seconds"
    )
    if policies.misfire == "fire_all" and window < grace:
        remedy = f"make it at least misfire_grace_seconds ({grace:g}), or fire_all would catch nothing up"
        yield FieldProblem("catch_up_window_seconds", f"{window:g} is shorter than the misfire grace", remedy)
    yield from queue_problems("queue", policies.queue)
    yield from priority_problems("priority", policies.priority)
    yield from validate_run_policy(policies.run_policy())
    yield from under("intervention", intervention_problems(policies.intervention))


def validate_run_policy(policy: RunPolicy) -> Iterator[FieldProblem]:
    soft, hard = policy.soft_timeout_seconds, policy.timeout_seconds
    yield from number_problems("timeout_seconds", hard, TIMEOUT_SECONDS_MIN, TIMEOUT_SECONDS_MAX, "seconds")
    if soft is not None:
        yield from number_problems("soft_timeout_seconds", soft, TIMEOUT_SECONDS_MIN, TIMEOUT_SECONDS_MAX, "seconds")
        if soft >= hard:
            remedy = f"use less than timeout_seconds ({hard:g}), or leave it out"
            yield FieldProblem("soft_timeout_seconds", f"{soft:g} is not before the hard time-out", remedy)
    yield from under("retry", validate_retry(policy.retry))
    yield from concurrency_problems(policy.concurrency_key, policy.concurrency_max)


def validate_retry(retry: RetryPolicy) -> Iterator[FieldProblem]:
    yield from _delays_problems(retry.delays_seconds or ())
    for name, value in (("base_seconds", retry.base_seconds), ("cap_seconds", retry.cap_seconds)):
        yield from number_problems(name, value, 0, RETRY_DELAY_SECONDS_MAX, "seconds")
    yield from number_problems("factor", retry.factor, 1, RETRY_FACTOR_MAX)
    if retry.cap_seconds < retry.base_seconds:
        remedy = f"use at least base_seconds ({retry.base_seconds:g})"
        yield FieldProblem("cap_seconds", f"{retry.cap_seconds:g} is below the first delay", remedy)
    yield from number_problems("attempts_max", retry.attempts_max, 1, ATTEMPTS_MAX_LIMIT, "attempts")
    if len(retry.non_retryable) > NON_RETRYABLE_MAX:
        problem = f"has {len(retry.non_retryable)} names"
        yield FieldProblem("non_retryable", problem, f"name at most {NON_RETRYABLE_MAX}")
    for place, name in enumerate(retry.non_retryable[:NON_RETRYABLE_MAX]):
        yield from text_problems(f"non_retryable[{place}]", name, ERROR_NAME_RULE)


def _delays_problems(delays: tuple[float, ...]) -> Iterator[FieldProblem]:
    if len(delays) > RETRY_DELAYS_MAX:
        remedy = f"list at most {RETRY_DELAYS_MAX}, or use base_seconds, factor and cap_seconds"
        yield FieldProblem("delays_seconds", f"has {len(delays)} delays", remedy)
    for place, delay in enumerate(delays[:RETRY_DELAYS_MAX]):
        yield from number_problems(f"delays_seconds[{place}]", delay, 0, RETRY_DELAY_SECONDS_MAX, "seconds")


def queue_problems(field: str, queue: str) -> Iterator[FieldProblem]:
    yield from text_problems(field, queue, QUEUE_RULE)


def priority_problems(field: str, priority: int) -> Iterator[FieldProblem]:
    yield from number_problems(field, priority, PRIORITY_MIN, PRIORITY_MAX)
