from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from rota.core.milestone_validation import milestone_trigger_problems
from rota.core.milestones import assess, attempt, evidence_problems, reset, retry_delay_seconds, retry_now, told
from rota.core.validation import validate_draft
from rota.domain.errors import DomainError
from rota.domain.ids import RunId, ScheduleId, TenantId, TriggerId
from rota.domain.milestone import (
    FOLLOWER,
    Evidence,
    Generator,
    Milestone,
    MilestoneDefinition,
    MilestoneLook,
    MilestoneOrder,
)
from rota.domain.policies import Policies, RetryPolicy
from rota.domain.schedule import ScheduleDraft
from rota.domain.targets import HttpTarget, TaskTarget
from rota.domain.triggers import MilestoneTrigger
from tests.contract.stores import START

ACME, SITE, HOUR = TenantId("acme"), "site", 3_600.0
DUE = START + timedelta(hours=12)


def look(at: datetime = DUE, milestone: Milestone | None = None, **fields: Any) -> MilestoneLook:
    known = milestone or Milestone(ACME, "AUTO_12H", SITE, "waiting", ScheduleId("s"), DUE, DUE)
    made = MilestoneLook(
        ACME,
        "AUTO_12H",
        SITE,
        at,
        MilestoneDefinition(ACME, "AUTO_12H", ScheduleId("s"), TriggerId("t"), "installation", 12 * HOUR),
        Generator(3, True, TaskTarget("report", {"depth": 1}), Policies(queue="slow", priority=4)),
        Evidence(ACME, "installation", SITE, START, START, "ada"),
        known,
    )
    return structs.replace(made, **fields)


def standing(one: MilestoneLook) -> str:
    return assess(one).standing


def test_it_is_due_when_the_evidence_has_the_age_and_not_before() -> None:
    assert standing(look(DUE - timedelta(microseconds=1))) == "nothing_due"
    assert standing(look(DUE)) == "due"
    assert standing(look(DUE + timedelta(days=4_000))) == "due"


def test_what_stands_in_the_way_is_said() -> None:
    waiting = look().milestone
    assert waiting is not None
    future = Evidence(ACME, "installation", SITE, DUE + timedelta(hours=1), START, "ada")
    assert standing(look(evidence=None)) == "evidence_missing"
    assert standing(look(evidence=future)) == "evidence_missing"
    assert "invalid" in assess(look(evidence=future)).words
    assert standing(look(definition=None)) == "undefined"
    assert standing(look(generator=Generator(1, False, TaskTarget("t"), Policies()))) == "paused"
    assert standing(look(is_done=True)) == "done"
    assert standing(look(milestone=structs.replace(waiting, state="in_progress"))) == "in_progress"
    backing_off = structs.replace(waiting, backoff_until=DUE + timedelta(seconds=1))
    assert standing(look(milestone=backing_off)) == "backoff_active"
    assert standing(look(DUE + timedelta(seconds=1), backing_off)) == "due"


def test_an_attempt_is_counted_and_its_back_off_decided_before_anything_is_tried() -> None:
    step = attempt(look(), "leader")
    assert step.milestone is not None
    assert step.draft is not None
    begun = step.milestone
    assert (begun.state, begun.attempts_count, begun.attempts_total, begun.last_attempt_at) == (
        "in_progress",
        1,
        1,
        DUE,
    )
    assert (begun.retry_delay_seconds, begun.backoff_until, begun.next_at) == (1_800, None, None)
    draft = step.draft
    assert (draft.queue, draft.priority, draft.schedule_id, draft.schedule_version) == ("slow", 4, "s", 3)
    assert (draft.followers, draft.policy.retry.attempts_max, draft.policy.serial) == ((FOLLOWER,), 1, False)
    assert isinstance(draft.target, TaskTarget)
    assert draft.target.args["depth"] == 1
    assert draft.target.args["milestone"] == {
        "name": "AUTO_12H", "tenant_id": "acme", "subject": SITE, "evidence": "installation",
        "occurred_at": "2026-03-01T12:00:00Z", "due_at": "2026-03-02T00:00:00Z", "attempt": 1,
    }  # fmt: skip


def test_each_attempt_ever_has_a_key_of_its_own_also_after_a_reset() -> None:
    keys: set[str | None] = set()
    milestone = look().milestone
    for _ in range(3):
        step = attempt(look(milestone=milestone), "leader")
        assert step.draft is not None
        assert step.milestone is not None
        keys.add(step.draft.key)
        failed = structs.replace(step.milestone, state="waiting", run_id=RunId("r"))
        milestone = reset(look(milestone=failed), "ada").milestone
        assert milestone is not None
        assert milestone.attempts_count == 0
    assert len(keys) == 3


def test_a_window_that_passed_is_run_late_or_given_up() -> None:
    definition = look().definition
    assert definition is not None
    late = structs.replace(definition, window_seconds=HOUR)
    skip = structs.replace(late, on_missed="skip")
    before, after = DUE + timedelta(seconds=HOUR - 1), DUE + timedelta(seconds=HOUR)
    assert standing(look(after, definition=late)) == "due"
    assert standing(look(before, definition=skip)) == "due"
    step = attempt(look(after, definition=skip), "leader")
    assert step.milestone is not None
    assert (step.assessment.standing, step.milestone.state, step.draft) == ("missed", "skipped", None)
    assert [event.type for event in step.events] == ["MilestoneMissed"]
    again = attempt(look(after, step.milestone, definition=skip), "leader")
    assert (again.milestone, again.draft, again.events) == (step.milestone, None, ())


def test_what_cannot_be_tried_loses_its_time_and_what_waits_keeps_it() -> None:
    for known in (look(generator=None), look(definition=None), look(evidence=None)):
        step = attempt(known, "leader")
        assert step.milestone is not None
        assert (step.draft, step.milestone.next_at) == (None, None)
    early = attempt(look(START), "leader")
    assert early.milestone is not None
    assert early.milestone.next_at == DUE


def test_retrying_ignores_the_back_off_and_nothing_else() -> None:
    waiting = look().milestone
    assert waiting is not None
    backing_off = structs.replace(waiting, attempts_count=1, backoff_until=DUE + timedelta(days=1))
    step = retry_now(look(milestone=backing_off), "ada")
    assert step.milestone is not None
    assert (step.milestone.attempts_count, step.milestone.retry_delay_seconds) == (2, 7_200)
    for other in (look(START), look(is_done=True), look(evidence=None)):
        with pytest.raises(DomainError, match="nothing is tried"):
            retry_now(other, "ada")


@given(st.integers(1, 60), st.one_of(st.none(), st.lists(st.floats(0, 90_000), max_size=6).map(tuple)))
def test_the_back_off_never_falls_below_an_earlier_one_of_a_rising_list_and_stays_at_its_last(
    count: int, delays: tuple[float, ...] | None
) -> None:
    policy = RetryPolicy(delays_seconds=None if delays is None else tuple(sorted(delays)))
    this, following = retry_delay_seconds(policy, count), retry_delay_seconds(policy, count + 1)
    cap = policy.delays_seconds[-1] if policy.delays_seconds else 86_400.0
    assert 0 <= this <= following <= cap
    assert retry_delay_seconds(policy, 10_000) == cap


def test_the_back_off_is_the_schedules_where_it_says_one() -> None:
    assert [retry_delay_seconds(RetryPolicy(), count) for count in (1, 2, 3, 4)] == [1_800, 7_200, 86_400, 86_400]
    own = RetryPolicy(base_seconds=10.0, factor=3.0, cap_seconds=60.0)
    assert [retry_delay_seconds(own, count) for count in (1, 2, 3)] == [10, 30, 60]


def test_a_request_is_told_in_its_json_body_and_another_body_is_left_alone() -> None:
    order = MilestoneOrder("AUTO_12H", ACME, SITE, "installation", START, DUE, 1)
    for target in (HttpTarget("http://x"), HttpTarget("http://x", body={"a": 1})):
        sent = told(target, order)
        assert isinstance(sent, HttpTarget)
        assert sent.body["milestone"]["subject"] == SITE
        assert {**sent.body, "milestone": None} == {**(target.body or {}), "milestone": None}
    for target in (
        HttpTarget("http://x", "GET"),
        HttpTarget("http://x", body="text"),
        HttpTarget("http://x", body=[1]),
    ):
        assert told(target, order) == target


def test_what_is_wrong_with_a_trigger_is_named() -> None:
    def fields(**given: Any) -> list[str]:
        return [one.field for one in milestone_trigger_problems(MilestoneTrigger(**given))]

    assert fields(name="AUTO_12H") == []
    assert fields(name="AUTO_12H", age_seconds=60) == []
    assert fields(name="own") == ["evidence", "age_seconds"]
    assert fields(name="own", evidence="signup", age_seconds=-1) == ["age_seconds"]
    assert fields(name="a b", evidence="x", age_seconds=0) == ["name"]
    assert fields(name="AUTO_12H", on_missed="skip") == ["window_seconds"]
    assert fields(name="AUTO_12H", fires_max=3, jitter_seconds=1.0) == ["fires_max", "jitter_seconds"]
    twice = ScheduleDraft("s", (MilestoneTrigger(name="AUTO_12H"), MilestoneTrigger(name="AUTO_12H", age_seconds=1)),
                          TaskTarget("t"))  # fmt: skip
    assert [one.field for one in validate_draft(twice)] == ["triggers[1].name"]


def test_evidence_lies_in_the_past_and_a_fast_clock_is_forgiven() -> None:
    def fields(at: datetime) -> list[str]:
        return [one.field for one in evidence_problems("installation", SITE, at, START)]

    assert fields(START + timedelta(seconds=60)) == []
    assert fields(START + timedelta(seconds=61)) == ["occurred_at"]
    assert fields(START.replace(tzinfo=None)) == ["occurred_at"]
    assert [one.field for one in evidence_problems(" ", "", START, START)] == ["kind", "subject"]
