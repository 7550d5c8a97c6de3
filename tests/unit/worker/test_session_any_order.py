"""Whatever happens, in whatever order, the session keeps its books."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from rota.worker.session_state import NEVER
from rota.worker.session_words import (
    AttemptsBegun,
    AttemptsWithdrawn,
    CancelAsked,
    Claimed,
    ClaimFailed,
    DrainAsked,
    Event,
    ExecutorGone,
    ExecutorReady,
    GiveBack,
    Settle,
    Tick,
    WorkDueIn,
    WorkHinted,
)
from tests.unit.worker.test_session import FACTS, LIMITS, Desk, claimed, ended, only


@given(st.data())
def test_every_claimed_attempt_leaves_by_exactly_one_way(data: st.DataObject) -> None:
    """Whatever the order of events: no run is settled twice or forgotten, slots and what is held ahead are bounded, and
    the session never sleeps through a deadline.
    """
    desk = Desk().ready()
    given_runs, in_flight = 0, 1
    for _ in range(data.draw(st.integers(0, 40))):
        desk.now += data.draw(st.sampled_from((0.0, 0.1, 1.0, 4.0, 40.0)))
        event = data.draw(st.sampled_from(_possible(desk, given_runs)))
        given_runs += len(event.runs) if isinstance(event, Claimed) else 0
        desk.tell(event)
        held_count = len(desk.session.attempts)
        assert held_count - len(desk.session.waiting) <= LIMITS.slots
        assert held_count + sum(desk.session.claiming) <= LIMITS.slots + LIMITS.ahead_max
        assert desk.session.check_at <= min(
            (
                min(each.begin_until, each.soft_at, each.hard_at, each.stop_until)
                for each in desk.session.attempts.values()
            ),
            default=NEVER,
        )
        assert all(each.give_back_at >= desk.session.check_at for each in desk.session.waiting.values())
        in_flight = max(in_flight, len(desk.session.claiming))
    assert in_flight <= LIMITS.claims_in_flight_max
    desk.tell(DrainAsked())
    for limit in list(desk.session.claiming):
        desk.tell(Claimed((), limit))
    desk.wait(LIMITS.drain_seconds + 1.0)
    left = Counter(each.claimed.run_id for each in only(Settle, desk.effects))
    left.update(each.run_id for back in only(GiveBack, desk.effects) for each in back.claims)
    assert left == Counter(f"run-{number}" for number in range(given_runs))
    assert desk.session.is_finished


def _possible(desk: Desk, given_runs: int) -> list[Event]:
    """What could happen now."""
    session = desk.session
    events: list[Event] = [Tick(), WorkHinted(), WorkDueIn(1.0)]
    for limit in session.claiming:
        tasks = ("plain", "solo", "strict", "plain")
        runs = [claimed(given_runs + n, tasks[(given_runs + n) % 4]) for n in range(limit)]
        events += [Claimed(tuple(runs), limit), Claimed(tuple(runs[:1]), limit), ClaimFailed(limit)]
    for executor in session.executors.values():
        events += [ExecutorReady(executor.id, FACTS), ExecutorGone(executor.id, "exit code 1")]
        events += [ended(executor.id, key, "cancelled") for key in executor.overdue]
    for attempt in session.attempts.values():
        events.append(CancelAsked((attempt.claimed.run_id,)))
        if attempt.phase != "waiting" and attempt.executor is not None:
            events.append(AttemptsBegun(attempt.executor, (attempt.key,)))
            events += [ended(attempt.executor, attempt.key, outcome) for outcome in ("succeeded", "failed")]
        if attempt.phase == "sent" and attempt.executor is not None:
            events.append(AttemptsWithdrawn(attempt.executor, (attempt.key,)))
    return events
