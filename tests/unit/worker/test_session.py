"""The session is fed events and asked what it would do. `Desk` keeps its time and its books."""

from datetime import UTC, datetime
from typing import TypeVar

import pytest

from rota.domain.errors import Bug
from rota.domain.ids import AttemptToken, RunId, TenantId
from rota.domain.policies import RetryPolicy, RunPolicy
from rota.domain.run import AttemptOutcome, ClaimedRun, RunError
from rota.domain.targets import TaskTarget
from rota.worker.protocol import AttemptEnd, TaskFacts
from rota.worker.session import step
from rota.worker.session_state import NEVER, Session
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
    KillExecutor,
    Launched,
    Registered,
    SessionLimits,
    Settle,
    StartExecutor,
    StopAttempt,
    Tick,
    WithdrawAttempts,
    WorkDueIn,
    WorkHinted,
)

LIMITS = SessionLimits(
    slots=4, executors=2, stop_grace_seconds=3.0, begin_seconds_max=5.0, retire_seconds_max=30.0, drain_seconds=20.0
)
FACTS = (
    TaskFacts("plain", "async"),
    TaskFacts("solo", "process"),
    TaskFacts("strict", "async", 2.0, RetryPolicy(attempts_max=9)),
)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Wanted = TypeVar("Wanted")


def claimed(number: int, task: str = "plain", policy: RunPolicy | None = None) -> ClaimedRun:
    return ClaimedRun(
        RunId(f"run-{number}"),
        TenantId("acme"),
        AttemptToken(number),
        1,
        TaskTarget(task),
        policy or RunPolicy(timeout_seconds=60.0),
        "default",
        NOON,
    )


def ended(
    executor: int, key: int, outcome: AttemptOutcome, result_json: str | None = None, error: RunError | None = None
) -> AttemptsEnded:
    return AttemptsEnded(executor, (AttemptEnd(key, outcome, result_json, error),))


class Desk:
    def __init__(self, limits: SessionLimits = LIMITS) -> None:
        self.session = Session(limits)
        self.now = 100.0
        self.effects: list[Effect] = []

    def tell(self, event: Event) -> tuple[Effect, ...]:
        effects = step(self.session, event, self.now)
        self.effects.extend(effects)
        return effects

    def wait(self, seconds: float) -> tuple[Effect, ...]:
        """Ticks come exactly when they are asked for, and at the end."""
        end, seen = self.now + seconds, []
        while self.session.check_at < end:
            assert self.session.check_at > self.now or not seen, "the session asks for the same instant again"
            self.now = max(self.now, self.session.check_at)
            seen += self.tell(Tick())
        self.now = end
        return (*seen, *self.tell(Tick()))

    def ready(self) -> "Desk":
        """Registered, with both executors up; its first claim is out."""
        self.tell(Launched())
        for executor in (1, 2):
            self.tell(ExecutorReady(executor, FACTS))
        self.tell(Registered())
        return self

    def holding(self, *runs: ClaimedRun) -> "Desk":
        """Ready, with these runs begun."""
        self.ready()
        begun = self.tell(Claimed(runs, LIMITS.slots))
        for sent in only(BeginAttempts, begun):
            self.tell(AttemptsBegun(sent.executor, tuple(order.key for order in sent.orders)))
        return self

    def executor_of(self, key: int) -> int:
        executor = self.session.attempts[key].executor
        assert executor is not None
        return executor


def only(kind: type[Wanted], effects: tuple[Effect, ...] | list[Effect]) -> list[Wanted]:
    return [effect for effect in effects if isinstance(effect, kind)]


def outcomes(effects: tuple[Effect, ...]) -> list[tuple[int, AttemptOutcome]]:
    return [(each.key, each.outcome) for each in only(Settle, effects)]


def test_nothing_is_claimed_before_the_lease_is_held_and_an_executor_is_ready() -> None:
    desk = Desk()
    assert only(Claim, desk.tell(Launched())) == []
    assert only(Claim, desk.tell(Registered())) == []
    assert only(Claim, desk.tell(ExecutorReady(1, FACTS))) == [Claim(4)]


def test_a_claim_asks_for_no_more_than_there_are_free_slots() -> None:
    desk = Desk().ready()
    effects = desk.tell(Claimed((claimed(1), claimed(2), claimed(3)), 4))
    assert only(Claim, effects) == []
    assert only(Claim, desk.tell(WorkHinted())) == [Claim(1)]


def test_a_short_answer_ends_claiming_until_the_next_hint() -> None:
    desk = Desk().ready()
    desk.tell(Claimed((), 4))
    assert desk.wait(60.0) == ()
    assert only(Claim, desk.tell(WorkHinted())) == [Claim(4)]


def test_a_hint_that_comes_while_a_claim_is_in_flight_is_not_lost() -> None:
    desk = Desk().ready()
    desk.tell(WorkHinted())
    assert only(Claim, desk.tell(Claimed((), 4))) == [Claim(4)]


def test_full_answers_are_followed_by_a_claim_for_every_slot_that_becomes_free() -> None:
    desk = Desk().holding(*(claimed(n) for n in range(4)))
    effects = desk.tell(ended(desk.executor_of(1), 1, "succeeded", "1"))
    assert outcomes(effects) == [(1, "succeeded")]
    assert only(Claim, effects) == [Claim(1)]


def test_a_second_claim_in_flight_needs_half_of_the_slots() -> None:
    desk = Desk().holding(*(claimed(n) for n in range(4)))
    claims = [only(Claim, desk.tell(ended(desk.executor_of(key), key, "succeeded"))) for key in (1, 2, 3, 4)]
    assert claims == [[Claim(1)], [], [Claim(2)], []]


def test_a_failed_claim_is_repeated_after_a_pause_and_does_not_spin() -> None:
    desk = Desk().ready()
    assert only(Claim, desk.tell(ClaimFailed(4))) == []
    assert only(Claim, desk.wait(1.0)) == [Claim(4)]


def test_a_run_that_comes_due_is_claimed_by_the_clock() -> None:
    desk = Desk().ready()
    desk.tell(Claimed((), 4))
    desk.tell(WorkDueIn(2.0))
    assert only(Claim, desk.wait(1.9)) == []
    assert only(Claim, desk.wait(0.2)) == [Claim(4)]


def test_runs_are_spread_over_the_executors() -> None:
    desk = Desk().ready()
    sent = only(BeginAttempts, desk.tell(Claimed(tuple(claimed(n) for n in range(4)), 4)))
    assert {each.executor: len(each.orders) for each in sent} == {1: 2, 2: 2}


def test_the_tighter_time_out_and_the_tasks_own_retry_policy_count() -> None:
    desk = Desk().holding(claimed(1, "strict"))
    (settle,) = only(Settle, desk.wait(2.1))
    assert settle.outcome == "timed_out"
    assert settle.claimed.policy.timeout_seconds == 2.0
    assert settle.claimed.policy.retry == RetryPolicy(attempts_max=9)


def test_a_runs_own_retry_policy_wins_over_the_tasks() -> None:
    own = RunPolicy(timeout_seconds=1.0, retry=RetryPolicy(attempts_max=2))
    desk = Desk().holding(claimed(1, "strict", own))
    (settle,) = only(Settle, desk.wait(1.1))
    assert settle.claimed.policy == own


def test_a_soft_time_out_is_told_once() -> None:
    desk = Desk().holding(claimed(1, policy=RunPolicy(timeout_seconds=60.0, soft_timeout_seconds=10.0)))
    told = only(StopAttempt, desk.wait(50.0))
    assert told == [StopAttempt(desk.executor_of(1), 1, "soft_timed_out")]


def test_a_hard_time_out_is_settled_at_once_and_the_handler_gets_a_grace() -> None:
    desk = Desk().holding(claimed(1), claimed(2))
    executor = desk.executor_of(1)
    effects = desk.wait(60.0)
    assert outcomes(effects) == [(1, "timed_out"), (2, "timed_out")]
    assert StopAttempt(executor, 1, "timed_out") in effects
    assert only(KillExecutor, effects) == []
    assert outcomes(desk.tell(ended(executor, 1, "cancelled"))) == []
    assert KillExecutor(executor, "retired") not in desk.wait(100.0)


def test_a_process_whose_handler_outstays_its_grace_is_retired_and_replaced() -> None:
    desk = Desk().holding(claimed(1, policy=RunPolicy(timeout_seconds=5.0)))
    executor = desk.executor_of(1)
    effects = desk.wait(5.0 + 3.0)
    assert only(KillExecutor, effects) == [KillExecutor(executor, "retired")]
    assert only(StartExecutor, effects) == [StartExecutor(3)]


def test_a_retired_process_is_killed_when_its_other_attempts_have_ended() -> None:
    desk = Desk().holding(*(claimed(n, policy=RunPolicy(timeout_seconds=5.0 if n == 0 else 50.0)) for n in range(4)))
    executor = desk.executor_of(1)
    (other,) = [key for key in (2, 3, 4) if desk.executor_of(key) == executor]
    assert only(KillExecutor, desk.wait(9.0)) == []
    assert only(KillExecutor, desk.tell(ended(executor, other, "succeeded"))) == [KillExecutor(executor, "retired")]


def test_a_retired_process_is_killed_after_a_bound_and_its_other_attempts_are_lost() -> None:
    desk = Desk().holding(*(claimed(n, policy=RunPolicy(timeout_seconds=5.0 if n == 0 else 90.0)) for n in range(4)))
    executor = desk.executor_of(1)
    (kill,) = only(KillExecutor, desk.wait(5.0 + 3.0 + 30.0))
    assert kill.executor == executor
    assert [outcome for _, outcome in outcomes(desk.tell(ExecutorGone(executor, "killed by SIGKILL")))] == ["lost"]


def test_no_new_attempt_goes_to_a_retired_process() -> None:
    desk = Desk().holding(*(claimed(n, policy=RunPolicy(timeout_seconds=5.0 if n == 0 else 90.0)) for n in range(4)))
    executor = desk.executor_of(1)
    desk.wait(9.0)
    (asked,) = desk.session.claiming
    sent = only(BeginAttempts, desk.tell(Claimed((claimed(9),), asked)))
    assert [each.executor for each in sent] == [3 - executor]


def test_retired_processes_are_replaced_only_up_to_a_bound() -> None:
    desk = Desk(SessionLimits(slots=4, executors=1, retire_seconds_max=1e6)).ready()
    for number in range(1, 20):
        if desk.session.claiming:
            desk.tell(Claimed((claimed(number), claimed(number + 100)), desk.session.claiming[0]))
        for state in list(desk.session.executors.values()):
            desk.tell(ExecutorReady(state.id, FACTS))
        desk.wait(6.0)
    assert len(desk.session.executors) <= 3


def test_what_is_not_begun_is_taken_back_and_given_to_another_executor() -> None:
    desk = Desk().ready()
    (sent,) = only(BeginAttempts, desk.tell(Claimed((claimed(1),), 4)))
    effects = desk.wait(5.0)
    assert only(WithdrawAttempts, effects) == [WithdrawAttempts(sent.executor, (1,))]
    (again,) = only(BeginAttempts, desk.tell(AttemptsWithdrawn(sent.executor, (1,))))
    assert again.executor != sent.executor
    assert only(Settle, desk.effects) == []


def test_a_process_that_is_only_blocked_may_finish_what_it_runs() -> None:
    desk = Desk().holding(claimed(1, policy=RunPolicy(timeout_seconds=500.0)))
    executor, other = desk.executor_of(1), 3 - desk.executor_of(1)
    desk.tell(ExecutorGone(other, "exit code 1"))
    desk.tell(WorkHinted())
    (sent,) = only(BeginAttempts, desk.tell(Claimed((claimed(2),), desk.session.claiming[0])))
    assert sent.executor == executor
    desk.wait(5.0)
    desk.tell(AttemptsWithdrawn(executor, (2,)))
    assert only(KillExecutor, desk.wait(400.0)) == []
    assert KillExecutor(executor, "retired") in desk.tell(ended(executor, 1, "succeeded"))


def test_a_process_that_does_not_even_answer_is_killed_after_a_bound() -> None:
    desk = Desk().holding(claimed(1, policy=RunPolicy(timeout_seconds=500.0)))
    executor, other = desk.executor_of(1), 3 - desk.executor_of(1)
    desk.tell(ExecutorGone(other, "exit code 1"))
    desk.tell(WorkHinted())
    desk.tell(Claimed((claimed(2),), desk.session.claiming[0]))
    assert [each.executor for each in only(KillExecutor, desk.wait(36.0))] == [executor]
    assert outcomes(desk.tell(ExecutorGone(executor, "killed by SIGKILL"))) == [(1, "lost")]


def test_an_attempt_that_begins_while_it_is_taken_back_stays_where_it_is() -> None:
    desk = Desk().ready()
    (sent,) = only(BeginAttempts, desk.tell(Claimed((claimed(1),), 4)))
    desk.wait(5.0)
    desk.tell(AttemptsBegun(sent.executor, (1,)))
    assert desk.tell(AttemptsWithdrawn(sent.executor, ())) == ()
    assert outcomes(desk.tell(ended(sent.executor, 1, "succeeded"))) == [(1, "succeeded")]


def test_attempts_that_had_begun_are_lost_with_their_process_and_others_are_not() -> None:
    desk = Desk().ready()
    desk.tell(Claimed(tuple(claimed(n) for n in range(4)), 4))
    executor = desk.executor_of(1)
    desk.tell(AttemptsBegun(executor, (1,)))
    effects = desk.tell(ExecutorGone(executor, "killed by SIGKILL"))
    assert outcomes(effects) == [(1, "lost")]
    assert [order.key for each in only(BeginAttempts, effects) for order in each.orders] == [3]


def test_a_process_that_keeps_dying_is_started_with_growing_bounded_pauses() -> None:
    desk = Desk(SessionLimits(slots=1, executors=1))
    desk.tell(Launched())
    delays = [
        only(StartExecutor, desk.tell(ExecutorGone(number, "exit code 1")))[0].delay_seconds for number in range(1, 12)
    ]
    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays[-1] == 10.0


def test_a_process_that_lived_long_is_replaced_without_a_long_pause() -> None:
    desk = Desk().ready()
    for _ in range(3):
        desk.tell(ExecutorReady(desk.session.last_executor, FACTS))
        desk.now += 60.0
        (start,) = only(StartExecutor, desk.tell(ExecutorGone(desk.session.last_executor, "exit code 1")))
        assert start.delay_seconds == 0.1


def test_cancelling_a_running_attempt_stops_it_and_settles_as_it_ends() -> None:
    desk = Desk().holding(claimed(1))
    executor = desk.executor_of(1)
    assert desk.tell(CancelAsked(("run-1",))) == (StopAttempt(executor, 1, "cancelled"),)
    assert desk.tell(CancelAsked(("run-1",))) == ()
    assert outcomes(desk.tell(ended(executor, 1, "failed"))) == [(1, "cancelled")]


def test_an_attempt_that_succeeds_before_it_can_be_cancelled_has_succeeded() -> None:
    desk = Desk().holding(claimed(1))
    desk.tell(CancelAsked(("run-1",)))
    assert outcomes(desk.tell(ended(desk.executor_of(1), 1, "succeeded", "1"))) == [(1, "succeeded")]


def test_an_ignored_cancellation_is_settled_after_the_grace_and_costs_the_process() -> None:
    desk = Desk().holding(claimed(1))
    executor = desk.executor_of(1)
    desk.tell(CancelAsked(("run-1",)))
    effects = desk.wait(3.0)
    assert outcomes(effects) == [(1, "cancelled")]
    assert only(KillExecutor, effects) == [KillExecutor(executor, "retired")]


def test_an_attempt_that_is_being_cancelled_when_its_process_dies_is_cancelled() -> None:
    desk = Desk().holding(claimed(1))
    desk.tell(CancelAsked(("run-1",)))
    assert outcomes(desk.tell(ExecutorGone(desk.executor_of(1), "exit code 0"))) == [(1, "cancelled")]


def test_a_process_task_gets_a_process_of_its_own_which_ends_with_it() -> None:
    desk = Desk().ready()
    (start,) = only(StartExecutor, desk.tell(Claimed((claimed(1, "solo"),), 4)))
    (begin,) = only(BeginAttempts, desk.tell(ExecutorReady(start.executor, FACTS)))
    assert begin.executor == start.executor
    desk.tell(AttemptsBegun(start.executor, (1,)))
    effects = desk.tell(ended(start.executor, 1, "succeeded"))
    assert outcomes(effects) == [(1, "succeeded")]
    assert [each.executor for each in only(KillExecutor, effects)] == [start.executor]
    assert only(StartExecutor, desk.tell(ExecutorGone(start.executor, "killed by SIGKILL"))) == []


def test_a_process_of_its_own_that_dies_before_its_beginning_is_a_loss() -> None:
    desk = Desk().ready()
    (start,) = only(StartExecutor, desk.tell(Claimed((claimed(1, "solo"),), 4)))
    assert outcomes(desk.tell(ExecutorGone(start.executor, "exit code 1"))) == [(1, "lost")]


def test_a_process_task_is_killed_at_its_time_out_without_a_grace() -> None:
    desk = Desk().ready()
    (start,) = only(StartExecutor, desk.tell(Claimed((claimed(1, "solo"),), 4)))
    desk.tell(ExecutorReady(start.executor, FACTS))
    desk.tell(AttemptsBegun(start.executor, (1,)))
    effects = desk.wait(60.0)
    assert outcomes(effects) == [(1, "timed_out")]
    assert [each.executor for each in only(KillExecutor, effects)] == [start.executor]


def test_a_process_of_its_own_that_never_comes_up_is_given_up_at_the_time_out() -> None:
    desk = Desk().ready()
    (start,) = only(StartExecutor, desk.tell(Claimed((claimed(1, "solo"),), 4)))
    effects = desk.wait(60.0)
    assert outcomes(effects) == [(1, "lost")]
    assert [each.executor for each in only(KillExecutor, effects)] == [start.executor]


def test_draining_claims_nothing_and_finishes_when_the_last_attempt_has_ended() -> None:
    desk = Desk().holding(claimed(1))
    assert only(Finish, desk.tell(DrainAsked())) == []
    assert only(Claim, desk.tell(WorkHinted())) == []
    effects = desk.tell(ended(desk.executor_of(1), 1, "succeeded"))
    assert [type(each) for each in effects] == [Settle, Finish]
    assert only(Finish, desk.tell(Tick())) == []


def test_draining_waits_for_claims_in_flight_and_gives_their_runs_back() -> None:
    desk = Desk().ready()
    assert only(Finish, desk.tell(DrainAsked())) == []
    assert desk.tell(Claimed((claimed(1),), 4)) == (GiveBack((claimed(1),)), Finish())


def test_a_claim_that_is_never_answered_does_not_hold_up_the_end() -> None:
    desk = Desk().ready()
    desk.tell(DrainAsked())
    assert only(Finish, desk.wait(19.0)) == []
    assert only(Finish, desk.wait(1.1)) == [Finish()]


def test_draining_gives_back_what_had_not_begun() -> None:
    desk = Desk().ready()
    (sent,) = only(BeginAttempts, desk.tell(Claimed((claimed(1),), 4)))
    assert desk.tell(DrainAsked()) == (WithdrawAttempts(sent.executor, (1,)),)
    assert desk.tell(AttemptsWithdrawn(sent.executor, (1,))) == (GiveBack((claimed(1),)), Finish())


def test_the_patience_of_a_drain_ends_with_kills_and_losses() -> None:
    desk = Desk().holding(claimed(1))
    desk.tell(DrainAsked())
    effects = desk.wait(20.0)
    assert sorted(each.executor for each in only(KillExecutor, effects)) == [1, 2]
    assert outcomes(effects) == [(1, "lost")]
    assert only(Finish, effects) == [Finish()]


def test_being_asked_twice_to_drain_ends_the_patience() -> None:
    desk = Desk().holding(claimed(1))
    desk.tell(DrainAsked())
    effects = desk.tell(DrainAsked())
    assert outcomes(effects) == [(1, "lost")]
    assert only(Finish, effects) == [Finish()]


def test_an_unknown_event_is_a_defect() -> None:
    with pytest.raises(Bug, match="does not know"):
        Desk().tell("surprise")  # pyright: ignore[reportArgumentType]


def test_an_idle_session_asks_for_no_tick() -> None:
    desk = Desk().ready()
    desk.tell(Claimed((), 4))
    assert desk.session.check_at == NEVER
