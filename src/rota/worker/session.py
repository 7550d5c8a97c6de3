"""What a worker does about what happens to it: slots, attempts, time-outs, cancellation, executors, draining. Pure.

`step(session, event, now)` changes the session and returns the effects for the shell to perform, in order. `now` is
monotonic seconds. It never reads a clock, speaks to a store or sees a process; it does not know the lease either: the
shell throws the whole session away when the lease is lost.

Invariants
- An attempt that was claimed leaves the session by exactly one Settle or GiveBack.
- GiveBack only for what was provably never begun: not sent, withdrawn, or in a process that died before its `Begun`.
- A hard time-out or an ignored cancellation is settled by our clock; the handler's process pays for it, by being
  retired (no new attempts; killed when its other attempts have ended, or after a bound), not the worker. One that only
  blocks its process may finish: what has not begun there is withdrawn, and then nothing waits for the process.
- Attempts that die with their process are `lost`: that is not the task's failure, and the policy bounds it.
- No more attempts than slots are in executors. What is held beyond that waits for moments only, or is given back.

An event costs what it brings, not what is held: the deadlines of all attempts are looked at in a `Tick` alone.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

from rota.domain.errors import Bug
from rota.domain.run import RunError
from rota.worker.protocol import AttemptOrder
from rota.worker.session_attempts import (
    facts_of,
    give_back_waiting,
    needs_own_process,
    not_begun,
    order,
    settle,
    with_task_policy,
)
from rota.worker.session_executors import (
    is_exhausted,
    kill,
    reap,
    replenish,
    restart_delay,
    retire,
    spare,
    start_executor,
)
from rota.worker.session_pace import runs_ahead
from rota.worker.session_state import NEVER, AttemptState, ExecutorState, Session
from rota.worker.session_turns import in_turns
from rota.worker.session_words import (
    AttemptsBegun,
    AttemptsEnded,
    AttemptsWithdrawn,
    BeginAttempts,
    CancelAsked,
    Claim,
    Claimed,
    ClaimFailed,
    DrainAsked,
    Effect,
    Event,
    ExecutorGone,
    ExecutorReady,
    Finish,
    GiveBack,
    Launched,
    Registered,
    StopAttempt,
    Tick,
    WithdrawAttempts,
    WorkDueIn,
    WorkHinted,
)

Effects = Iterator[Effect]


def step(session: Session, event: Event, now: float) -> tuple[Effect, ...]:
    """The effects of one event. Afterwards `session.check_at` says when a `Tick` is wanted."""
    handler = _HANDLERS.get(type(event))
    if handler is None:
        raise Bug(f"the session does not know the event {event!r}")
    effects = tuple(chain(handler(session, event, now), _follow_up(session, now)))
    if type(event) not in _FREQUENT:
        session.check_at = _next_check(session)
    return effects


def _follow_up(session: Session, now: float) -> Effects:
    """What any event may have made possible. Evaluated after the event's own effects."""
    if session.waiting:
        yield from _assign(session, now)
    yield from reap(session)
    yield from replenish(session)
    yield from _claim(session, now)
    yield from _finish(session)


# Claiming


def _on_registered(session: Session, _event: Registered, _now: float) -> Effects:
    session.is_registered = True
    return iter(())


def _on_hint(session: Session, _event: WorkHinted, _now: float) -> Effects:
    session.work_hinted = session.hinted_again = True
    return iter(())


def _on_due_in(session: Session, event: WorkDueIn, now: float) -> Effects:
    session.work_due_at = min(session.work_due_at, now + event.seconds)
    return iter(())


def _claim(session: Session, now: float) -> Effects:
    """As much as there are free slots, and what will be begun in a moment: a run that waits here could run elsewhere.

    The next claim is sent when half of what was held ahead has begun, or a slot would stay free. A second one while one
    is in flight is sent only when it is worth its round trip: half of all that may be held is free.
    """
    wanted = session.work_hinted and session.is_registered and not session.is_draining
    if not wanted or now < session.claim_not_before or not _has_ready_executor(session):
        return
    limits, in_flight = session.limits, len(session.claiming)
    ahead = runs_ahead(session.pace, now, seconds=limits.ahead_seconds, runs_max=limits.ahead_max)
    free = limits.slots + ahead - len(session.attempts) - sum(session.claiming)
    if free <= 0 or in_flight >= limits.claims_in_flight_max or len(session.waiting) * 2 > ahead:
        return
    if in_flight and free * 2 < limits.slots + ahead:
        return
    limit = min(free, limits.claim_runs_max)
    session.claiming.append(limit)
    session.hinted_again = False
    yield Claim(limit)


def _has_ready_executor(session: Session) -> bool:
    return any(each.phase == "ready" and each.solo_key is None for each in session.executors.values())


def _on_claimed(session: Session, event: Claimed, now: float) -> Effects:
    session.claiming.remove(event.limit)
    if len(event.runs) < event.limit:
        # The queues were empty when the store looked; a hint that came meanwhile still counts.
        session.work_hinted = session.hinted_again
    if session.is_draining:
        if event.runs:
            yield GiveBack(event.runs)
        return
    for claimed in event.runs:
        session.last_key += 1
        facts = facts_of(session, claimed)
        attempt = AttemptState(session.last_key, with_task_policy(claimed, facts), needs_own_process(claimed, facts))
        attempt.hard_at = now + max(attempt.claimed.policy.timeout_seconds, session.limits.unbegun_seconds_min)
        attempt.give_back_at = now + session.limits.ahead_patience_seconds
        session.attempts[attempt.key] = session.waiting[attempt.key] = attempt
    if len({each.claimed.tenant_id for each in session.waiting.values()}) > 1:
        session.waiting = in_turns(session.waiting)
    if event.runs:  # whose first deadline this is
        session.check_at = min(session.check_at, now + session.limits.ahead_patience_seconds)


def _on_claim_failed(session: Session, event: ClaimFailed, now: float) -> Effects:
    session.claiming.remove(event.limit)
    session.claim_not_before = now + session.limits.claim_retry_seconds
    return iter(())


# Assigning to executors


def _assign(session: Session, now: float) -> Effects:
    """Those that wait, in order, as long as there are slots; each to the process of the pool that has least to do."""
    pool = [each for each in session.executors.values() if each.phase == "ready" and each.solo_key is None]
    loads = [len(each.held) + len(each.overdue) for each in pool]
    orders: dict[int, list[AttemptOrder]] = {each.id: [] for each in pool}
    for attempt in [*islice(session.waiting.values(), session.free_slots)]:
        if attempt.is_process:
            yield start_executor(session, solo_key=attempt.key)
        elif pool:
            least = loads.index(min(loads))
            loads[least] += 1
            orders[pool[least].id].append(_sent(session, attempt, pool[least], now))
    for executor_id, sent in orders.items():
        if sent:
            yield BeginAttempts(executor_id, tuple(sent))


def _sent(session: Session, attempt: AttemptState, executor: ExecutorState, now: float) -> AttemptOrder:
    session.waiting.pop(attempt.key, None)
    attempt.phase, attempt.executor = "sent", executor.id
    executor.held.add(attempt.key)
    if not attempt.is_process:
        attempt.begin_until = now + session.limits.begin_seconds_max
        session.check_at = min(session.check_at, attempt.begin_until)
    return order(attempt)


# Executors


def _on_launched(session: Session, _event: Launched, _now: float) -> Effects:
    for _ in range(session.limits.executors):
        yield start_executor(session)


def _on_ready(session: Session, event: ExecutorReady, now: float) -> Effects:
    executor = session.executors.get(event.executor)
    if executor is not None and executor.phase == "starting":
        executor.phase, executor.ready_at = "ready", now
        session.tasks = {facts.name: facts for facts in event.tasks}
        attempt = None if executor.solo_key is None else session.attempts.get(executor.solo_key)
        if attempt is not None:
            yield BeginAttempts(executor.id, (_sent(session, attempt, executor, now),))


def _on_gone(session: Session, event: ExecutorGone, now: float) -> Effects:
    executor = session.executors.pop(event.executor, None)
    if executor is None:
        return
    for key in sorted(executor.held | ({executor.solo_key} if executor.solo_key is not None else set[int]())):
        attempt = session.attempts.get(key)
        if attempt is not None and attempt.executor == executor.id:
            yield from _orphaned(session, attempt, event.description)
    if executor.solo_key is None and executor.phase != "retired" and not session.is_draining:
        yield start_executor(session, delay_seconds=restart_delay(session, executor, now))


def _orphaned(session: Session, attempt: AttemptState, description: str) -> Effects:
    """Its process has ended. What was not begun finds another, except that a process of its own gets no second try."""
    if attempt.phase in {"waiting", "sent"} and not attempt.is_process:
        yield from not_begun(session, attempt)
    elif attempt.phase == "stopping":
        yield settle(session, attempt, "cancelled")
    else:
        yield settle(session, attempt, "lost", RunError(f"its process ended: {description}", type="ExecutorLost"))


# Attempts


def _on_begun(session: Session, event: AttemptsBegun, now: float) -> Effects:
    check_at = session.check_at
    for key in event.keys:
        attempt = session.attempts.get(key)
        if attempt is None:
            continue
        attempt.begin_until = NEVER
        if attempt.phase == "sent":
            policy = attempt.claimed.policy
            attempt.phase = "begun"
            attempt.hard_at = now + policy.timeout_seconds
            attempt.soft_at = NEVER if policy.soft_timeout_seconds is None else now + policy.soft_timeout_seconds
            check_at = min(check_at, attempt.hard_at, attempt.soft_at)
    session.check_at = check_at
    return iter(())


def _on_ended(session: Session, event: AttemptsEnded, _now: float) -> Effects:
    executor = session.executors.get(event.executor)
    for end in event.ends:
        if executor is not None:
            executor.overdue.pop(end.key, None)
            if end.error is not None and is_exhausted(end.error):
                executor.phase = "retired"
        attempt = session.attempts.get(end.key)
        if attempt is None:
            continue
        session.pace.ended_count += 1
        if attempt.phase == "stopping" and end.outcome != "succeeded":
            yield settle(session, attempt, "cancelled")
        else:
            yield settle(session, attempt, end.outcome, end.error, end.result_json)


def _on_withdrawn(session: Session, event: AttemptsWithdrawn, _now: float) -> Effects:
    for key in event.keys:
        attempt = session.attempts.get(key)
        if attempt is not None and attempt.executor == event.executor:
            if attempt.phase == "stopping":
                yield settle(session, attempt, "cancelled")
            else:
                yield from not_begun(session, attempt)
    executor = session.executors.get(event.executor)
    if executor is not None:
        spare(session, executor)


def _on_cancel(session: Session, event: CancelAsked, now: float) -> Effects:
    asked = set(event.run_ids)
    for attempt in [each for each in session.attempts.values() if each.claimed.run_id in asked]:
        if attempt.phase == "waiting":
            yield settle(session, attempt, "cancelled")
        elif attempt.phase != "stopping":
            assert attempt.executor is not None
            attempt.phase = "stopping"
            attempt.soft_at = attempt.hard_at = attempt.begin_until = NEVER
            attempt.stop_until = now + session.limits.stop_grace_seconds
            yield StopAttempt(attempt.executor, attempt.key, "cancelled")


# Time


def _on_tick(session: Session, _event: Tick, now: float) -> Effects:
    if now >= session.work_due_at:
        session.work_due_at = NEVER
        session.work_hinted = session.hinted_again = True
    if now >= session.claim_not_before:
        session.claim_not_before = 0.0
    for attempt in list(session.attempts.values()):
        yield from _check_attempt(session, attempt, now)
    late = [each for each in session.waiting.values() if now >= each.give_back_at]
    if late:
        yield give_back_waiting(session, late)
    for executor in list(session.executors.values()):
        yield from _check_executor(session, executor, now)
    if session.drain_until is not None and now >= session.drain_until:
        yield from _abandon_all(session)


def _check_attempt(session: Session, attempt: AttemptState, now: float) -> Effects:
    if now >= attempt.begin_until:
        yield from _begin_elsewhere(session, attempt, now)
    if now >= attempt.soft_at:
        assert attempt.executor is not None
        attempt.soft_at = NEVER
        yield StopAttempt(attempt.executor, attempt.key, "soft_timed_out")
    if now >= attempt.hard_at:
        yield from _time_out(session, attempt, now)
    elif now >= attempt.stop_until:
        yield from _leave_behind(session, attempt, now)
        yield settle(session, attempt, "cancelled")


def _begin_elsewhere(session: Session, attempt: AttemptState, now: float) -> Effects:
    """Its process does not even begin it: some handler blocks the loop. Take it back, and retire the process."""
    assert attempt.executor is not None
    attempt.begin_until = NEVER
    yield WithdrawAttempts(attempt.executor, (attempt.key,))
    executor = session.executors.get(attempt.executor)
    if executor is not None:
        retire(session, executor, now)


def _time_out(session: Session, attempt: AttemptState, now: float) -> Effects:
    if attempt.executor is not None:
        yield StopAttempt(attempt.executor, attempt.key, "timed_out")
    yield from _leave_behind(session, attempt, now)
    if attempt.phase == "begun":
        yield settle(session, attempt, "timed_out")
    else:
        yield settle(session, attempt, "lost", RunError("it did not begin within its time-out", type="NeverBegun"))


def _leave_behind(session: Session, attempt: AttemptState, now: float) -> Effects:
    """Our side ends now; the handler gets a grace to notice, unless it had one. A process of its own gets none."""
    executor = session.executors.get(attempt.executor) if attempt.executor is not None else None
    if executor is None:
        return
    if executor.solo_key is not None:
        yield from kill(executor, "its only attempt is over")
    elif attempt.phase == "stopping":
        executor.overdue[attempt.key] = NEVER
        retire(session, executor, now)
    else:
        executor.overdue[attempt.key] = now + session.limits.stop_grace_seconds


def _check_executor(session: Session, executor: ExecutorState, now: float) -> Effects:
    late = [key for key, until in executor.overdue.items() if now >= until]
    if late:
        executor.overdue.update(dict.fromkeys(late, NEVER))
        retire(session, executor, now)
    if now >= executor.kill_at:
        yield from kill(executor, "retired, and its attempts did not end in time")


def _next_check(session: Session) -> float:
    return min(
        chain(
            _deadlines_of_attempts(session.attempts.values()),
            _deadlines_of_executors(session.executors.values()),
            (each.give_back_at for each in session.waiting.values()),
            (session.work_due_at, NEVER if session.drain_until is None else session.drain_until),
            (session.claim_not_before,) if session.claim_not_before and session.work_hinted else (),
        ),
        default=NEVER,
    )


def _deadlines_of_attempts(attempts: Iterable[AttemptState]) -> Iterator[float]:
    for attempt in attempts:
        yield min(attempt.begin_until, attempt.soft_at, attempt.hard_at, attempt.stop_until)


def _deadlines_of_executors(executors: Iterable[ExecutorState]) -> Iterator[float]:
    for executor in executors:
        yield min(executor.kill_at, *executor.overdue.values()) if executor.overdue else executor.kill_at


# Draining


def _on_drain(session: Session, _event: DrainAsked, now: float) -> Effects:
    """What has begun may finish. Asking a second time ends the patience."""
    if session.is_draining:
        yield from _abandon_all(session)
        return
    session.drain_until = now + session.limits.drain_seconds
    waiting = [each for each in session.attempts.values() if each.phase == "waiting"]
    for attempt in waiting:
        del session.attempts[attempt.key]
        session.waiting.pop(attempt.key, None)
    if waiting:
        yield GiveBack(tuple(each.claimed for each in waiting))
    for executor in session.executors.values():
        sent = [key for key in sorted(executor.held) if session.attempts[key].phase == "sent"]
        if sent:
            yield WithdrawAttempts(executor.id, tuple(sent))


def _abandon_all(session: Session) -> Effects:
    """The patience is over: whatever still runs is lost to another worker, which is no failure of the task."""
    session.drain_until = NEVER
    for executor in session.executors.values():
        yield from kill(executor, "the worker stops")
    for attempt in list(session.attempts.values()):
        yield settle(session, attempt, "lost", RunError("the worker was stopped", type="WorkerStopped"))


def _finish(session: Session) -> Effects:
    if session.is_finished or not session.is_draining or session.attempts:
        return
    if not session.claiming or session.drain_until == NEVER:
        session.is_finished = True
        yield Finish()


# Their handlers keep `check_at` from being late by themselves.
_FREQUENT = frozenset({Claimed, AttemptsBegun, AttemptsEnded})

_HANDLERS: dict[type, Callable[[Session, Any, float], Effects]] = {
    Launched: _on_launched,
    Registered: _on_registered,
    WorkHinted: _on_hint,
    WorkDueIn: _on_due_in,
    Claimed: _on_claimed,
    ClaimFailed: _on_claim_failed,
    CancelAsked: _on_cancel,
    ExecutorReady: _on_ready,
    ExecutorGone: _on_gone,
    AttemptsBegun: _on_begun,
    AttemptsWithdrawn: _on_withdrawn,
    AttemptsEnded: _on_ended,
    DrainAsked: _on_drain,
    Tick: _on_tick,
}
