"""How an attempt's end is settled: the one decision shared by workers (their own attempts) and the leader (lost ones).

Decides the run's next event, its delay and its words. It does not check that the attempt is still current: the store
accepts a settlement only under the attempt's token (design law 2).

Every run that ends failed is dead-lettered, whichever rule ended it: the flag is what replaying takes away again.
"""

from msgspec import json
from msgspec.structs import replace

from rota.core.dice import Dice
from rota.core.failure_class import classify_failure
from rota.core.retry import GiveUp, decide_retry, losses_max
from rota.domain.run import AttemptOutcome, ClaimedRun, RunError, Settlement


def decide_settlement(
    claimed: ClaimedRun, outcome: AttemptOutcome, error: RunError | None, rng: Dice, *, result_json: str | None = None
) -> Settlement:
    """The end of the attempt `claimed` with `outcome`. `error` may be left out where the outcome says it all."""
    if outcome == "succeeded":
        return Settlement(claimed.run_id, claimed.token, "succeed", outcome, result_json=result_json)
    described = _described(error, outcome, claimed)
    if outcome == "cancelled":
        return _settlement(claimed, outcome, described, verb_reason="cancelled on request")
    if outcome == "lost":
        return _settle_loss(claimed, described)
    # Invariant: attempt_no counts every claim, losses included, so what is left are failures.
    failures_count = max(1, claimed.attempt_no - claimed.losses_count)
    decision = decide_retry(claimed.policy.retry, failures_count, described, rng)
    if isinstance(decision, GiveUp):
        return _failed(claimed, outcome, described, decision.reason)
    settled = _settlement(claimed, outcome, described, verb_reason=decision.reason)
    return replace(settled, verb="retry", retry_delay_seconds=decision.delay_seconds)


def _settle_loss(claimed: ClaimedRun, error: RunError) -> Settlement:
    """A loss goes back to the queue at once, until there were too many."""
    losses_count, losses_allowed = claimed.losses_count + 1, losses_max(claimed.policy.retry)
    if losses_count >= losses_allowed:
        return _failed(claimed, "lost", error, f"lost with its worker {losses_count} times; at most {losses_allowed}")
    reason = f"lost with its worker ({losses_count} of at most {losses_allowed} losses); queued again"
    return replace(_settlement(claimed, "lost", error, verb_reason=reason), verb="retry")


def _failed(claimed: ClaimedRun, outcome: AttemptOutcome, error: RunError, reason: str) -> Settlement:
    return replace(_settlement(claimed, outcome, error, verb_reason=reason), verb="fail", dead_letter=True)


def _settlement(claimed: ClaimedRun, outcome: AttemptOutcome, error: RunError, *, verb_reason: str) -> Settlement:
    error_json = json.encode(error).decode()
    return Settlement(claimed.run_id, claimed.token, "cancel", outcome, verb_reason, error_json=error_json)


_DEFAULT_ERRORS: dict[AttemptOutcome, RunError] = {
    "failed": RunError("the task failed without saying why"),
    "timed_out": RunError("the hard time-out passed", type="AttemptTimedOut", failure_class="timeout"),
    "lost": RunError("the worker that held the attempt is gone", type="AttemptLost"),
    "cancelled": RunError("cancelled on request", type="AttemptCancelled", retryable=False),
}


def _described(error: RunError | None, outcome: AttemptOutcome, claimed: ClaimedRun) -> RunError:
    """The error as it is stored: never empty, and with a failure class."""
    if error is None:
        if outcome == "timed_out":
            timeout = claimed.policy.timeout_seconds
            return replace(_DEFAULT_ERRORS[outcome], message=f"the hard time-out of {timeout:g} s passed")
        return _DEFAULT_ERRORS[outcome]
    if error.failure_class != "unknown":
        return error
    found = "timeout" if outcome == "timed_out" else classify_failure(error.type, error.message)
    return replace(error, failure_class=found)
