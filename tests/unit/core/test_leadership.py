from datetime import timedelta

import pytest
from msgspec.structs import replace as changed

from rota.core.leadership import (
    NEVER,
    Acquire,
    AcquireAnswered,
    CallFailed,
    Ended,
    Event,
    FenceRefused,
    Gained,
    Leader,
    LeadershipPolicy,
    Lost,
    Nudged,
    Release,
    ReleaseAnswered,
    Renew,
    RenewAnswered,
    Resign,
    Resigned,
    Resigning,
    Standby,
    State,
    Step,
    Tick,
    begin,
    step,
    trusted_fence,
)
from rota.domain.errors import Bug
from rota.domain.ids import Epoch
from rota.domain.lease import Fence, Lease
from tests.unit.core.values import NOON, LoadedDice

POLICY = LeadershipPolicy("leader", "me")
TRUST = POLICY.lease_seconds - POLICY.margin_seconds


def lease(holder: str = "me", epoch: int = 7, remaining: float = 2.5) -> Lease:
    return Lease("leader", Epoch(epoch), holder, NOON, NOON + timedelta(seconds=remaining), remaining)


def stepped(state: State, event: Event, now: float) -> Step:
    return step(state, event, now, POLICY, LoadedDice(0.5))


def leading(sent_at: float = 100.0) -> Leader:
    """A term that was asked for at `sent_at` and answered at once."""
    state, _ = stepped(Standby(sent_at, calling=True), AcquireAnswered(lease(), sent_at), sent_at)
    assert isinstance(state, Leader)
    return state


def test_it_asks_at_the_first_tick() -> None:
    state, effects = stepped(begin(100.0), Tick(), 100.0)

    assert effects == (Acquire(),)
    assert state.wake_at == NEVER


def test_one_question_is_outstanding_at_a_time() -> None:
    asking, _ = stepped(begin(100.0), Tick(), 100.0)

    assert stepped(asking, Tick(), 200.0) == (asking, ())


def test_an_early_tick_does_nothing() -> None:
    assert stepped(Standby(100.0), Tick(), 99.9) == (Standby(100.0), ())


def test_our_lease_makes_it_leader_until_the_request_plus_the_lease_less_the_margin() -> None:
    state, effects = stepped(Standby(100.0, calling=True), AcquireAnswered(lease(), sent_at=100.0), 100.4)

    assert effects == (Gained(Fence("leader", Epoch(7), "me")),)
    assert trusted_fence(state, 100.0 + TRUST - 0.001) == Fence("leader", Epoch(7), "me")
    assert trusted_fence(state, 100.0 + TRUST) is None


def test_a_slow_answer_does_not_stretch_the_term() -> None:
    quick, _ = stepped(Standby(100.0, calling=True), AcquireAnswered(lease(), sent_at=100.0), 100.0)
    slow, _ = stepped(Standby(100.0, calling=True), AcquireAnswered(lease(), sent_at=100.0), 102.0)

    assert isinstance(quick, Leader)
    assert isinstance(slow, Leader)
    assert quick.trusted_until == slow.trusted_until


def test_an_answer_after_the_window_gives_no_term() -> None:
    state, effects = stepped(Standby(100.0, calling=True), AcquireAnswered(lease(), sent_at=100.0), 102.3)

    assert effects == ()
    assert isinstance(state, Standby)
    assert state.wake_at > 102.3


def test_a_lease_found_half_spent_is_trusted_for_what_is_left() -> None:
    state, _ = stepped(Standby(100.0, calling=True), AcquireAnswered(lease(remaining=1.0), 100.0), 100.0)

    assert isinstance(state, Leader)
    assert state.trusted_until == pytest.approx(100.75)
    assert state.renew_at == pytest.approx(100.0 + 1.0 / 3)


def test_a_standby_sleeps_until_the_holders_lease_ends() -> None:
    answer = AcquireAnswered(lease("other", remaining=1.8), sent_at=100.0)
    state, effects = stepped(Standby(100.0, calling=True), answer, 100.1)

    assert effects == ()
    assert 101.8 <= state.wake_at <= 101.8 + POLICY.spread_seconds


def test_a_nudge_wakes_a_standby_at_once() -> None:
    assert stepped(Standby(200.0), Nudged(), 100.0)[1] == (Acquire(),)


def test_a_nudge_during_a_question_makes_it_ask_again() -> None:
    asking, _ = stepped(Standby(100.0, calling=True), Nudged(), 100.1)
    answered, _ = stepped(asking, AcquireAnswered(lease("other"), sent_at=100.0), 100.2)

    assert answered == Standby(100.2)


def test_a_failed_question_is_repeated_soon() -> None:
    state, effects = stepped(Standby(100.0, calling=True), CallFailed(), 100.5)

    assert effects == ()
    assert 100.5 < state.wake_at <= 100.5 + 2 * POLICY.retry_seconds


def test_the_lease_is_renewed_at_a_third() -> None:
    state = leading(100.0)
    assert state.wake_at == pytest.approx(100.0 + 2.5 / 3)
    assert stepped(state, Tick(), 100.8) == (state, ())

    renewing, effects = stepped(state, Tick(), state.wake_at)
    assert effects == (Renew(Epoch(7)),)
    assert renewing.wake_at == state.trusted_until


def test_a_renewal_moves_the_window_to_its_own_sending() -> None:
    renewing = changed(leading(100.0), calling=True)
    state, effects = stepped(renewing, RenewAnswered(lease(), sent_at=101.0), 101.5)

    assert effects == ()
    assert state == Leader(renewing.fence, 101.0 + TRUST, 101.0 + POLICY.renew_seconds)


def test_two_failed_renewals_leave_time_for_a_third() -> None:
    state: State = leading(100.0)
    now = state.wake_at
    for _ in range(2):
        state, effects = stepped(state, Tick(), now)
        assert effects == (Renew(Epoch(7)),)
        now += 0.4
        state, effects = stepped(state, CallFailed(), now)
        assert effects == ()
        now = state.wake_at
    state, effects = stepped(state, Tick(), now)

    assert effects == (Renew(Epoch(7)),)
    assert trusted_fence(state, now) is not None


def test_errors_drop_trust_only_at_its_deadline() -> None:
    state, effects = stepped(changed(leading(100.0), calling=True), CallFailed(), 102.0)
    assert effects == ()
    assert trusted_fence(state, 102.0) is not None

    after, effects = stepped(changed(leading(100.0), calling=True), CallFailed(), 102.3)
    assert effects == (Lost(Fence("leader", Epoch(7), "me"), "it was not renewed in time"),)
    assert after == Standby(102.3)


def test_a_refusal_drops_trust_at_once() -> None:
    after, effects = stepped(changed(leading(100.0), calling=True), RenewAnswered(None, sent_at=100.9), 100.91)

    assert effects == (Lost(Fence("leader", Epoch(7), "me"), "the store refused to renew it"),)
    assert after == Standby(100.91)


def test_a_stale_fence_drops_trust_at_once_and_an_older_one_does_not() -> None:
    state = leading(100.0)

    assert stepped(state, FenceRefused(Epoch(6)), 100.1) == (state, ())
    after, effects = stepped(state, FenceRefused(Epoch(7)), 100.1)
    assert effects == (Lost(Fence("leader", Epoch(7), "me"), "a write under its fence was refused"),)
    assert after == Standby(100.1)


def test_a_leader_that_was_paused_finds_itself_deposed() -> None:
    state = leading(100.0)
    assert trusted_fence(state, 160.0) is None

    after, effects = stepped(state, Tick(), 160.0)
    assert effects == (Lost(Fence("leader", Epoch(7), "me"), "it was not renewed in time"),)
    assert stepped(after, Tick(), 160.0)[1] == (Acquire(),)


def test_a_late_answer_to_a_renewal_of_a_lost_term_makes_it_ask_again() -> None:
    lost, _ = stepped(changed(leading(100.0), calling=True), Tick(), 102.5)
    assert stepped(lost, Tick(), 102.6) == (lost, ())

    after, effects = stepped(lost, RenewAnswered(lease(), sent_at=100.9), 102.7)
    assert (after, effects) == (Standby(102.7), ())


def test_a_renewal_of_another_term_is_a_defect() -> None:
    with pytest.raises(Bug):
        stepped(changed(leading(100.0), calling=True), RenewAnswered(lease(epoch=8), sent_at=100.9), 101.0)


def test_a_leader_resigns_by_giving_its_lease_back() -> None:
    resigning, effects = stepped(leading(100.0), Resign(), 100.1)
    assert effects == (Lost(Fence("leader", Epoch(7), "me"), "it resigned"), Release(Epoch(7)))
    assert trusted_fence(resigning, 100.1) is None

    assert stepped(resigning, ReleaseAnswered(), 100.2) == (Resigned(), (Ended(),))


@pytest.mark.parametrize(
    ("answer", "effects"),
    [
        (RenewAnswered(lease(), 100.9), (Release(Epoch(7)),)),
        (CallFailed(), (Release(Epoch(7)),)),
        (RenewAnswered(None, 100.9), (Ended(),)),
    ],
)
def test_resigning_waits_for_a_renewal_under_way(answer: Event, effects: tuple[object, ...]) -> None:
    resigning, told = stepped(changed(leading(100.0), calling=True), Resign(), 100.95)
    assert told == (Lost(Fence("leader", Epoch(7), "me"), "it resigned"),)

    after, done = stepped(resigning, answer, 101.0)
    assert done == effects
    assert isinstance(after, Resigning) == (done != (Ended(),))


def test_a_lease_won_while_resigning_is_given_back() -> None:
    resigning, effects = stepped(Standby(100.0, calling=True), Resign(), 100.1)
    assert effects == ()

    assert stepped(resigning, AcquireAnswered(lease(), 100.0), 100.2)[1] == (Release(Epoch(7)),)
    assert stepped(resigning, AcquireAnswered(lease("other"), 100.0), 100.2) == (Resigned(), (Ended(),))


def test_a_release_that_fails_ends_all_the_same() -> None:
    resigning, _ = stepped(leading(100.0), Resign(), 100.1)

    assert stepped(resigning, CallFailed(), 100.9) == (Resigned(), (Ended(),))


def test_an_idle_standby_resigns_without_a_call() -> None:
    assert stepped(Standby(200.0), Resign(), 100.0) == (Resigned(), (Ended(),))


EVENTS: list[Event] = [
    Tick(),
    AcquireAnswered(lease(), 99.0),
    AcquireAnswered(lease("other"), 99.0),
    RenewAnswered(lease(), 99.0),
    RenewAnswered(None, 99.0),
    ReleaseAnswered(),
    CallFailed(),
    FenceRefused(Epoch(7)),
    Nudged(),
    Resign(),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize(
    "state",
    [Standby(100.0), Standby(100.0, calling=True), leading(100.0), changed(leading(100.0), calling=True), Resigning()],
    ids=["standby", "asking", "leader", "renewing", "resigning"],
)
def test_every_state_has_an_answer_to_every_event(state: State, event: Event) -> None:
    after, effects = stepped(state, event, 100.0)

    calls = [effect for effect in effects if isinstance(effect, Acquire | Renew | Release)]
    assert len(calls) <= 1
    assert isinstance(after, Resigned) == (Ended() in effects)


ASKING, RENEWING = Standby(100.0, calling=True), changed(leading(100.0), calling=True)
NEWS: tuple[Event, ...] = (Tick(), FenceRefused(Epoch(7)), Nudged(), Resign())
TO_ASKING: tuple[Event, ...] = (AcquireAnswered(lease(), 99.9), AcquireAnswered(lease("other"), 99.9), CallFailed())
TO_RENEWING: tuple[Event, ...] = (RenewAnswered(lease(), 99.9), RenewAnswered(None, 99.9), CallFailed())


@pytest.mark.parametrize("now", [100.0, 102.4, 160.0])
@pytest.mark.parametrize(
    ("asking", "event", "is_answer"),
    [
        *((state, event, False) for state in (ASKING, RENEWING) for event in NEWS),
        *((ASKING, event, True) for event in TO_ASKING),
        *((RENEWING, event, True) for event in TO_RENEWING),
    ],
)
def test_an_answer_is_awaited_exactly_while_it_is_outstanding(
    asking: State, event: Event, *, is_answer: bool, now: float
) -> None:
    """Seed 21 of the simulation: a machine that awaits an answer which has come never asks again."""
    after, _ = stepped(asking, event, now)

    assert isinstance(after, Standby | Leader) or (event == Resign() and isinstance(after, Resigning))
    assert getattr(after, "calling", True) is not is_answer


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_nothing_follows_the_end(event: Event) -> None:
    assert stepped(Resigned(), event, 100.0) == (Resigned(), ())
