"""Whether a failed attempt is followed by another, and after how long (design §5 Retry).

Counts failures, not claims: an attempt that was lost with its worker is not the task's failure and has a bound of its
own (`losses_max`). A thrown and a returned failure arrive here as the same error and count the same.
"""

from msgspec import Struct

from rota.core.dice import Dice
from rota.domain.policies import RetryPolicy
from rota.domain.run import RunError

# A server may ask for patience, not for oblivion.
RETRY_AFTER_SECONDS_MAX = 86_400.0
LOSSES_MIN = 3


class RetryAgain(Struct, frozen=True):
    """Try again `delay_seconds` after the failure is stored."""

    delay_seconds: float
    reason: str


class GiveUp(Struct, frozen=True):
    """No further attempt. `reason` says which rule ended it."""

    reason: str


def attempts_allowed(policy: RetryPolicy) -> int:
    """Attempts in all, the first included; lost ones are not counted."""
    return policy.attempts_max if policy.delays_seconds is None else len(policy.delays_seconds) + 1


def losses_max(policy: RetryPolicy) -> int:
    """How many lost attempts end a run: a task that kills its workers must not do so for ever."""
    return max(LOSSES_MIN, attempts_allowed(policy))


def plain_delay_seconds(policy: RetryPolicy, failures_count: int) -> float:
    """The delay after the nth failure (n ≥ 1), before jitter and Retry-After."""
    if policy.delays_seconds is not None:
        return policy.delays_seconds[failures_count - 1]
    try:
        grown = policy.base_seconds * policy.factor ** (failures_count - 1)
    except OverflowError:
        return policy.cap_seconds
    return min(policy.cap_seconds, grown)


def decide_retry(policy: RetryPolicy, failures_count: int, error: RunError, rng: Dice) -> RetryAgain | GiveUp:
    """What follows the nth failure (n = `failures_count` ≥ 1, this one included)."""
    if not error.retryable:
        return GiveUp("the task said that trying again is useless")
    if is_listed(error.type, policy.non_retryable):
        return GiveUp(f"{error.type} is not retried by this policy")
    allowed = attempts_allowed(policy)
    if failures_count >= allowed:
        return GiveUp(f"attempt {failures_count} of {allowed} failed")
    delay = plain_delay_seconds(policy, failures_count)
    if policy.jitter:
        delay *= rng.uniform()
    if error.retry_after_seconds is not None:
        delay = max(delay, min(error.retry_after_seconds, RETRY_AFTER_SECONDS_MAX))
    return RetryAgain(delay, f"attempt {failures_count} of {allowed} failed; next in {delay:.1f} s")


def is_listed(error_type: str, names: tuple[str, ...]) -> bool:
    """`names` may be bare ("ValueError") or qualified ("shop.errors.SoldOut"); a bare one matches in any module."""
    return bool(error_type) and (error_type in names or error_type.rpartition(".")[2] in names)
