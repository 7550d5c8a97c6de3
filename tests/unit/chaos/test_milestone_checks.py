"""Each bug of milestones that chaos is to find, planted in facts that are otherwise sound."""

from collections.abc import Callable
from typing import TypeAlias

import pytest
from msgspec.structs import replace

from tests.chaos.checker import check, figures_of
from tests.chaos.facts import Facts, MarkerFact, RunFact
from tests.unit.chaos.sound_facts import MILESTONES, RETRIED, SECOND, milestone_run_id, sound_facts

Bug: TypeAlias = Callable[[Facts], Facts]

SOUND = sound_facts()
PLAIN = MILESTONES[3].label
MADE = milestone_run_id(PLAIN, 1)
FIRST, SECOND_ONE = milestone_run_id(RETRIED, 1), milestone_run_id(RETRIED, 2)


def change_run(name: str, **changes: object) -> Bug:
    return lambda facts: replace(
        facts, runs=tuple(replace(run, **changes) if run.id == name else run for run in facts.runs)
    )


def change_marker(label: str, **changes: object) -> Bug:
    return lambda facts: replace(
        facts, markers=tuple(replace(one, **changes) if one.label == label else one for one in facts.markers)
    )


def change_milestone(label: str, **changes: object) -> Bug:
    return lambda facts: replace(
        facts, milestones=tuple(replace(one, **changes) if one.label == label else one for one in facts.milestones)
    )


def without_run(name: str) -> Bug:
    return lambda facts: replace(
        facts,
        runs=tuple(run for run in facts.runs if run.id != name),
        effects=tuple(effect for effect in facts.effects if effect.run_id != name),
        attempts=tuple(attempt for attempt in facts.attempts if attempt.run_id != name),
    )


def and_run(of: str, **changes: object) -> Bug:
    """Another run like it, with a work of its own, as if two had begun at once."""

    def plant(facts: Facts) -> Facts:
        run = next(run for run in facts.runs if run.id == of)
        effect = next(effect for effect in facts.effects if effect.run_id == of)
        twin: RunFact = replace(run, **{"id": "twin", **changes})
        return replace(
            facts,
            runs=(*facts.runs, twin),
            effects=(*facts.effects, replace(effect, run_id="twin", trigger=twin.trigger)),
        )

    return plant


def without_effects(name: str) -> Bug:
    return lambda facts: replace(facts, effects=tuple(one for one in facts.effects if one.run_id != name))


def both(*bugs: Bug) -> Bug:
    def plant(facts: Facts) -> Facts:
        for bug in bugs:
            facts = bug(facts)
        return facts

    return plant


def _unheard_of(facts: Facts) -> Facts:
    return replace(facts, milestones=tuple(one for one in facts.milestones if one.label != PLAIN))


def _unmarked(facts: Facts) -> Facts:
    return replace(facts, markers=tuple(one for one in facts.markers if one.label != PLAIN))


def _stray_marker(facts: Facts) -> Facts:
    return replace(facts, markers=(*facts.markers, MarkerFact("SOON/nobody", MADE, 1, 0, MADE, 1)))


def _forgetful(facts: Facts) -> Facts:
    return replace(facts, attempts=tuple(one for one in facts.attempts if one.run_id != FIRST))


BUGS: dict[str, tuple[str, Bug]] = {
    "a milestone is never made": (
        "milestone missing",
        both(change_milestone(PLAIN, state="waiting"), without_run(MADE)),
    ),
    "a milestone is given up": ("milestone missing", change_milestone(PLAIN, state="skipped")),
    "a subject's milestone is not even known": ("milestone missing", _unheard_of),
    "a milestone is done without a marker": ("marker missing", _unmarked),
    "a marker is of nobody": ("milestone out of plan", _stray_marker),
    "something is made of nobody": ("milestone out of plan", and_run(MADE, trigger="SOON/nobody")),
    "a tick and the leader both make it": ("milestone made twice", and_run(MADE)),
    "it is made again later": ("milestone made twice", and_run(MADE, order_no=2)),
    "a marker is of a run that failed": ("marker without success", change_marker(RETRIED, run_id=FIRST)),
    "a marker is of a run that is not there": ("marker without success", change_marker(PLAIN, run_id="gone")),
    "a marker is of another's run": ("marker without success", change_marker(PLAIN, run_id=SECOND_ONE)),
    "a marker has no result": ("marker without result", change_marker(PLAIN, result_run=None, result_attempt=None)),
    "a marker has a stale attempt's result": ("marker without result", change_marker(PLAIN, result_attempt=2)),
    "a marker has another run's result": ("marker without result", change_marker(PLAIN, result_run=FIRST)),
    "what is marked was never made": ("marker without effect", without_effects(MADE)),
    "a marker is written apart from the run's end": ("marker at another time", change_marker(PLAIN, completed_us=1)),
    "two ticks begin the same attempt": ("attempt begun twice", and_run(FIRST, state="failed", result_attempt=None)),
    "an attempt is left out of the count": ("milestone miscounted", change_milestone(RETRIED, attempts_count=1)),
    "an attempt's run is gone": ("milestone miscounted", without_run(FIRST)),
    "an attempt is counted that never ran": ("milestone miscounted", change_milestone(PLAIN, attempts_count=2)),
    "a failure costs two attempts": ("milestone tried at will", and_run(FIRST, order_no=3)),
    "a failure is taken for a success": ("milestone tried at will", without_run(SECOND_ONE)),
    "an attempt does not wait": ("back-off cut short", change_run(SECOND_ONE, started_us=4_790_000)),
    "two attempts run at once": ("back-off cut short", change_run(FIRST, finished_us=5 * SECOND)),
    "a milestone is made early": ("milestone made early", change_run(MADE, started_us=4 * SECOND - 1)),
    "a milestone is told another time": ("milestone of another time", change_run(MADE, fire_at_us=5 * SECOND)),
    "a failed attempt leaves no trace": ("attempts not contiguous", _forgetful),
    "a milestone's run waits for ever": ("still live", change_run(MADE, state="queued", is_live=True)),
    "a stale token makes a milestone": ("stale end", change_run(MADE, result_attempt=2)),
    "too few are made": ("too little seen", lambda facts: replace(facts, milestones_planned=MILESTONES[2:])),
    "no tick made any": (
        "too little seen",
        lambda facts: replace(facts, runs=tuple(replace(run, created_by="leader") for run in facts.runs)),
    ),
    "the leader made none": (
        "too little seen",
        lambda facts: replace(facts, runs=tuple(replace(run, created_by="ticker") for run in facts.runs)),
    ),
}


@pytest.mark.parametrize("bug", BUGS)
def test_each_planted_bug_is_named(bug: str) -> None:
    kind, plant = BUGS[bug]

    found = check(plant(SOUND))

    assert kind in {violation.kind for violation in found}


def test_a_milestone_that_is_made_by_two_at_once_is_told_by_its_label() -> None:
    found = [one for one in check(and_run(MADE)(SOUND)) if one.kind == "milestone made twice"]

    assert [(one.subject, one.detail) for one in found] == [(PLAIN, "2 runs made it, with 2 effects")]


def test_milestones_of_nobody_do_not_help_to_the_bar() -> None:
    padded = and_run(MADE, trigger="SOON/nobody")(SOUND)

    assert figures_of(padded).milestones == figures_of(SOUND).milestones
