"""What is wrong with the fan-out of a target. Whether a resolver can be reached shows when the run is planned."""

from collections.abc import Iterator
from typing import get_args

from msgspec import UNSET

from rota.core.fan_out import UnfitItem, canonical_item
from rota.core.field_rules import choice_problems, json_problems, number_problems, under
from rota.domain.fan_out import (
    ITEMS_ARGUMENT,
    SEGMENT_SIZE_MAX,
    SEGMENTS_PER_RUN_MAX,
    TIMEOUT_SECONDS_MAX,
    FanOut,
    HttpSelector,
    OnSegmentFailure,
    StaticSelector,
)
from rota.domain.problems import FieldProblem
from rota.domain.targets import HttpTarget, TaskTarget

SELECTOR_BYTES_MAX = 256 * 1024


def fan_out_problems(target: TaskTarget | HttpTarget) -> Iterator[FieldProblem]:
    """None where the target does not fan out. What a selector shares with targets is checked with those."""
    fan_out = target.fan_out
    if fan_out is None:
        return
    yield from _room_problems(target)
    yield from under("fan_out", _fan_out_problems(fan_out))


def selector_as_target(fan_out: FanOut) -> TaskTarget | HttpTarget | None:
    """Whose rules hold for the selector as well: names, arguments, addresses, headers."""
    selector = fan_out.selector
    if isinstance(selector, StaticSelector):
        return None
    if isinstance(selector, HttpSelector):
        return HttpTarget(selector.url, "GET", {} if selector.headers is UNSET else selector.headers)
    return TaskTarget(selector.task, {} if selector.args is UNSET else selector.args)


def _room_problems(target: TaskTarget | HttpTarget) -> Iterator[FieldProblem]:
    """The items must find a place, and take nobody's."""
    if isinstance(target, TaskTarget):
        if ITEMS_ARGUMENT in target.args:
            remedy = "leave it out, or rename it: each segment gets its items there"
            yield FieldProblem(f"args.{ITEMS_ARGUMENT}", "is the argument that the fan-out fills", remedy)
        return
    if target.method in {"GET", "HEAD"}:
        yield FieldProblem("method", f"{target.method} carries no items", "use POST, or another method with a body")
    body: object = target.body
    if body is not None and not isinstance(body, dict):
        yield FieldProblem("body", "is no mapping, so that items find no place", "send a mapping, or leave it out")
    elif isinstance(body, dict) and ITEMS_ARGUMENT in body:
        yield FieldProblem(
            f"body.{ITEMS_ARGUMENT}", "is the field that the fan-out fills", "leave it out, or rename it"
        )


def _fan_out_problems(fan_out: FanOut) -> Iterator[FieldProblem]:
    if isinstance(fan_out.selector, StaticSelector):
        yield from under("selector", _items_problems(fan_out.selector))
    yield from number_problems("segment_size", fan_out.segment_size, 1, SEGMENT_SIZE_MAX, "items")
    yield from number_problems("segments_max", fan_out.segments_max, 1, SEGMENTS_PER_RUN_MAX, "segments")
    yield from number_problems(
        "tolerated_failures", fan_out.tolerated_failures, 0, SEGMENTS_PER_RUN_MAX, "segments without success"
    )
    yield from number_problems("timeout_seconds", fan_out.timeout_seconds, 1, TIMEOUT_SECONDS_MAX, "seconds")
    yield from choice_problems("on_segment_failure", fan_out.on_segment_failure, get_args(OnSegmentFailure))
    if fan_out.again_for is not None:
        yield FieldProblem("again_for", "is written by a retry", "leave it out, and retry the run instead")


def _items_problems(selector: StaticSelector) -> Iterator[FieldProblem]:
    yield from json_problems("items", selector.items, SELECTOR_BYTES_MAX)
    for place, item in enumerate(selector.items):
        try:
            canonical_item(item)
        except UnfitItem as wrong:
            yield FieldProblem(f"items[{place}]", str(wrong), "send items that JSON can carry, within the bound")
            return
