"""Which of several drafts become runs, and which are for a run that there is already.

Drafts carry the key of what they must be unique as (`RunDraft.unique_key`); the store tells who was the last to take
each key. Two drafts of one call with the same key are for one run.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from rota.core.field_rules import KEY_RULE, number_problems, text_problems
from rota.core.run_identity import unique_key
from rota.domain.errors import DomainError
from rota.domain.ids import RunId, TenantId
from rota.domain.problems import FieldProblem
from rota.domain.run import RunDraft
from rota.domain.targets import HttpTarget, Target
from rota.domain.uniqueness import Unique

PERIOD_SECONDS_MIN = 0.001
PERIOD_SECONDS_MAX = 366 * 86_400.0

HolderState: TypeAlias = Literal["queued", "running", "ended"]


class Holder(msgspec.Struct, frozen=True):
    """The run that took a unique key last, when, and what has become of it."""

    run_id: RunId
    taken_at: datetime
    state: HolderState


class UniquePlan(msgspec.Struct, frozen=True):
    """`kept` are the places of the drafts to be made; the others are for a run that is there, or an earlier place's."""

    kept: tuple[int, ...]
    existing: dict[int, RunId]
    same_as: dict[int, int]


def unique_key_of(tenant_id: TenantId, unique: Unique, target: Target) -> str:
    """The key that all alike runs have."""
    match unique.scope:
        case "tenant":
            parts: tuple[str, ...] = ()
        case "task":
            parts = (
                ("http", target.method, target.url) if isinstance(target, HttpTarget) else ("task", target.task or "")
            )
        case "arguments":
            parts = (msgspec.json.encode(target, order="deterministic").decode("utf-8", "surrogatepass"),)
    return unique_key(tenant_id, unique.scope, *parts, *(() if unique.key is None else ("key", unique.key)))


def stands_in_the_way(unique: Unique, holder: Holder, now: datetime) -> bool:
    """Whether the run that took the key last keeps another one from being made."""
    if unique.period_seconds is not None and now - holder.taken_at >= timedelta(seconds=unique.period_seconds):
        return False
    match unique.holds:
        case "pending":
            return holder.state == "queued"
        case "live":
            return holder.state != "ended"
        case "forever":
            return True


def keys_held_forever(drafts: Sequence[RunDraft]) -> frozenset[str]:
    """The keys that no retention may take any more."""
    return frozenset(
        draft.unique_key
        for draft in drafts
        if draft.unique_key is not None
        and draft.unique is not None
        and draft.unique.holds == "forever"
        and draft.unique.period_seconds is None
    )


def plan_unique(drafts: Sequence[RunDraft], holders: Mapping[str, Holder], now: datetime) -> UniquePlan:
    """Raises STATE_CONFLICT, naming the run, where a draft wants to be refused rather than be told of another's run."""
    kept: list[int] = []
    existing: dict[int, RunId] = {}
    same_as: dict[int, int] = {}
    first_of: dict[str, int] = {}
    for place, draft in enumerate(drafts):
        key, unique = draft.unique_key, draft.unique
        if key is None or unique is None:
            kept.append(place)
            continue
        holder = holders.get(key)
        if key in first_of:
            _refuse_if_asked(unique, place, len(drafts), f"[{first_of[key]}] of the same call")
            same_as[place] = first_of[key]
        elif holder is not None and stands_in_the_way(unique, holder, now):
            _refuse_if_asked(unique, place, len(drafts), holder.run_id)
            existing[place] = holder.run_id
        else:
            first_of[key] = place
            kept.append(place)
    return UniquePlan(tuple(kept), existing, same_as)


def without_uniqueness(drafts: Sequence[RunDraft], known_keys: Collection[str]) -> list[RunDraft]:
    """The drafts, those with a known idempotency key asking for no uniqueness: they are repetitions of a request."""
    return [
        draft if draft.key is None or draft.key not in known_keys else replace(draft, unique=None, unique_key=None)
        for draft in drafts
    ]


def _refuse_if_asked(unique: Unique, place: int, drafts_count: int, holder: str) -> None:
    if unique.on_conflict == "reject":
        field = "unique" if drafts_count == 1 else f"[{place}].unique"
        remedy = "wait for it, or send on_conflict 'return' to be given that run"
        problem = FieldProblem(field, f"run {holder} stands in the way", remedy)
        raise DomainError("STATE_CONFLICT", f"an alike run is there: {holder}", [problem])


def unique_problems(unique: Unique) -> Iterator[FieldProblem]:
    """What is wrong with a caller's words."""
    if unique.key is not None:
        yield from text_problems("key", unique.key, KEY_RULE)
    elif unique.scope == "tenant":
        yield FieldProblem("key", "is missing, so all runs of the tenant would be alike", "give one, or another scope")
    if unique.period_seconds is not None:
        period = unique.period_seconds
        yield from number_problems("period_seconds", period, PERIOD_SECONDS_MIN, PERIOD_SECONDS_MAX, "seconds")
