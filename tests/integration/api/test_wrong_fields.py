"""Each field of all that a caller sends, wrong once: 422 with the field, the problem and a remedy; nothing stored.

The list is complete by construction: a field that a type has and the list lacks fails here.
"""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from msgspec import Struct
from msgspec.structs import fields

from rota.api.rest.runs_wire import RunRequest
from rota.domain.policies import InterventionPolicy, Policies, RetryPolicy, RunPolicy
from rota.domain.schedule import ScheduleDraft
from rota.domain.targets import HttpTarget, SegmentTarget, Target, TaskTarget
from rota.domain.triggers import AtTrigger, Calendar, CronTrigger, IntervalTrigger, MilestoneTrigger, Trigger
from tests.integration.api.world import SCHEDULE, World

NAIVE = "2026-03-29T02:30:00"
BIG = "x" * 300_000

LIMITS: dict[str, list[object]] = {
    "start_at": [NAIVE, "soon", 5],
    "end_at": [NAIVE, "1900-01-01T00:00:00Z"],
    "fires_max": [0, -1, 1.5, "many"],
    "jitter_seconds": [-1, "some", 1e12],
    "calendar": [[], "weekdays"],
}
RUN_POLICY: dict[str, list[object]] = {
    "timeout_seconds": [0, -1, 1e12, "long"],
    "soft_timeout_seconds": [0, 1e9, "soft"],
    "retry": [[], 3],
    "concurrency_key": ["", " padded", 5, "without a maximum"],
    "concurrency_max": [0, -1, 1.5, 10_001],
}
WRONG: dict[type[Struct], dict[str, list[object]]] = {
    ScheduleDraft: {
        "name": ["", " padded", "x" * 201, 7, None, "new\nline"],
        "triggers": [[], {}, [{"kind": "interval", "every_seconds": n + 1} for n in range(21)], [{"kind": "never"}]],
        "target": [{"kind": "pigeon"}, {}, None, "report"],
        "policies": [[], "default"],
        "enabled": ["yes", 1],
        "description": [5, "x" * 4_001, "bell\x07"],
        "labels": [{"not a key!": "x"}, {"k": "x" * 257}, {"k": 1}, ["k"], {f"k{n}": "" for n in range(65)}],
    },
    CronTrigger: {
        "expression": ["61 * * * *", "", "* * *", "0 0 30 2 *x", "@reboot", 5],
        "timezone": ["Mars/Base", "", 1],
        "gap": ["jump", None],
        "overlap_hour": ["third"],
        **LIMITS,
    },
    IntervalTrigger: {"every_seconds": [0, -1, 1e300, "1h", None], **LIMITS},
    AtTrigger: {"at": [NAIVE, "0001-01-01T00:00:00Z", "noon", None], **LIMITS},
    MilestoneTrigger: {
        "name": ["", " padded", 5, None],
        "evidence": ["", " padded", 5],
        "age_seconds": [-1, "a day", 1e300],
        "window_seconds": [-1, "a day", 1e300],
        "on_missed": ["panic"],
        **LIMITS,
    },
    Calendar: {
        "exclude_dates": [["2026-02-30"], "2026-01-01"],
        "exclude_annual": [["13-45"], ["xmas"], "12-25"],
        "weekdays": [["funday"], "mon"],
        "include_dates": [["x"], 7],
        "timezone": ["Mars/Base"],
        "on_excluded": ["cry"],
        "exclude": ["holidays", ["no-such-calendar"]],
        "only_on": [7, ["no-such-calendar"]],
    },
    Policies: {
        "overlap": ["maybe"],
        "misfire": ["never"],
        "misfire_grace_seconds": [-1, "x"],
        "catch_up_max": [-1, 1.5, 10**9],
        "catch_up_window_seconds": [-1],
        "queue": ["Bad Queue", "", "x" * 65],
        "priority": [10, -1, 0.5, "high"],
        "intervention": ["never", 3],
        **RUN_POLICY,
    },
    InterventionPolicy: {
        "streak": [0, -1, 1.5, "three"],
        "window_count": [0, 10**9, "five"],
        "window_seconds": [-1, "week"],
        "cool_off_seconds": [-1, "week"],
        "is_off": ["no", 1],
    },
    RetryPolicy: {
        "delays_seconds": [[-1], "1,2", [1e12]],
        "base_seconds": [-1, "x"],
        "factor": [-1, 1e9],
        "cap_seconds": [-1],
        "attempts_max": [0, 1_001, 1.5],
        "jitter": ["full"],
        "non_retryable": [[""], "ValueError", [5]],
    },
    TaskTarget: {"task": ["", "not a task!", 5, None], "args": [[], "x", {"big": BIG}], "fan_out": ["all", 5]},
    HttpTarget: {
        "url": ["ftp://example.org", "example.org", "http://", "", 5],
        "method": ["BREW", 1],
        "headers": [{"bad header": "x"}, {"x": "a\nb"}, [], {"x": 1}],
        "body": [BIG],
        "signed_with": ["", "Not A Name", 5, "x" * 65],
        "fan_out": ["all", 5],
        "accept_202": ["later", 1],
        # Without `accept_202` it means nothing.
        "callback_timeout_seconds": [0, 1e12, "long", 60],
    },
    # A run that was asked for has no schedule whose turn it could take.
    RunPolicy: {**RUN_POLICY, "serial": [True, "yes"]},
    RunRequest: {
        "task": ["", "not a task!", 5],
        "args": [[], {"big": BIG}],
        "target": [{"kind": "pigeon"}, {"kind": "task", "task": "beside task"}],
        "queue": ["Bad Queue", ""],
        "priority": [10, -1],
        "delay_seconds": [-1, 1e12, "later"],
        "due_at": [NAIVE, "0001-01-01T00:00:00Z", "noon", 5],
        "idempotency_key": ["", " padded", "x" * 201, 5],
        "unique": [
            {"scope": "tenant"},
            {"scope": "world"},
            {"while": "ever"},
            {"key": ""},
            {"period_seconds": 0},
            "task",
        ],
        "name": ["", " a", 5],
        "depends_on": [7, [{"run_id": 5}], [{"id": "x"}]],
        "when": ["maybe"],
        "policy": [[], "default"],
    },
}
TRIGGERS: dict[type[Struct], dict[str, Any]] = {
    CronTrigger: {"kind": "cron", "expression": "0 2 * * *"},
    IntervalTrigger: {"kind": "interval", "every_seconds": 60},
    AtTrigger: {"kind": "at", "at": "2099-01-01T00:00:00Z"},
    MilestoneTrigger: {"kind": "milestone", "name": "AUTO_12H"},
}
TARGETS: dict[type[Struct], dict[str, Any]] = {
    TaskTarget: {"kind": "task", "task": "report"},
    HttpTarget: {"kind": "http", "url": "https://example.org/"},
}
RUN: dict[str, Any] = {"task": "report"}


def requests(kind: type[Struct], field: str, value: object) -> Iterator[tuple[str, dict[str, Any], str]]:
    """(path, body, the field that the answer must name) for every place where the type stands."""
    change = {field: value}
    if kind is ScheduleDraft:
        yield "/schedules", {**SCHEDULE, **change}, field
    elif kind in TRIGGERS:
        yield "/schedules", {**SCHEDULE, "triggers": [{**TRIGGERS[kind], **change}]}, f"triggers[0].{field}"
    elif kind is Calendar:
        trigger = {**TRIGGERS[CronTrigger], "calendar": change}
        yield "/schedules", {**SCHEDULE, "triggers": [trigger]}, f"triggers[0].calendar.{field}"
    elif kind is Policies:
        yield "/schedules", {**SCHEDULE, "policies": change}, f"policies.{field}"
    elif kind is InterventionPolicy:
        yield "/schedules", {**SCHEDULE, "policies": {"intervention": change}}, f"policies.intervention.{field}"
    elif kind is RetryPolicy:
        yield "/schedules", {**SCHEDULE, "policies": {"retry": change}}, f"policies.retry.{field}"
        yield "/runs", {**RUN, "policy": {"retry": change}}, f"policy.retry.{field}"
    elif kind in TARGETS:
        target = {**TARGETS[kind], **change}
        yield "/schedules", {**SCHEDULE, "target": target}, f"target.{field}"
        yield "/runs", {"target": target}, f"target.{field}"
    elif kind is RunPolicy:
        yield "/runs", {**RUN, "policy": change}, f"policy.{field}"
    else:
        yield "/runs", {**RUN, **change}, field


def test_the_list_has_every_field_of_every_type() -> None:
    assert {*get_args(Trigger), *get_args(Target)} - {SegmentTarget} <= set(WRONG)
    for kind, wrong in WRONG.items():
        assert set(wrong) == {one.encode_name for one in fields(kind)}, kind


@pytest.mark.parametrize("kind", WRONG, ids=lambda kind: kind.__name__)
async def test_a_wrong_field_is_named_with_a_remedy_and_nothing_is_stored(
    empty_world: World, kind: type[Struct]
) -> None:
    before = await empty_world.row_versions()
    for field, values in WRONG[kind].items():
        for value in values:
            for path, body, named in requests(kind, field, value):
                await refuse(empty_world, path, body, named)
        for path, body, named in requests(kind, "unheard_of", 1):
            await refuse(empty_world, path, body, named)
    assert await empty_world.row_versions() == before


async def refuse(world: World, path: str, body: dict[str, Any], named: str) -> None:
    answer = await world.call("POST", path, body)
    shown = str(body)[:300]
    assert answer.status_code == 422, (shown, answer.text[:300])
    problems = answer.json()["errors"]
    aliases = {named, named.replace("target.", "")} if path == "/runs" else {named}
    if named == "target" and "task" in body:
        aliases.add("task")
    assert any(one["field"].startswith(tuple(aliases)) for one in problems), (shown, problems)
    assert all(one["problem"] and one["remedy"] for one in problems), problems
    if path == "/schedules":
        kept = await world.call("POST", "/schedules/preview", body, role="viewer")
        assert kept.json()["errors"] == problems
