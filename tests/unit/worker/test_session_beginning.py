"""The time before an attempt begins is not the handler's: it does not count against its time-out."""

import pytest
from msgspec.structs import replace

from rota.domain.policies import RunPolicy
from rota.services.rescuing import OVERDUE_GRACE_SECONDS
from rota.worker.session_words import (
    AttemptsBegun,
    AttemptsWithdrawn,
    BeginAttempts,
    Claimed,
    ExecutorReady,
    Settle,
    StartExecutor,
)
from tests.unit.worker.test_session import FACTS, LIMITS, Desk, claimed, ended, only, outcomes


def test_the_start_of_a_process_does_not_use_up_a_short_time_out() -> None:
    desk = Desk().ready()
    run = claimed(1, "solo", RunPolicy(timeout_seconds=0.5))
    (start,) = only(StartExecutor, desk.tell(Claimed((run,), 4)))
    assert desk.wait(LIMITS.unbegun_seconds_min - 0.1) == ()
    desk.tell(ExecutorReady(start.executor, FACTS))
    desk.tell(AttemptsBegun(start.executor, (1,)))
    assert outcomes(desk.wait(0.4)) == []
    assert outcomes(desk.wait(0.1)) == [(1, "timed_out")]


def test_a_short_time_out_does_not_pass_while_another_handler_blocks_the_loop() -> None:
    desk = Desk().ready()
    run = claimed(1, policy=RunPolicy(timeout_seconds=0.5))
    (sent,) = only(BeginAttempts, desk.tell(Claimed((run,), 4)))
    desk.wait(5.0)
    (again,) = only(BeginAttempts, desk.tell(AttemptsWithdrawn(sent.executor, (1,))))
    desk.tell(AttemptsBegun(again.executor, (1,)))
    assert outcomes(desk.tell(ended(again.executor, 1, "succeeded"))) == [(1, "succeeded")]
    assert [settled.outcome for settled in only(Settle, desk.effects)] == ["succeeded"]


@pytest.mark.parametrize(("losses_count", "is_alone"), [(0, False), (1, False), (2, True), (7, True)])
def test_what_was_lost_twice_gets_a_process_of_its_own(losses_count: int, *, is_alone: bool) -> None:
    desk = Desk().ready()
    effects = desk.tell(Claimed((replace(claimed(1), losses_count=losses_count),), 4))
    assert (len(only(StartExecutor, effects)), len(only(BeginAttempts, effects))) == (is_alone, not is_alone)
    if is_alone:
        (start,) = only(StartExecutor, effects)
        assert only(BeginAttempts, desk.tell(ExecutorReady(start.executor, FACTS)))[0].executor == start.executor


def test_what_never_begins_is_given_up_before_the_leader_takes_it_away() -> None:
    desk = Desk().ready()
    desk.tell(Claimed((claimed(1, "solo", RunPolicy(timeout_seconds=0.5)),), 4))
    assert outcomes(desk.wait(LIMITS.unbegun_seconds_min)) == [(1, "lost")]
    assert LIMITS.unbegun_seconds_min < OVERDUE_GRACE_SECONDS
