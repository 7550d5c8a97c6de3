"""The attempts of a session: their policy, their orders and their ways out. Part of `rota.worker.session`; pure."""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from rota.core.fan_out import resolver_of
from rota.domain.policies import RetryPolicy
from rota.domain.run import AttemptOutcome, ClaimedRun, RunError
from rota.domain.targets import PlanTarget, TaskTarget
from rota.worker.protocol import AttemptOrder, TaskFacts
from rota.worker.session_state import NEVER, AttemptState, Session
from rota.worker.session_words import Effect, GiveBack, Settle

Effects = Iterator[Effect]

# So many attempts lost, and the next one gets a process of its own. One is no ground for suspicion: a worker that dies
# loses all that it holds, and as many processes as that would be slow to start.
LOSSES_SUSPECT = 2


def settle(
    session: Session,
    attempt: AttemptState,
    outcome: AttemptOutcome,
    error: RunError | None = None,
    result_json: str | None = None,
) -> Settle:
    """The one way out for an attempt that may have begun."""
    detach(session, attempt)
    del session.attempts[attempt.key]
    session.waiting.pop(attempt.key, None)
    return Settle(attempt.key, attempt.claimed, outcome, result_json, error)


def not_begun(session: Session, attempt: AttemptState) -> Effects:
    """Back to the beginning, or back to its queue while draining."""
    detach(session, attempt)
    if session.is_draining:
        del session.attempts[attempt.key]
        yield GiveBack((attempt.claimed,))
    else:
        attempt.phase, attempt.executor = "waiting", None
        attempt.begin_until = attempt.give_back_at = NEVER
        session.waiting = dict(sorted([(attempt.key, attempt), *session.waiting.items()]))


def give_back_waiting(session: Session, attempts: Iterable[AttemptState]) -> GiveBack:
    """They wait for a slot, and others may have one."""
    given = tuple(attempts)
    for attempt in given:
        del session.attempts[attempt.key], session.waiting[attempt.key]
    return GiveBack(tuple([attempt.claimed for attempt in given]))


def detach(session: Session, attempt: AttemptState) -> None:
    if attempt.executor is not None and attempt.executor in session.executors:
        session.executors[attempt.executor].held.discard(attempt.key)


def order(attempt: AttemptState) -> AttemptOrder:
    claimed = attempt.claimed
    return AttemptOrder(
        attempt.key,
        claimed.run_id,
        claimed.tenant_id,
        claimed.attempt_no,
        claimed.target,
        claimed.policy.timeout_seconds,
        claimed.schedule_id,
        claimed.fire_at,
    )


def with_task_policy(claimed: ClaimedRun, facts: TaskFacts | None) -> ClaimedRun:
    """The tighter time-outs of run and task; the task's retry policy where the run came without one."""
    if facts is None or (facts.timeout_seconds is None and facts.retry is None and facts.soft_timeout_seconds is None):
        return claimed
    policy = claimed.policy
    if facts.soft_timeout_seconds is not None:
        soft = facts.soft_timeout_seconds
        given = policy.soft_timeout_seconds
        policy = replace(policy, soft_timeout_seconds=soft if given is None else min(soft, given))
    if facts.timeout_seconds is not None:
        policy = replace(policy, timeout_seconds=min(policy.timeout_seconds, facts.timeout_seconds))
    if facts.retry is not None and policy.retry == RetryPolicy():
        policy = replace(policy, retry=facts.retry)
    return replace(claimed, policy=policy)


def needs_own_process(claimed: ClaimedRun, facts: TaskFacts | None) -> bool:
    """The task wants it, or it is lost again and again: then it takes nobody along any more, and nobody takes it."""
    return claimed.losses_count >= LOSSES_SUSPECT or (facts is not None and facts.kind == "process")


def facts_of(session: Session, claimed: ClaimedRun) -> TaskFacts | None:
    target = claimed.target
    if isinstance(target, PlanTarget):
        return session.tasks.get(resolver_of(target)[0])
    return session.tasks.get(target.task) if isinstance(target, TaskTarget) else None
