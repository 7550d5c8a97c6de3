"""A plan as the columns of `triggers/apply_advances`, in its order. Most of a leader's time went into these lists.

Ids, counts and next times differ from row to row: they travel as the text of an array, which costs a tenth of encoding
each element. What is mostly the same for a whole batch travels as a short list, which the statement fills up. What a
run takes from its schedule's policies is sent once per policy, and named by its place.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from rota.core.concurrency import places_of
from rota.domain.firing import FireDraft, TriggerAdvance
from rota.domain.policies import Policies
from rota.storage.event_drafts import refuse_unknown_types
from rota.storage.firing_events import firing_events
from rota.storage.postgres.run_rows import uniform

# One run or skipped run: its step (from 1), whether it is skipped, and of which advance it is.
_Birth = tuple[int, bool, TriggerAdvance, FireDraft]


def advance_columns(advances: Sequence[TriggerAdvance]) -> tuple[object, ...]:
    """One step per advance."""
    return (
        _array_text([advance.trigger_before.id for advance in advances]),
        _array_text([advance.schedule_id for advance in advances]),
        _array_text([advance.schedule_version for advance in advances]),
        uniform([advance.trigger_before.next_fire_at for advance in advances]),
        uniform([advance.fired_through for advance in advances]),
        _array_text([advance.next_fire_at for advance in advances]),
        _array_text([advance.fires_count for advance in advances]),
        uniform([advance.cancel_live for advance in advances]),
    )


def birth_columns(advances: Sequence[TriggerAdvance]) -> tuple[object, ...]:
    """The policies of the batch, each once, and then runs and skipped runs."""
    places: dict[Policies, int] = {}
    births: list[_Birth] = []
    for step, advance in enumerate(advances, start=1):
        places.setdefault(advance.policies, len(places) + 1)
        births += [(step, False, advance, draft) for draft in advance.runs]
        births += [(step, True, advance, draft) for draft in advance.skipped]
    return (
        *_policy_columns(places),
        _array_text([step for step, _, _, _ in births]),
        uniform([skipped for _, skipped, _, _ in births]),
        uniform([places[advance.policies] for _, _, advance, _ in births]),
        _array_text([advance.trigger_before.id for _, _, advance, _ in births]),
        _array_text([advance.schedule_id for _, _, advance, _ in births]),
        _array_text([draft.key for _, _, _, draft in births]),
        uniform([draft.fire_at for _, _, _, draft in births]),
        uniform([draft.delay_seconds for _, _, _, draft in births]),
        uniform([draft.reason for _, _, _, draft in births]),
    )


def place_columns(advances: Sequence[TriggerAdvance]) -> tuple[list[str | None], list[int | None]]:
    """Concurrency keys in the order of births, and maxima in that of policies; empty where nobody has one."""
    if all(advance.policies.concurrency_max is None for advance in advances):
        return [], []
    keys: list[str | None] = []
    for advance in advances:
        keys += [_places(advance)] * (len(advance.runs) + len(advance.skipped))
    return keys, [policies.concurrency_max for policies in dict.fromkeys(each.policies for each in advances)]


def _places(advance: TriggerAdvance) -> str | None:
    policies = advance.policies
    return places_of(advance.tenant_id, advance.schedule_id, policies.concurrency_key, policies.concurrency_max)


def event_columns(advances: Sequence[TriggerAdvance]) -> tuple[list[object], ...]:
    """What the steps tell."""
    told = [(step, event) for step, advance in enumerate(advances, start=1) for event in firing_events(advance)]
    refuse_unknown_types(event for _, event in told)
    return (
        [step for step, _ in told],
        [event.tenant_id for _, event in told],
        [event.type for _, event in told],
        [event.subject for _, event in told],
        [event.data for _, event in told],
    )


def _policy_columns(all_policies: Sequence[Policies] | dict[Policies, int]) -> tuple[list[object], ...]:
    run_policies = [policies.run_policy() for policies in all_policies]
    return (
        list(run_policies),
        [policy.timeout_seconds for policy in run_policies],
        [policies.queue for policies in all_policies],
        [policies.priority for policies in all_policies],
        [policy.serial for policy in run_policies],
    )


def _array_text(column: Sequence[str | int | datetime | None]) -> str:
    """A column as PostgreSQL reads an array. For ids, numbers and times: no text of users, whose escapes differ."""
    return "{" + msgspec.json.encode(column)[1:-1].decode() + "}"
