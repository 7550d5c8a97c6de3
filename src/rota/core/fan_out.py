"""Fan-out decided: what may be asked, what an item is, who resolves, what a segment does, and how the run ends. Pure.

Items are equal where their canonical JSON is (keys sorted, no spaces); they are sorted by it, by code point. So the
same items give the same snapshot and the same segments, in whatever order and however often they were found.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from rota.domain.errors import Bug
from rota.domain.fan_out import (
    ITEM_BYTES_MAX,
    ITEMS_ARGUMENT,
    EndedFanOut,
    FanOut,
    HttpSelector,
    SegmentCounts,
    TaskSelector,
)
from rota.domain.ids import RunId
from rota.domain.run import AttemptOutcome, Run, RunError, Settlement, SettlementVerb
from rota.domain.targets import HttpTarget, PlanTarget, SegmentTarget, Target, TaskTarget

# The tasks of Rota's own that resolve what needs no task of the user's.
GIVEN_ITEMS_TASK = "rota.items"
HTTP_ITEMS_TASK = "rota.items_by_http"

NO_WORK = "no_work: the selector found no items"

_ENCODER = msgspec.json.Encoder(order="sorted")


class UnfitItem(ValueError):
    """Says what is wrong with an item."""


def canonical_item(value: object) -> str:
    """Raises `UnfitItem` where it is no JSON, or too large."""
    try:
        text = _ENCODER.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as wrong:
        raise UnfitItem(f"an item, a {type(value).__qualname__}, cannot be written as JSON: {wrong}") from wrong
    if len(text) > ITEM_BYTES_MAX:
        raise UnfitItem(f"an item has {len(text)} bytes as JSON, at most {ITEM_BYTES_MAX}; select a reference to it")
    if b"\\u0000" in text:
        raise UnfitItem("an item contains a NUL character")
    return text.decode()


def distinct_items(values: Iterable[object]) -> tuple[str, ...]:
    """Canonical, each once, in their order."""
    return tuple(sorted({canonical_item(value) for value in values}))


def first_slice(items: Sequence[str], size: int, bytes_max: int) -> Sequence[str]:
    """The first items that make a segment: as many as fit, and at least one. The store cuts by the same rule."""
    taken, bytes_count = 0, 0
    for item in items[:size]:
        bytes_count += len(item.encode()) + 1
        if bytes_count > bytes_max:
            break
        taken += 1
    return items[: max(1, taken)]


def fan_out_of(target: object) -> FanOut | None:
    return target.fan_out if isinstance(target, TaskTarget | HttpTarget) else None


def parent_of(target: Target) -> RunId | None:
    """The run whose segment the target does."""
    return target.run_id if isinstance(target, SegmentTarget) else None


def resolver_of(plan: PlanTarget) -> tuple[str, dict[str, Any]]:
    """The task whose result are the items, with its arguments."""
    selector = plan.fan_out.selector
    if plan.takes_over:
        return GIVEN_ITEMS_TASK, {ITEMS_ARGUMENT: []}
    if isinstance(selector, TaskSelector):
        return selector.task, {} if selector.args is UNSET else selector.args
    if isinstance(selector, HttpSelector):
        return HTTP_ITEMS_TASK, {"url": selector.url, "headers": {} if selector.headers is UNSET else selector.headers}
    return GIVEN_ITEMS_TASK, {ITEMS_ARGUMENT: selector.items}


def with_items(target: Target, items: Sequence[Any]) -> Target:
    """What one segment does: its parent's work, once, over `items`."""
    if isinstance(target, TaskTarget):
        return replace(target, args={**target.args, ITEMS_ARGUMENT: list(items)}, fan_out=None)
    if isinstance(target, HttpTarget):
        return replace(target, body={**(target.body or {}), ITEMS_ARGUMENT: list(items)}, fan_out=None)
    raise Bug(f"a segment of a {type(target).__name__}")


def plan_only(target: Target) -> Target | None:
    """The same target, to be planned and not launched; None where it does not fan out."""
    fan_out = fan_out_of(target)
    if fan_out is None or not isinstance(target, TaskTarget | HttpTarget):
        return None
    return replace(target, fan_out=replace(fan_out, plan_only=True, again_for=None))


def retried_target(run: Run) -> Target:
    """The work of a retry of `run`: of a fan-out that did not succeed, the items that did not."""
    fan_out = fan_out_of(run.target)
    if fan_out is None or not isinstance(run.target, TaskTarget | HttpTarget):
        return run.target
    return replace(run.target, fan_out=replace(fan_out, again_for=None if run.state == "succeeded" else run.id))


def decide_end(ended: EndedFanOut) -> Settlement:
    """How a run ends whose segments have all ended. A segment that was cancelled has not succeeded."""
    counts = ended.segments
    unsuccessful = counts.failed + counts.cancelled
    said = (
        f"{counts.succeeded} of {counts.total} segments succeeded, {counts.failed} failed, {counts.cancelled} cancelled"
    )
    result = msgspec.json.encode(outcome_of(ended.items_total, counts)).decode()
    if ended.stopped == "cancelled":
        error = RunError(f"cancelled on request; {said}", type="RunCancelled", retryable=False)
        return _end(ended, "cancel", "cancelled", error, result)
    if ended.stopped == "timed_out":
        message = f"its segments had not ended after {ended.timeout_seconds:g} s; {said}"
        error = RunError(message, type="SegmentsTimedOut", failure_class="timeout", retryable=False)
        return _end(ended, "fail", "timed_out", error, result)
    if unsuccessful > ended.tolerated_failures:
        message = f"{said}; {ended.tolerated_failures} without success are tolerated"
        return _end(ended, "fail", "failed", RunError(message, type="SegmentsFailed", retryable=False), result)
    return Settlement(ended.run_id, ended.token, "succeed", "succeeded", said, result_json=result)


def settled_plan(settlement: Settlement, items_total: int, segments_count: int) -> Settlement:
    """The success of a plan that launches nothing: it was made to be looked at, or found nothing to do."""
    result = {"items_total": items_total, "segments_count": segments_count}
    said = f"planned only: {items_total} items in {segments_count} segments" if items_total else NO_WORK
    return replace(settlement, reason=said, result_json=msgspec.json.encode(result).decode())


def outcome_of(items_total: int, counts: SegmentCounts) -> dict[str, int]:
    """The result of a run over segments: of bounded size, however many they are."""
    return {
        "items_total": items_total,
        "segments_count": counts.total,
        "succeeded": counts.succeeded,
        "failed": counts.failed,
        "cancelled": counts.cancelled,
    }


def _end(ended: EndedFanOut, verb: SettlementVerb, outcome: AttemptOutcome, error: RunError, result: str) -> Settlement:
    return Settlement(
        ended.run_id,
        ended.token,
        verb,
        outcome,
        error.message,
        result_json=result,
        error_json=msgspec.json.encode(error).decode(),
        dead_letter=verb == "fail",
    )
