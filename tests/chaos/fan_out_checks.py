"""Judges what became of fan-outs: one segment covers each item, one run each segment, and the parent ends last.

Pure, as the rest of the checker. That a segment's run is ended by its own attempt, and that each effect is of a
recorded one, is judged there for all runs alike.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.chaos.facts import SEGMENT_SIZE, Facts, RunFact, SegmentFact
from tests.chaos.outage_checks import away_us
from tests.chaos.violation import Violation

# The leader counts the ends and settles: within moments, or when there is a leader again.
UNSETTLED_SECONDS_MAX = 20.0


def each_fan_out_has_its_snapshot(facts: Facts) -> Iterator[Violation]:
    items = {trigger.name: trigger.items for trigger in facts.planned}
    counts = Counter(snapshot.run_id for snapshot in facts.fan_outs)
    parents = {run.id: run for run in _runs(facts, "fan-out")}
    for run in parents.values():
        if counts[run.id] != 1:
            yield Violation("snapshot missing", run.id, f"{counts[run.id]} snapshots")
    for snapshot in facts.fan_outs:
        run = parents.get(snapshot.run_id)
        if run is None:
            yield Violation("snapshot of no run", snapshot.run_id, "its run is not there, or no fan-out")
        elif snapshot.items_total != items.get(run.trigger):
            problem = f"{snapshot.items_total} items, {items.get(run.trigger)} were selected"
            yield Violation("snapshot of other items", run.id, problem)


def each_segment_has_one_run(facts: Facts) -> Iterator[Violation]:
    """Numbered without a gap, as many as the snapshot's items need; and no run is of a segment that is not there."""
    cut, children = _segments_by_run(facts), Counter((run.parent_id, run.order_no) for run in _runs(facts, "segment"))
    runs = {run.id: run for run in _runs(facts, "segment")}
    for snapshot in facts.fan_outs:
        segments = cut.get(snapshot.run_id, [])
        numbers, sizes = sorted(one.segment_no for one in segments), sum(one.items_count for one in segments)
        needed = -(-snapshot.items_total // SEGMENT_SIZE)
        if numbers != list(range(1, needed + 1)) or snapshot.segments_count != needed or sizes != snapshot.items_total:
            problem = f"segments {numbers} of {sizes} items, {needed} are needed, {snapshot.segments_count} are told"
            yield Violation("cut wrongly", snapshot.run_id, problem)
    for segment in facts.segments:
        child = runs.get(segment.child_id or "")
        if child is None or (child.parent_id, child.order_no) != (segment.run_id, segment.segment_no):
            yield Violation("segment without run", segment.run_id, f"segment {segment.segment_no}: {segment.child_id}")
        elif segment.state != child.state:
            yield Violation("segment of another state", child.id, f"{segment.state}, its run {child.state}")
    known = {(one.run_id, one.segment_no): one.child_id for one in facts.segments}
    for run in runs.values():
        if known.get((run.parent_id, run.order_no)) != run.id:
            yield Violation("run of no segment", run.id, f"segment {run.order_no} of {run.parent_id} is not its work")
    for (parent_id, segment_no), count in children.items():
        if count > 1:
            yield Violation("segment run twice", parent_id, f"{count} runs of segment {segment_no}")


def each_item_is_covered_once(facts: Facts) -> Iterator[Violation]:
    """By the work of the attempts that succeeded; by whatever else worked only within the same segment."""
    items = {trigger.name: trigger.items for trigger in facts.planned}
    children = {run.id: run for run in _runs(facts, "segment")}
    covered: defaultdict[str, Counter[int]] = defaultdict(Counter)
    given: dict[str, frozenset[int]] = {}
    for effect in facts.effects:
        run = children.get(effect.run_id)
        if run is None:
            continue
        if given.setdefault(run.id, frozenset(effect.items)) != frozenset(effect.items):
            yield Violation("segment changed", run.id, f"attempt {effect.attempt_no} was given other items")
        if run.state == "succeeded" and effect.attempt_no == run.attempts_count:
            covered[run.parent_id].update(effect.items)
    for parent in _runs(facts, "fan-out"):
        selected = range(items.get(parent.trigger, 0))
        for item in selected:
            if (count := covered[parent.id][item]) != 1:
                yield Violation("item covered twice" if count else "item missing", parent.id, f"item {item}: {count}")
        for item in covered[parent.id].keys() - set(selected):
            yield Violation("item out of plan", parent.id, f"item {item} was not selected")


def each_parent_ends_after_its_segments(facts: Facts) -> Iterator[Violation]:
    """Soon after the last one, with the right counts."""
    ends: defaultdict[str, list[int]] = defaultdict(list)
    for run in _runs(facts, "segment"):
        if run.finished_us is not None:
            ends[run.parent_id].append(run.finished_us)
    parents = {run.id: run for run in _runs(facts, "fan-out")}
    for parent in parents.values():
        if parent.finished_us is None or not ends[parent.id]:
            continue
        last_us = max(ends[parent.id])
        late = (parent.finished_us - last_us - away_us(facts, last_us, parent.finished_us)) / 1e6
        if parent.finished_us < last_us:
            yield Violation("ended before its segments", parent.id, f"{-late:.3f} s before the last of them")
        if late > UNSETTLED_SECONDS_MAX:
            yield Violation("fan-out forgotten", parent.id, f"ended {late:.1f} s after its last segment")
    for snapshot in facts.fan_outs:
        told = (snapshot.result_items, snapshot.result_segments, snapshot.result_succeeded)
        right = (snapshot.items_total, snapshot.segments_count, snapshot.segments_count)
        if snapshot.run_id in parents and parents[snapshot.run_id].state == "succeeded" and told != right:
            yield Violation("segments miscounted", snapshot.run_id, f"items, segments, successes: {told}, not {right}")


CHECKS = (
    each_fan_out_has_its_snapshot,
    each_segment_has_one_run,
    each_item_is_covered_once,
    each_parent_ends_after_its_segments,
)


def ended_segments_count(facts: Facts) -> int:
    """Of parents of the plan, each segment once."""
    parents = {run.id for run in _runs(facts, "fan-out")} & {snapshot.run_id for snapshot in facts.fan_outs}
    ended = {(run.parent_id, run.order_no) for run in _runs(facts, "segment") if run.state == "succeeded"}
    return sum(parent_id in parents for parent_id, _ in ended)


def _segments_by_run(facts: Facts) -> dict[str, list[SegmentFact]]:
    found: defaultdict[str, list[SegmentFact]] = defaultdict(list)
    for segment in facts.segments:
        found[segment.run_id].append(segment)
    return found


def _runs(facts: Facts, origin: str) -> list[RunFact]:
    return [run for run in facts.runs if run.origin == origin]
