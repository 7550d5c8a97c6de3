"""Judges what became of milestones: each is made once in effect, not before its time, and what is done has its result.

Pure, as the rest of the checker. That each effect is of a recorded attempt, and no attempt is held twice, is judged
there for all runs alike.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.chaos.facts import Facts, RunFact
from tests.chaos.violation import Violation

LEADER = "leader"
# As the plan says in its schedules; the last one repeats.
RETRY_SECONDS = (0.5, 1.5)


def each_milestone_is_done_at_the_end(facts: Facts) -> Iterator[Violation]:
    found = {one.label: one for one in facts.milestones}
    marked = Counter(marker.label for marker in facts.markers)
    for planned in facts.milestones_planned:
        milestone = found.get(planned.label)
        if milestone is None or milestone.state != "done":
            yield Violation("milestone missing", planned.label, milestone.state if milestone else "nobody knows of it")
        if marked[planned.label] != 1:
            yield Violation("marker missing", planned.label, f"{marked[planned.label]} done markers")
    known = {planned.label for planned in facts.milestones_planned}
    strays = {*found, *marked, *(run.trigger for run in _runs(facts))} - known
    for label in sorted(strays):
        yield Violation("milestone out of plan", label, "nobody asked for it")


def each_milestone_is_made_once(facts: Facts) -> Iterator[Violation]:
    """One run of it has succeeded, and worked in the attempt that did."""
    effects = Counter((effect.run_id, effect.attempt_no) for effect in facts.effects)
    for label, runs in _runs_by_label(facts).items():
        made = [run for run in runs if run.state == "succeeded"]
        done = sum(effects[run.id, run.attempts_count] for run in made)
        if len(made) > 1 or done > 1:
            yield Violation("milestone made twice", label, f"{len(made)} runs made it, with {done} effects")


def each_marker_has_its_result(facts: Facts) -> Iterator[Violation]:
    """Done implies that the result exists: that of the attempt that succeeded, which has its side effect."""
    runs = {run.id: run for run in _runs(facts)}
    worked = {(effect.run_id, effect.attempt_no) for effect in facts.effects}
    for marker in facts.markers:
        run = runs.get(marker.run_id)
        if run is None or run.state != "succeeded" or run.trigger != marker.label:
            yield Violation("marker without success", marker.label, f"run {marker.run_id} did not make it")
        elif (marker.result_run, marker.result_attempt) != (run.id, run.attempts_count):
            told = f"attempt {marker.result_attempt} of {marker.result_run}"
            yield Violation("marker without result", marker.label, f"it has that of {told}, made by {run.id}")
        elif (run.id, run.attempts_count) not in worked:
            yield Violation("marker without effect", marker.label, f"run {run.id} did nothing")
        elif marker.completed_us != run.finished_us:
            yield Violation("marker at another time", marker.label, f"{marker.completed_us}, not {run.finished_us}")


def attempts_at_a_milestone_are_one_after_another(facts: Facts) -> Iterator[Violation]:
    """Of many who ask at once one begins: attempts are numbered without a gap, none begins within a back-off."""
    planned = {one.label: one for one in facts.milestones_planned}
    counted = {one.label: one.attempts_count for one in facts.milestones}
    for label, runs in _runs_by_label(facts).items():
        numbers = [run.order_no for run in runs]
        if len(set(numbers)) < len(numbers):
            yield Violation("attempt begun twice", label, f"attempts {numbers}")
        elif numbers != list(range(1, counted.get(label, 0) + 1)):
            yield Violation("milestone miscounted", label, f"attempts {numbers}, {counted.get(label)} are counted")
        if label in planned and len(runs) != planned[label].failures + 1:
            problem = f"{len(runs)} attempts, of which {planned[label].failures} were to fail"
            yield Violation("milestone tried at will", label, problem)
        for place, (before, after) in enumerate(itertools.pairwise(runs)):
            ready_us = (before.finished_us or 0) + round(RETRY_SECONDS[min(place, len(RETRY_SECONDS) - 1)] * 1e6)
            if before.finished_us is None or after.started_us is None or after.started_us < ready_us:
                problem = f"attempt {after.order_no} began at {after.started_us}, the back-off ended at {ready_us}"
                yield Violation("back-off cut short", label, problem)


def no_milestone_is_made_before_its_time(facts: Facts) -> Iterator[Violation]:
    due = {planned.label: planned.due_us for planned in facts.milestones_planned}
    for run in _runs(facts):
        due_us = due.get(run.trigger)
        if due_us is not None and run.fire_at_us != due_us:
            yield Violation("milestone of another time", run.trigger, f"told {run.fire_at_us}, is due at {due_us}")
        if due_us is not None and run.started_us is not None and run.started_us < due_us:
            yield Violation("milestone made early", run.trigger, f"begun at {run.started_us}, due at {due_us}")


CHECKS = (
    each_milestone_is_done_at_the_end,
    each_milestone_is_made_once,
    each_marker_has_its_result,
    attempts_at_a_milestone_are_one_after_another,
    no_milestone_is_made_before_its_time,
)


def made_labels(facts: Facts) -> set[str]:
    """Of the plan, so that strays do not help to reach the bar."""
    return {one.label for one in facts.milestones_planned} & {
        run.trigger for run in _runs(facts) if run.state == "succeeded"
    }


def begun_by_ticks_and_leader(facts: Facts) -> tuple[int, int]:
    led = sum(run.created_by == LEADER for run in _runs(facts))
    return len(_runs(facts)) - led, led


def _runs(facts: Facts) -> list[RunFact]:
    return [run for run in facts.runs if run.origin == "milestone"]


def _runs_by_label(facts: Facts) -> dict[str, list[RunFact]]:
    found: defaultdict[str, list[RunFact]] = defaultdict(list)
    for run in sorted(_runs(facts), key=lambda one: one.order_no):
        found[run.trigger].append(run)
    return found
