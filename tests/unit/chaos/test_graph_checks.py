"""Each bug of dependencies that chaos is to find, planted in facts that are otherwise sound."""

from collections.abc import Callable
from typing import TypeAlias

import pytest
from msgspec.structs import replace

from tests.chaos.checker import check
from tests.chaos.facts import EffectFact, Facts, PlannedNode
from tests.chaos.graph_checks import expected_ends
from tests.unit.chaos.sound_facts import SECOND, sound_facts

Bug: TypeAlias = Callable[[Facts], Facts]

SOUND = sound_facts()
FIRST, ALWAYS, SKIPPED, LAST = "g4/a", "g4/b", "g4/c", "g4/d"


def run(name: str, **changes: object) -> Bug:
    return lambda facts: replace(
        facts, runs=tuple(replace(one, **changes) if one.id == name else one for one in facts.runs)
    )


def effect(name: str, **changes: object) -> Bug:
    return lambda facts: replace(
        facts, effects=tuple(replace(one, **changes) if one.run_id == name else one for one in facts.effects)
    )


def without_run(name: str) -> Bug:
    return lambda facts: replace(facts, runs=tuple(one for one in facts.runs if one.id != name))


def with_effect(name: str) -> Bug:
    done = EffectFact(name, 1, name, 0, 5_500_000, 5_550_000, "worker-2.1")
    return lambda facts: replace(facts, effects=(*facts.effects, done))


def with_second_run(name: str) -> Bug:
    return lambda facts: replace(
        facts, runs=(*facts.runs, *(replace(one, id="again") for one in facts.runs if one.id == name))
    )


BUGS: dict[str, tuple[str, Bug]] = {
    "a node is never born": ("node missing", without_run(ALWAYS)),
    "a node is born twice": ("node run twice", with_second_run(ALWAYS)),
    "a node comes from nowhere": ("node out of plan", run(ALWAYS, trigger="g4/z")),
    "what should be skipped runs": ("rule broken", run(SKIPPED, state="succeeded", started_us=1, attempts_count=1)),
    "what should run is skipped": ("rule broken", run(ALWAYS, state="skipped")),
    "what fails for good succeeds": ("rule broken", run(FIRST, state="succeeded")),
    "a node still waits": ("still live", run(LAST, state="queued", is_live=True)),
    "a node begins too early": ("began before its upstreams ended", run(LAST, started_us=5 * SECOND)),
    "its last upstream ended after it had begun": (
        "began before its upstreams ended",
        run(SKIPPED, finished_us=5_700_000),
    ),
    "an attempt before the last one began too early": (
        "began before its upstreams ended",
        effect(LAST, started_us=5_100_000),
    ),
    "what a node waited for never ended": ("began before its upstreams ended", run(FIRST, finished_us=None)),
    "a skipped node was tried": ("skipped but tried", run(SKIPPED, attempts_count=1)),
    "a skipped node has worked": ("skipped but done", with_effect(SKIPPED)),
    "nothing is ever skipped": (
        "too little seen",
        lambda facts: replace(facts, runs=tuple(one for one in facts.runs if one.state != "skipped")),
    ),
    "a skipped node has no end": ("end without time", run(SKIPPED, finished_us=None)),
}


@pytest.mark.parametrize("bug", BUGS)
def test_each_planted_bug_is_named(bug: str) -> None:
    kind, plant = BUGS[bug]

    found = check(plant(SOUND))

    assert kind in {violation.kind for violation in found}


@pytest.mark.parametrize(
    ("rule", "ends", "expected"),
    [
        ("all_succeeded", (False, False), "succeeded"),
        ("all_succeeded", (False, True), "skipped"),
        ("any_succeeded", (False, True), "succeeded"),
        ("any_succeeded", (True, True), "skipped"),
        ("always", (True, True), "succeeded"),
    ],
)
def test_what_is_expected_follows_from_the_rule(rule: str, ends: tuple[bool, bool], expected: str) -> None:
    upstreams = tuple(PlannedNode(str(no), (), "always", fails) for no, fails in enumerate(ends))

    found = expected_ends((*upstreams, PlannedNode("last", ("0", "1"), rule, fails=False)))  # pyright: ignore[reportArgumentType]

    assert found["last"] == expected
