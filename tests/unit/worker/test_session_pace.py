"""A worker holds ahead of its slots what it will begin within a moment, and nothing that would wait here in vain."""

import pytest
from msgspec.structs import replace

from rota.domain.ids import TenantId
from rota.domain.run import ClaimedRun
from rota.worker.session_pace import Pace, runs_ahead
from rota.worker.session_words import (
    AttemptsBegun,
    BeginAttempts,
    Claim,
    Claimed,
    GiveBack,
    SessionLimits,
    StopAttempt,
    WorkHinted,
)
from tests.unit.worker.test_session import Desk, claimed, ended, only

QUICK = SessionLimits(slots=4, executors=1, ahead_seconds=0.05, ahead_max=30, ahead_patience_seconds=0.5)
RUNS_PER_ROUND = 4


class QuickDesk(Desk):
    """Handlers that take a millisecond."""

    def __init__(self) -> None:
        super().__init__(QUICK)
        self.last_run = 0

    def answer(self, claim: Claim) -> None:
        runs = tuple(claimed(self.last_run + n) for n in range(1, claim.limit + 1))
        self.last_run += len(runs)
        self.perform(self.tell(Claimed(runs, claim.limit)))

    def perform(self, effects: tuple[object, ...]) -> None:
        for begin in (each for each in effects if isinstance(each, BeginAttempts)):
            self.tell(AttemptsBegun(begin.executor, tuple(order.key for order in begin.orders)))

    def end_all_begun(self) -> tuple[object, ...]:
        self.now += 0.001
        begun = [each for each in self.session.attempts.values() if each.phase == "begun"]
        return tuple(effect for each in begun for effect in self.tell(ended(1, each.key, "succeeded")))

    def work(self, seconds: float) -> None:
        """Claims are answered in no time."""
        end = self.now + seconds
        while self.now < end:
            effects = self.end_all_begun()
            self.perform(effects)
            for claim in (each for each in effects if isinstance(each, Claim)):
                self.answer(claim)

    @property
    def in_service(self) -> int:
        return len(self.session.attempts) - len(self.session.waiting)


def working() -> QuickDesk:
    desk = QuickDesk()
    desk.ready()
    desk.answer(Claim(4))
    desk.work(0.2)
    return desk


def test_what_is_held_ahead_follows_the_pace_and_is_bounded() -> None:
    pace = Pace(since=10.0, ended_count=40)
    assert runs_ahead(pace, 10.1, seconds=0.05, runs_max=100) == 20
    assert runs_ahead(pace, 10.11, seconds=0.05, runs_max=100) == 20
    assert runs_ahead(pace, 10.11, seconds=0.05, runs_max=7) == 7
    assert runs_ahead(pace, 60.0, seconds=0.05, runs_max=100) == 0


def test_quick_handlers_make_the_worker_claim_ahead_and_never_begin_more_than_slots() -> None:
    desk = working()
    assert max(each.limit for each in only(Claim, desk.effects)) > QUICK.slots
    assert QUICK.slots < len(desk.session.attempts) <= QUICK.slots + QUICK.ahead_max
    assert desk.in_service <= QUICK.slots


def test_nothing_is_claimed_while_half_of_what_is_held_ahead_still_waits() -> None:
    desk = working()
    desk.session.claiming.clear()
    while len(desk.session.waiting) * 2 <= QUICK.ahead_max:
        desk.session.claiming.append(4)
        desk.answer(Claim(4))
    assert only(Claim, desk.tell(WorkHinted())) == []


@pytest.mark.parametrize("seconds", [0.6, 20.0])
def test_what_was_held_ahead_is_given_back_when_handlers_become_slow(seconds: float) -> None:
    desk = working()
    waiting = [each.claimed for each in desk.session.waiting.values()]
    effects = desk.wait(seconds)
    assert waiting != []
    assert [each for back in only(GiveBack, effects) for each in back.claims] == waiting
    assert only(StopAttempt, effects) == []
    assert (len(desk.session.waiting), desk.in_service) == (0, QUICK.slots)
    assert only(Claim, desk.tell(WorkHinted())) == []


def test_a_worker_of_slow_handlers_holds_nothing_ahead() -> None:
    desk = QuickDesk()
    desk.ready()
    desk.answer(Claim(4))
    for _ in range(20):
        desk.now += 1.0
        for claim in (each for each in desk.end_all_begun() if isinstance(each, Claim)):
            desk.answer(claim)
        assert len(desk.session.attempts) <= QUICK.slots


def of(number: int, tenant_id: str, priority: int = 0) -> ClaimedRun:
    return replace(claimed(number), tenant_id=TenantId(tenant_id), priority=priority)


def test_a_tenants_only_run_begins_before_what_is_held_ahead_of_another() -> None:
    desk = QuickDesk()
    desk.ready()
    desk.session.claiming[:] = [20, 21]
    desk.tell(Claimed(tuple(of(n, "heavy") for n in range(1, 21)), 20))
    desk.tell(Claimed((*(of(n, "heavy") for n in range(21, 41)), of(41, "light")), 21))
    waiting = [each.claimed.run_id for each in desk.session.waiting.values()]
    heavy = [f"run-{n}" for n in range(QUICK.slots + 1, 41)]
    assert waiting == [heavy[0], "run-41", *heavy[1:]]


def test_turns_are_taken_within_a_priority() -> None:
    desk = QuickDesk()
    desk.ready()
    desk.session.claiming[:] = [12]
    desk.tell(Claimed((*(of(n, "heavy", 9) for n in range(1, 11)), of(11, "light"), of(12, "heavy")), 12))
    waiting = [each.claimed.priority for each in desk.session.waiting.values()]
    assert waiting == sorted(waiting, reverse=True)
