"""Manifests: what is read, what differs, and in which order it is made so."""

from typing import Any

import msgspec
import pytest
from msgspec import structs

from rota.core.manifest import (
    MANAGED_LABEL,
    ExistingSchedule,
    field_differences,
    plan_manifest,
    read_manifest,
)
from rota.domain.errors import DomainError
from rota.domain.schedule import ScheduleDraft


def entry(name: str = "nightly", **changes: object) -> dict[str, Any]:
    base = {
        "name": name,
        "triggers": [{"kind": "cron", "expression": "0 2 * * *"}],
        "target": {"kind": "task", "task": "report"},
    }
    return {**base, **changes}


def drafts_of(*entries: dict[str, Any], managed_as: str | None = None) -> tuple[ScheduleDraft, ...]:
    return read_manifest({"schedules": list(entries)}, managed_as=managed_as)


def stored(draft: ScheduleDraft) -> ExistingSchedule:
    return ExistingSchedule(f"id-{draft.name}", '"1"', draft)


def test_a_manifest_that_is_in_place_plans_nothing() -> None:
    drafts = drafts_of(entry("a"), entry("b"))

    steps = plan_manifest(drafts, {draft.name: stored(draft) for draft in drafts})

    assert [step.verb for step in steps] == ["unchanged", "unchanged"]


def test_new_names_are_created_and_changed_ones_replaced_with_their_differences() -> None:
    (before,) = drafts_of(entry("a"))
    after, new = drafts_of(entry("a", policies={"priority": 5, "timeout_seconds": 10}), entry("b"))

    replaced, created = plan_manifest((after, new), {"a": stored(before)})

    assert (replaced.verb, created.verb) == ("replace", "create")
    assert {(one.field, one.before, one.after) for one in replaced.differences} == {
        ("policies.priority", 0, 5),
        ("policies.timeout_seconds", 3600.0, 10.0),
    }


def test_spelling_out_a_default_is_no_difference() -> None:
    plain, spelled = drafts_of(entry("a"), entry("b", policies={"overlap": "skip", "priority": 0}))

    assert field_differences(plain, structs.replace(spelled, name="a")) == ()


def test_a_field_that_is_cleared_is_a_difference() -> None:
    labelled, plain = drafts_of(entry("a", labels={"team": "x"}), entry("b"))

    differences = field_differences(labelled, structs.replace(plain, name="a"))

    assert [(one.field, one.before, one.after) for one in differences] == [("labels.team", "x", None)]


def test_what_the_manifest_does_not_name_is_left_alone() -> None:
    (other,) = drafts_of(entry("other"))

    steps = plan_manifest(drafts_of(entry("a")), {"other": stored(other)})

    assert [(step.verb, step.name) for step in steps] == [("create", "a")]


def test_prune_deletes_only_what_the_same_manifest_made() -> None:
    (mine,) = drafts_of(entry("mine"), managed_as="site")
    (another,) = drafts_of(entry("another"), managed_as="elsewhere")
    (by_hand,) = drafts_of(entry("by-hand"))
    existing = {one.name: stored(one) for one in (mine, another, by_hand)}

    steps = plan_manifest(drafts_of(entry("new"), managed_as="site"), existing, prune_label="site")

    assert [(step.verb, step.name) for step in steps] == [("create", "new"), ("delete", "mine")]
    assert mine.labels[MANAGED_LABEL] == "site"


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (None, ""),
        ([], ""),
        ({}, "schedules"),
        ({"schedules": {}}, "schedules"),
        ({"schedules": []}, "schedules"),
        ({"schedule": [], "schedules": [entry()]}, "schedule"),
        ({"schedules": [entry(), 7]}, "schedules[1]"),
        ({"schedules": [entry(triggers=[{"kind": "cron"}])]}, "schedules[0].triggers[0].expression"),
        ({"schedules": [entry(triggers=[{"kind": "moon"}])]}, "schedules[0].triggers[0].kind"),
        ({"schedules": [entry(polices={})]}, "schedules[0].polices"),
        ({"schedules": [entry(policies={"overlap": "never"})]}, "schedules[0].policies.overlap"),
        ({"schedules": [entry(policies={"priority": "high"})]}, "schedules[0].policies.priority"),
        ({"schedules": [{"name": "x"}]}, "schedules[0].triggers"),
        ({"schedules": [entry("a"), entry("a")]}, "schedules"),
    ],
)
def test_a_wrong_manifest_names_field_problem_and_remedy(document: object, field: str) -> None:
    with pytest.raises(DomainError) as refused:
        read_manifest(document)

    assert refused.value.code == "INVALID_INPUT"
    assert field in {problem.field for problem in refused.value.problems}
    assert all(problem.problem and problem.remedy for problem in refused.value.problems)


def test_every_wrong_entry_is_named_at_once() -> None:
    with pytest.raises(DomainError) as refused:
        drafts_of(entry(target={"kind": "x"}), entry("b"), entry("c", triggers=3))

    assert [problem.field for problem in refused.value.problems] == [
        "schedules[0].target.kind",
        "schedules[2].triggers",
    ]


def test_a_default_that_came_back_from_the_api_is_no_difference() -> None:
    (wanted,) = drafts_of(entry("a"))
    told = entry("a", policies={"retry": {"base_seconds": 5.0, "factor": 2.0, "cap_seconds": 120.0}})
    (existing,) = read_manifest(msgspec.json.decode(msgspec.json.encode({"schedules": [told]})))

    assert field_differences(existing, wanted) == ()
