"""Why a run waits: each fact has its words, and what keeps it waiting comes before what it lacks."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from rota.core.waiting import waiting_reasons
from rota.domain.ids import RunId
from rota.domain.waiting import LimitFact, PlaceFact, WaitFacts

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FACTS = WaitFacts(NOW, "mail", NOW, task="report", listeners_count=2, capable_count=2)
FULL = LimitFact("queue", "mail", 5, None, 5, 0)
FREE = "waits for one of the 2 workers of queue mail to be free"
NO_WORKER = "no worker listens to queue mail"


@pytest.mark.parametrize(
    ("facts", "reasons"),
    [
        ({}, [FREE]),
        ({"listeners_count": 0}, [NO_WORKER]),
        ({"capable_count": 0}, ["no worker that listens to queue mail knows task report"]),
        ({"due_at": None, "upstreams_count": 1}, ["waits for 1 other run to end"]),
        ({"due_at": None, "upstreams_count": 3, "listeners_count": 0}, ["waits for 3 other runs to end", NO_WORKER]),
        ({"due_at": NOW + timedelta(hours=1)}, ["it is not due until 2026-03-01T13:00:00Z"]),
        (
            {"due_at": NOW + timedelta(hours=1), "attempts_count": 2, "limits": (FULL,), "turn_run_id": "r"},
            ["try 3 is not due until 2026-03-01T13:00:00Z"],
        ),
        ({"turn_run_id": RunId("r7")}, ["waits for its schedule's turn: run r7 is running"]),
        ({"place": PlaceFact("api", 2, 2)}, ["waits for concurrency key api: 2 of 2 running"]),
        ({"place": PlaceFact(None, 2, 2)}, ["waits for its schedule: 2 of 2 running"]),
        ({"limits": (FULL,)}, ["waits for limit queue mail: 5 of 5 running"]),
        ({"limits": (LimitFact("queue", "mail", 5, None, 4, 1),)}, [FREE]),
        ({"limits": (LimitFact("queue", "mail", 5, 0.5, 4, 0),)}, ["waits for limit queue mail: 0.5 runs a second"]),
        ({"limits": (LimitFact("queue", "mail", 5, None, 4, 0),)}, ["waits for limit queue mail: 4 of 5 running"]),
        (
            {"limits": (FULL, LimitFact("tenant", "acme", 0, None, 0, 0)), "listeners_count": 0},
            ["waits for limit queue mail: 5 of 5 running", "waits for limit tenant acme: 0 of 0 running", NO_WORKER],
        ),
    ],
)  # fmt: skip
def test_each_fact_is_said(facts: dict[str, Any], reasons: list[str]) -> None:
    assert list(waiting_reasons(structs.replace(FACTS, **facts))) == reasons


LIMITS = st.builds(
    LimitFact,
    st.sampled_from(["queue", "tenant"]),
    st.just("x"),
    st.integers(1, 5),
    st.floats(0.1, 10),
    st.integers(0, 5),
    st.integers(-3, 3),
)


@given(
    st.builds(
        WaitFacts,
        st.just(NOW),
        st.just("mail"),
        st.none() | st.integers(-5, 5).map(lambda hours: NOW + timedelta(hours=hours)),
        st.integers(0, 3),
        st.none() | st.just("report"),
        st.integers(0, 3),
        st.none() | st.just(RunId("r")),
        st.lists(LIMITS, max_size=2).map(tuple),
        st.none() | st.builds(PlaceFact, st.none() | st.just("k"), st.integers(1, 3), st.integers(0, 3)),
        st.integers(0, 2),
        st.integers(0, 2),
    )
)
def test_there_is_always_a_reason_and_a_limit_is_named_exactly_where_it_is_full(facts: WaitFacts) -> None:
    reasons = waiting_reasons(facts)
    is_due = facts.due_at is not None and facts.due_at <= NOW
    full = sum(limit.room <= 0 for limit in facts.limits) if is_due else 0
    assert reasons
    assert sum("for limit" in reason for reason in reasons) == full
    assert any("not due until" in reason for reason in reasons) == (facts.due_at is not None and facts.due_at > NOW)
    assert (NO_WORKER in reasons) == (facts.listeners_count == 0)
