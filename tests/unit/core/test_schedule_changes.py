from datetime import UTC, datetime

import pytest
from msgspec.structs import replace as changed

from rota.core.schedule_changes import (
    RESTORED_REASON,
    delete_schedule,
    draft_of,
    patched_draft,
    pause_schedule,
    replace_schedule,
    restore_schedule,
    resume_schedule,
)
from rota.domain.errors import Bug, DomainError
from rota.domain.event import EVENT_TYPES
from rota.domain.policies import Policies, RetryPolicy
from rota.domain.schedule import Schedule
from rota.domain.targets import HttpTarget, TaskTarget
from rota.domain.triggers import AtTrigger, CronTrigger, IntervalTrigger
from tests.unit.core.values import BY_ANA, NOON, TRIGGER_IDS, by_ana, created, draft, seconds

MINUTELY = IntervalTrigger(every_seconds=60)
HOURLY = CronTrigger("0 * * * *")
LATER = by_ana(NOON + seconds(90))
NEW_IDS = TRIGGER_IDS[20:]


def with_progress(schedule: Schedule) -> Schedule:
    """As the leader left it a minute after noon."""
    first = changed(
        schedule.triggers[0], fired_through=NOON + seconds(60), next_fire_at=NOON + seconds(120), fires_count=1
    )
    return changed(schedule, triggers=(first, *schedule.triggers[1:]))


def test_a_new_schedule_knows_when_it_fires_first() -> None:
    schedule = created(MINUTELY, HOURLY)

    assert [trigger.next_fire_at for trigger in schedule.triggers] == [NOON + seconds(60), NOON + seconds(3600)]
    assert (schedule.version, schedule.created_by, schedule.next_fire_at) == (1, "ana", NOON + seconds(60))


def test_a_new_schedule_that_is_disabled_has_nothing_to_come() -> None:
    schedule = created(MINUTELY, enabled=False)

    assert schedule.next_fire_at is None
    assert schedule.paused_reason == "disabled by its definition"


@pytest.mark.parametrize(("ago", "expected"), [(0.2, NOON - seconds(0.2)), (3599, NOON - seconds(3599)), (3700, None)])
def test_an_instant_that_passed_within_the_grace_is_due_at_once(ago: float, expected: datetime | None) -> None:
    assert created(AtTrigger(at=NOON - seconds(ago))).next_fire_at == expected


def test_replacing_keeps_identity_and_progress_of_an_unchanged_trigger() -> None:
    before = with_progress(created(MINUTELY, HOURLY))
    after, events = replace_schedule(
        before, draft(MINUTELY, CronTrigger("30 * * * *")), trigger_ids=NEW_IDS, change=LATER
    )

    assert after.triggers[0] == before.triggers[0]
    assert after.triggers[1].id == NEW_IDS[1]
    assert after.triggers[1].anchor_at == LATER.now
    assert (after.version, after.updated_by) == (2, "ana")
    assert [(event.type, event.data["fields"]) for event in events] == [("ScheduleChanged", ["triggers"])]


def test_replacing_keeps_a_firing_that_is_due_and_undecided() -> None:
    before = with_progress(created(MINUTELY))
    at_leisure = by_ana(NOON + seconds(600))
    after, _ = replace_schedule(before, draft(MINUTELY, description="x"), trigger_ids=NEW_IDS, change=at_leisure)

    assert after.triggers[0].next_fire_at == NOON + seconds(120)


def test_replacing_in_another_order_moves_the_triggers_with_their_progress() -> None:
    before = with_progress(created(MINUTELY, HOURLY))
    after, _ = replace_schedule(before, draft(HOURLY, MINUTELY), trigger_ids=NEW_IDS, change=LATER)

    assert after.triggers == (before.triggers[1], before.triggers[0])


def test_replacing_by_the_same_changes_nothing() -> None:
    schedule = created(MINUTELY)

    assert replace_schedule(schedule, draft_of(schedule), trigger_ids=NEW_IDS, change=LATER) == (schedule, ())


def test_enabling_by_definition_fires_from_now_on() -> None:
    paused, _ = replace_schedule(
        with_progress(created(MINUTELY)), draft(MINUTELY, enabled=False), trigger_ids=NEW_IDS, change=LATER
    )
    assert (paused.next_fire_at, paused.paused_reason) == (None, "disabled by its definition")

    again, _ = replace_schedule(paused, draft(MINUTELY), trigger_ids=NEW_IDS, change=by_ana(NOON + seconds(600.5)))
    assert (again.next_fire_at, again.paused_reason) == (NOON + seconds(660), None)
    assert again.triggers[0].id == paused.triggers[0].id


def test_too_few_ids_is_a_defect_of_the_caller() -> None:
    with pytest.raises(Bug, match="ids"):
        replace_schedule(created(MINUTELY), draft(HOURLY), trigger_ids=(), change=LATER)


def test_a_patch_changes_only_what_it_names() -> None:
    before = created(MINUTELY, policies=Policies(priority=3, retry=RetryPolicy(attempts_max=2)))
    patched = patched_draft(before, {"description": "new", "policies": {"queue": "slow", "retry": {"factor": 3}}})

    assert patched == changed(
        draft_of(before),
        description="new",
        policies=Policies(priority=3, queue="slow", retry=RetryPolicy(attempts_max=2, factor=3.0)),
    )


def test_null_in_a_patch_takes_a_field_back_to_its_default() -> None:
    before = created(MINUTELY, description="old", labels={"team": "ops", "tier": "1"})
    patched = patched_draft(before, {"description": None, "labels": {"tier": None}})

    assert (patched.description, patched.labels) == ("", {"team": "ops"})


def test_a_patch_to_another_kind_of_target_keeps_nothing_of_the_old_one() -> None:
    patched = patched_draft(created(MINUTELY), {"target": {"kind": "http", "url": "https://example.com/hook"}})

    assert patched.target == HttpTarget("https://example.com/hook")
    assert patched_draft(created(MINUTELY), {"target": {"args": {"day": 1}}}).target == TaskTarget("report", {"day": 1})


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"triggers": None}, "triggers"),
        ({"colour": "red"}, "colour"),
        ({"policies": {"priority": "high"}}, "policies.priority"),
    ],
)
def test_a_patch_that_fits_no_schedule_names_the_field(patch: dict[str, object], field: str) -> None:
    with pytest.raises(DomainError) as refused:
        patched_draft(created(MINUTELY), patch)

    assert refused.value.problems[0].field == field
    assert refused.value.problems[0].remedy


def test_paused_schedule_has_nothing_to_come_and_says_why() -> None:
    after, events = pause_schedule(with_progress(created(MINUTELY)), "release freeze", change=LATER)

    assert (after.enabled, after.paused_reason, after.next_fire_at) == (False, "release freeze", None)
    assert after.triggers[0].fired_through == NOON + seconds(60)
    assert [event.type for event in events] == ["SchedulePaused"]
    assert pause_schedule(after, "release freeze", change=LATER) == (after, ())


@pytest.mark.parametrize(
    ("since", "next_fire"),
    [
        (None, NOON + seconds(660)),
        (NOON + seconds(180), NOON + seconds(180)),
        (NOON - seconds(600), NOON + seconds(120)),
        (NOON + seconds(6000.5), NOON + seconds(6060)),
    ],
)
def test_resume_fires_from_the_first_undecided_time(since: datetime | None, next_fire: datetime) -> None:
    paused, _ = pause_schedule(with_progress(created(MINUTELY)), "freeze", change=LATER)
    after, _ = resume_schedule(paused, since, change=by_ana(NOON + seconds(600.5)))

    assert (after.enabled, after.paused_reason, after.next_fire_at) == (True, None, next_fire)


def test_resume_ends_an_intervention() -> None:
    paused, _ = pause_schedule(created(MINUTELY), "5 failures in a row", change=LATER)
    after, events = resume_schedule(changed(paused, needs_intervention=True), None, change=LATER)

    assert not after.needs_intervention
    assert [event.type for event in events] == ["ScheduleResumed"]


def test_resuming_what_fires_is_refused() -> None:
    with pytest.raises(DomainError, match="not paused"):
        resume_schedule(created(MINUTELY), None, change=LATER)


def test_an_exhausted_trigger_stays_exhausted_through_a_pause() -> None:
    schedule = created(IntervalTrigger(every_seconds=60, fires_max=1))
    spent = changed(schedule, triggers=(changed(schedule.triggers[0], next_fire_at=None, fires_count=1),))
    paused, _ = pause_schedule(spent, "freeze", change=LATER)

    assert resume_schedule(paused, NOON, change=LATER)[0].next_fire_at is None


def test_a_spent_trigger_that_is_given_more_firings_goes_on_with_its_count() -> None:
    schedule = created(IntervalTrigger(every_seconds=60, fires_max=1))
    spent = changed(
        schedule, triggers=(changed(schedule.triggers[0], next_fire_at=None, fired_through=LATER.now, fires_count=1),)
    )
    more = patched_draft(spent, {"triggers": [{"kind": "interval", "every_seconds": 60, "fires_max": 3}]})
    after, _ = replace_schedule(spent, more, trigger_ids=NEW_IDS, change=LATER)

    (trigger,) = after.triggers
    assert (trigger.id, trigger.fires_count, trigger.fires_left) == (schedule.triggers[0].id, 1, 2)
    assert trigger.next_fire_at is not None
    assert trigger.next_fire_at > LATER.now

    fewer = patched_draft(after, {"triggers": [{"kind": "interval", "every_seconds": 60, "fires_max": 1}]})
    assert replace_schedule(after, fewer, trigger_ids=NEW_IDS, change=LATER)[0].triggers[0].next_fire_at is None


def test_a_trigger_that_differs_in_more_than_its_firings_is_a_new_one() -> None:
    schedule = created(IntervalTrigger(every_seconds=60, fires_max=1))
    other = patched_draft(schedule, {"triggers": [{"kind": "interval", "every_seconds": 61, "fires_max": 3}]})
    assert replace_schedule(schedule, other, trigger_ids=NEW_IDS, change=LATER)[0].triggers[0].id == NEW_IDS[0]


def test_deleted_schedule_comes_back_paused() -> None:
    deleted, told = delete_schedule(created(MINUTELY), change=LATER)
    assert (deleted.deleted_at, deleted.deleted_by, deleted.next_fire_at) == (LATER.now, "ana", None)

    restored, events = restore_schedule(deleted, change=LATER)
    assert (restored.deleted_at, restored.enabled, restored.paused_reason) == (None, False, RESTORED_REASON)
    assert restored.next_fire_at is None
    assert [event.type for event in (*told, *events)] == ["ScheduleDeleted", "ScheduleRestored"]


def test_a_deleted_schedule_takes_no_other_change() -> None:
    deleted, _ = delete_schedule(created(MINUTELY), change=LATER)
    for attempt in (
        lambda: delete_schedule(deleted, change=LATER),
        lambda: pause_schedule(deleted, "x", change=LATER),
        lambda: resume_schedule(deleted, None, change=LATER),
        lambda: replace_schedule(deleted, draft(HOURLY), trigger_ids=NEW_IDS, change=LATER),
    ):
        with pytest.raises(DomainError, match="is deleted") as refused:
            attempt()
        assert refused.value.code == "STATE_CONFLICT"


def test_restoring_what_is_not_deleted_is_refused() -> None:
    with pytest.raises(DomainError, match="not deleted"):
        restore_schedule(created(MINUTELY), change=LATER)


def test_every_event_is_in_the_catalogue_and_names_schedule_and_actor() -> None:
    paused, told = pause_schedule(created(MINUTELY), "freeze", change=BY_ANA)
    _, more = resume_schedule(paused, datetime(2026, 1, 1, tzinfo=UTC), change=BY_ANA)

    for event in (*told, *more):
        assert event.type in EVENT_TYPES
        assert (event.subject, event.actor, event.tenant_id) == (paused.id, "ana", "acme")
