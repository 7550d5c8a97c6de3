from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.core.celery_beat import BeatCrontab, BeatEntry, BeatInterval, BeatReading, read_entries, read_fixture
from rota.domain.targets import TaskTarget
from rota.domain.triggers import AtTrigger, CronTrigger, IntervalTrigger

SCHEDULES: list[dict[str, Any]] = [
    {"model": "django_celery_beat.intervalschedule", "pk": 1, "fields": {"every": 10, "period": "minutes"}},
    {"model": "django_celery_beat.crontabschedule", "pk": 1, "fields": {
        "minute": "30", "hour": "2", "day_of_week": "mon,fri", "day_of_month": "*", "month_of_year": "*",
        "timezone": "Europe/Paris"}},
    {"model": "django_celery_beat.crontabschedule", "pk": 2, "fields": {
        "minute": "0", "hour": "0", "day_of_week": "1", "day_of_month": "1", "month_of_year": "*"}},
    {"model": "django_celery_beat.clockedschedule", "pk": 1, "fields": {"clocked_time": "2099-01-01T00:00:00Z"}},
    {"model": "django_celery_beat.solarschedule", "pk": 1, "fields": {"event": "sunrise"}},
    {"model": "auth.user", "pk": 1, "fields": {"name": "ada"}},
]  # fmt: skip


def read(**fields: Any) -> BeatReading:
    record = {"model": "django_celery_beat.periodictask", "pk": 9, "fields": {"name": "n", "task": "shop.t", **fields}}
    return read_entries(read_fixture([*SCHEDULES, record]), "UTC")


def trigger_of(reading: BeatReading) -> Any:
    assert reading.refusals == ()
    ((trigger,),) = [one.draft.triggers for one in reading.drafts]
    return trigger


def test_a_crontab_keeps_its_fields_and_its_zone() -> None:
    assert trigger_of(read(crontab=1)) == CronTrigger("30 2 * * mon,fri", "Europe/Paris")


def test_an_interval_becomes_seconds() -> None:
    assert trigger_of(read(interval=1)) == IntervalTrigger(every_seconds=600.0)


def test_what_runs_once_runs_once() -> None:
    assert isinstance(trigger_of(read(clocked=1, one_off=True)), AtTrigger)
    assert trigger_of(read(interval=1, one_off=True)).fires_max == 1


def test_arguments_queue_and_state_are_taken_over() -> None:
    (made,) = read(
        interval=1, args='[1, "a"]', kwargs='{"k": null}', queue="slow", enabled=False, description="d"
    ).drafts
    assert made.draft.target == TaskTarget("shop.t", {"args": [1, "a"], "kwargs": {"k": None}})
    assert (made.draft.policies.queue, made.draft.enabled, made.draft.description) == ("slow", False, "d")
    assert (made.draft.policies.overlap, made.note) == ("allow", "")


def test_what_has_no_counterpart_is_told() -> None:
    (made,) = read(interval=1, expire_seconds=60, priority=3, exchange="x", headers="{}").drafts
    assert made.note == (
        "not taken over: its expiry, its priority, which each broker reads in its own way, its exchange"
    )


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"solar": 1}, "schedule", "sun"),
        ({"crontab": 2}, "crontab", "both match"),
        ({"crontab": 7}, "crontab", "not in the file"),
        ({}, "schedule", "no schedule"),
        ({"interval": 1, "args": "{"}, "args", "no JSON"),
        ({"interval": 1, "args": "\ud800"}, "args", "no JSON"),
        ({"interval": 1, "args": "{}"}, "args", "no JSON list"),
        ({"interval": 1, "task": "celery.backend_cleanup"}, "task", "housekeeping"),
        ({"interval": 1, "task": "not a name"}, "target.task", "right form"),
        ({"interval": 1, "queue": "Not A Queue"}, "policies.queue", "right form"),
        ({"interval": 1, "start_time": "soon"}, "start_time", "no time"),
        ({"interval": 1, "name": ""}, "name", "empty"),
    ],
)
def test_an_entry_that_cannot_be_taken_over_says_why(fields: dict[str, Any], field: str, words: str) -> None:
    reading = read(**fields)
    assert reading.drafts == ()
    (refused,) = reading.refusals
    assert refused.problem.field == field
    assert words in refused.problem.problem
    assert refused.problem.remedy


def test_what_is_no_fixture_is_refused() -> None:
    (refused,) = read_entries(read_fixture({"a": 1}), "UTC").refusals
    assert "no fixture" in refused.problem.problem


Json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("a0*,/ -\x00\ud800é", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("a0*,/ -\x00\ud800é", max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
Names = (
    "name",
    "task",
    "args",
    "kwargs",
    "queue",
    "enabled",
    "one_off",
    "start_time",
    "interval",
    "crontab",
    "clocked",
)


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(Names, Json)),
    st.sampled_from(("interval", "crontab", "clocked", "solar")),
    st.dictionaries(st.sampled_from(("every", "period", "minute", "hour", "timezone", "clocked_time")), Json),
)
def test_no_fixture_breaks_the_reader(fields: dict[str, Any], kind: str, broken: dict[str, Any]) -> None:
    reading = read(**{"interval": 1, **fields})
    assert len(reading.drafts) + len(reading.refusals) == 1
    schedule = {"model": f"django_celery_beat.{kind}schedule", "pk": 1, "fields": {"period": "days", **broken}}
    task = {"model": "django_celery_beat.periodictask", "pk": 1, "fields": {"name": "n", "task": "t", kind: 1}}
    reading = read_entries(read_fixture([schedule, task]), "UTC")
    assert len(reading.drafts) + len(reading.refusals) == 1


def test_an_entry_without_a_zone_takes_the_one_of_the_app() -> None:
    entries = (BeatEntry("a", "t", BeatCrontab(minute="0, 30")), BeatEntry("b", "t", BeatInterval(0)))
    reading = read_entries(entries, "Europe/Paris")
    assert [one.draft.triggers for one in reading.drafts] == [(CronTrigger("0,30 * * * *", "Europe/Paris"),)]
    assert [one.name for one in reading.refusals] == ["b"]
