"""Judges runs that wait for others: each ran exactly when its rule held, and after all that it waited for.

Pure. What became of a node follows from the plan alone: which nodes fail is planned, and a rule looks at nothing else.
"""

from collections import Counter
from collections.abc import Iterator

from tests.chaos.facts import Facts, PlannedNode, RunFact
from tests.chaos.violation import Violation


def each_node_has_one_run(facts: Facts) -> Iterator[Violation]:
    counts = Counter(run.trigger for run in _runs(facts))
    known = {node.name for node in facts.nodes_planned}
    for name in sorted(known | counts.keys()):
        if name not in known:
            yield Violation("node out of plan", name, "nobody asked for it")
        elif counts[name] != 1:
            yield Violation("node run twice" if counts[name] else "node missing", name, f"{counts[name]} runs")


def each_node_ends_as_its_rule_says(facts: Facts) -> Iterator[Violation]:
    expected = expected_ends(facts.nodes_planned)
    for run in _runs(facts):
        if run.trigger in expected and run.state != expected[run.trigger]:
            yield Violation("rule broken", run.trigger, f"{run.state}, by its rule {expected[run.trigger]}")


def no_node_runs_before_its_upstreams_ended(facts: Facts) -> Iterator[Violation]:
    """By its last attempt and by what its handlers tell of all of them."""
    runs = {run.trigger: run for run in _runs(facts)}
    begun: dict[str, int] = {}
    for effect in facts.effects:
        begun[effect.trigger] = min(effect.started_us, begun.get(effect.trigger, effect.started_us))
    for node in facts.nodes_planned:
        run = runs.get(node.name)
        starts = [at for at in (run.started_us if run else None, begun.get(node.name)) if at is not None]
        for name in node.upstreams if starts else ():
            ended_us = runs[name].finished_us if name in runs else None
            if ended_us is None or min(starts) < ended_us:
                problem = f"at work at {min(starts)}, {name} ended at {ended_us}"
                yield Violation("began before its upstreams ended", node.name, problem)


def what_is_skipped_does_nothing(facts: Facts) -> Iterator[Violation]:
    skipped = {run.id: run for run in _runs(facts) if run.state == "skipped"}
    for run in skipped.values():
        if run.attempts_count:
            yield Violation("skipped but tried", run.trigger, f"{run.attempts_count} attempts")
    for effect in facts.effects:
        if effect.run_id in skipped:
            yield Violation("skipped but done", effect.trigger, f"attempt {effect.attempt_no} worked")


CHECKS = (
    each_node_has_one_run,
    each_node_ends_as_its_rule_says,
    no_node_runs_before_its_upstreams_ended,
    what_is_skipped_does_nothing,
)


def expected_ends(nodes: tuple[PlannedNode, ...]) -> dict[str, str]:
    """Nodes are planned after those that they wait for."""
    ends: dict[str, str] = {}
    for node in nodes:
        succeeded = [ends[name] == "succeeded" for name in node.upstreams]
        holds = {"all_succeeded": all(succeeded), "any_succeeded": any(succeeded), "always": True}[node.rule]
        runs = holds or not succeeded
        ends[node.name] = "skipped" if not runs else "failed" if node.fails else "succeeded"
    return ends


def let_go_and_skipped(facts: Facts) -> tuple[int, int]:
    """How many nodes of the plan waited and then ran, and how many were skipped."""
    waiting = {node.name for node in facts.nodes_planned if node.upstreams}
    ends = {run.trigger: run.state for run in _runs(facts) if run.trigger in waiting}
    skipped = sum(state == "skipped" for state in ends.values())
    return len(ends) - skipped, skipped


def _runs(facts: Facts) -> list[RunFact]:
    return [run for run in facts.runs if run.origin == "node"]
