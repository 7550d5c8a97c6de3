"""Each bug of fan-outs that chaos is to find, planted in facts that are otherwise sound."""

from collections.abc import Callable
from typing import TypeAlias

import pytest
from msgspec.structs import replace

from tests.chaos.checker import check, figures_of
from tests.chaos.facts import EffectFact, Facts, FanOutFact, SegmentFact
from tests.unit.chaos.sound_facts import RETRIED_SEGMENT, SECOND, run_id, segment_run_id, sound_facts

Bug: TypeAlias = Callable[[Facts], Facts]

SOUND = sound_facts()
PARENT = run_id("f0", 5)
CHILD, SIBLING = segment_run_id(5, 2), segment_run_id(5, 3)


def change_run(name: str, **changes: object) -> Bug:
    return lambda facts: replace(
        facts, runs=tuple(replace(run, **changes) if run.id == name else run for run in facts.runs)
    )


def change_fan_out(**changes: object) -> Bug:
    return lambda facts: replace(
        facts, fan_outs=tuple(replace(one, **changes) if one.run_id == PARENT else one for one in facts.fan_outs)
    )


def change_segment(**changes: object) -> Bug:
    return lambda facts: replace(
        facts, segments=tuple(replace(one, **changes) if one.child_id == CHILD else one for one in facts.segments)
    )


def change_effect(name: str, **changes: object) -> Bug:
    return lambda facts: replace(
        facts, effects=tuple(replace(one, **changes) if one.run_id == name else one for one in facts.effects)
    )


def without_run(name: str) -> Bug:
    return lambda facts: replace(
        facts,
        runs=tuple(run for run in facts.runs if run.id != name),
        effects=tuple(effect for effect in facts.effects if effect.run_id != name),
    )


def without_segment(facts: Facts) -> Facts:
    return replace(facts, segments=tuple(one for one in facts.segments if one.child_id != CHILD))


def without_snapshot(facts: Facts) -> Facts:
    return replace(facts, fan_outs=tuple(one for one in facts.fan_outs if one.run_id != PARENT))


def and_twin(**changes: object) -> Bug:
    """The segment's work a second time, by another run."""

    def plant(facts: Facts) -> Facts:
        run = replace(next(run for run in facts.runs if run.id == CHILD), **{"id": "twin", **changes})
        effect = replace(next(effect for effect in facts.effects if effect.run_id == CHILD), run_id="twin")
        return replace(facts, runs=(*facts.runs, run), effects=(*facts.effects, effect))

    return plant


def and_snapshot(name: str) -> Bug:
    return lambda facts: replace(facts, fan_outs=(*facts.fan_outs, FanOutFact(name, 25, 3, 25, 3, 3)))


def and_segment(child: str | None) -> Bug:
    row = SegmentFact(PARENT, 4, 0, child, "succeeded")
    return lambda facts: replace(facts, segments=(*facts.segments, row))


def both(*bugs: Bug) -> Bug:
    def plant(facts: Facts) -> Facts:
        for bug in bugs:
            facts = bug(facts)
        return facts

    return plant


def _other_items_before(facts: Facts) -> Facts:
    """The attempt that failed had been given other items than the one that succeeded."""
    effect = EffectFact(RETRIED_SEGMENT, 1, "f0", 3 * SECOND, 3_500_000, 3_550_000, "worker-2.1", (10, 11, 24))
    return replace(facts, effects=(*facts.effects, effect))


TEN_TO_NINETEEN = tuple(range(10, 20))

BUGS: dict[str, tuple[str, Bug]] = {
    "nothing was planned": ("snapshot missing", without_snapshot),
    "two planners both wrote theirs": ("snapshot missing", and_snapshot(PARENT)),
    "a snapshot is of nobody": ("snapshot of no run", and_snapshot("gone")),
    "half a plan was taken for the whole": ("snapshot of other items", change_fan_out(items_total=12)),
    "items that were found twice count twice": ("snapshot of other items", change_fan_out(items_total=50)),
    "a segment is left out": ("cut wrongly", without_segment),
    "a segment is cut too many": ("cut wrongly", and_segment(None)),
    "a segment's size is wrong": ("cut wrongly", change_segment(items_count=9)),
    "the snapshot counts other segments": ("cut wrongly", change_fan_out(segments_count=2)),
    "a segment's run was never born": ("segment without run", without_run(CHILD)),
    "a segment has no child": ("segment without run", change_segment(child_id=None)),
    "a segment's child is another's": ("segment without run", change_segment(child_id=SIBLING)),
    "a segment's end was not counted": ("segment of another state", change_segment(state="open")),
    "a segment's run is of no segment": ("run of no segment", and_twin(order_no=9)),
    "a segment's run is of another parent": ("run of no segment", change_run(CHILD, parent_id=run_id("f0", 6))),
    "a launch is repeated": ("segment run twice", and_twin()),
    "an item is never worked on": ("item missing", change_effect(CHILD, items=TEN_TO_NINETEEN[:-1])),
    "an item is in two segments": ("item covered twice", change_effect(CHILD, items=(*TEN_TO_NINETEEN, 20))),
    "an item is twice in one segment": ("item covered twice", change_effect(CHILD, items=(*TEN_TO_NINETEEN, 10))),
    "an item is worked on by two runs": ("item covered twice", and_twin()),
    "an item was never selected": ("item out of plan", change_effect(CHILD, items=(*TEN_TO_NINETEEN, 25))),
    "a segment is cut anew for its next attempt": ("segment changed", _other_items_before),
    "only a failed attempt did the work": ("item missing", change_effect(CHILD, attempt_no=2)),
    "a parent ends before its segments": ("ended before its segments", change_run(CHILD, finished_us=5_900_000)),
    "a parent is forgotten": ("fan-out forgotten", change_run(PARENT, finished_us=27 * SECOND)),
    "a parent waits for ever": ("still live", change_run(PARENT, state="running", is_live=True)),
    "a parent fails although all succeeded": ("unexpected end", change_run(PARENT, state="failed")),
    "a segment fails": ("unexpected end", change_run(CHILD, state="failed")),
    "an end is counted twice": ("segments miscounted", change_fan_out(result_succeeded=4)),
    "a parent has no counts": (
        "segments miscounted",
        change_fan_out(result_items=None, result_segments=None, result_succeeded=None),
    ),
    "a stale token ends a segment": ("stale end", change_run(RETRIED_SEGMENT, result_attempt=1)),
    "a failed segment leaves no trace": (
        "attempts not contiguous",
        change_run(CHILD, attempts_count=2, result_attempt=2),
    ),
    "too few segments": ("too little seen", lambda facts: replace(facts, fan_outs=facts.fan_outs[3:])),
}


@pytest.mark.parametrize("bug", BUGS)
def test_each_planted_bug_is_named(bug: str) -> None:
    kind, plant = BUGS[bug]

    found = check(plant(SOUND))

    assert kind in {violation.kind for violation in found}


def test_a_launch_that_is_repeated_is_told_by_its_run() -> None:
    found = {one.kind: (one.subject, one.detail) for one in check(and_twin()(SOUND))}

    assert found["segment run twice"] == (PARENT, "2 runs of segment 2")
    assert found["item covered twice"] == (PARENT, "item 19: 2")


def test_runs_of_no_plan_do_not_help_to_the_bar() -> None:
    padded = both(and_twin(parent_id="gone"), and_twin())(SOUND)

    assert figures_of(padded).segments == figures_of(SOUND).segments
