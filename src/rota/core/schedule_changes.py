"""Every change of a schedule, as a value: the schedule before → the schedule after, and the events that tell of it.

Decides what stays of a trigger's progress and when it fires next. It does not validate (`rota.core.validation` does,
first) and stores nothing; `now` is the store's time, new ids come from the caller. Each result carries the version
that the store will give it. A change that changes nothing gives the same schedule and no events.

    create ──▶ firing ◀──resume── paused ◀──restore── deleted
                 └─────pause──────▶ ▲                    ▲
                 └──────────────────┴──────delete────────┘
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias, cast

from msgspec import Struct, to_builtins
from msgspec.structs import replace as changed

from rota.core.calendar_rules import named_calendars
from rota.core.input_reading import read_struct
from rota.core.trigger_times import first_fire, is_exhausted, next_fire_from
from rota.domain.calendar import NamedCalendar
from rota.domain.errors import Bug, DomainError
from rota.domain.event import EventDraft
from rota.domain.ids import ScheduleId, TenantId, TriggerId
from rota.domain.intervention import Intervention
from rota.domain.schedule import Schedule, ScheduleDraft, TriggerState
from rota.domain.triggers import Trigger

Changed: TypeAlias = tuple[Schedule, tuple[EventDraft, ...]]

DISABLED_REASON = "disabled by its definition"
RESTORED_REASON = "restored; resume it to let it fire again"


class Change(Struct, frozen=True):
    """Who changes something, the store's time at which, and the calendars that the new triggers name."""

    actor: str
    now: datetime
    calendars: Mapping[str, NamedCalendar] = {}


def create_schedule(
    draft: ScheduleDraft,
    *,
    schedule_id: ScheduleId,
    tenant_id: TenantId,
    trigger_ids: Sequence[TriggerId],
    change: Change,
) -> Changed:
    """A new schedule, version 1. `trigger_ids`: at least one per trigger of `draft`."""
    schedule = Schedule(
        id=schedule_id,
        tenant_id=tenant_id,
        name=draft.name,
        version=1,
        enabled=draft.enabled,
        triggers=_merged_triggers(schedule_id, (), draft, trigger_ids, change),
        target=draft.target,
        policies=draft.policies,
        created_at=change.now,
        created_by=change.actor,
        updated_at=change.now,
        updated_by=change.actor,
        description=draft.description,
        labels=dict(draft.labels),
        paused_reason=None if draft.enabled else DISABLED_REASON,
    )
    return schedule, (_event("ScheduleCreated", schedule, change, {}),)


def replace_schedule(
    schedule: Schedule, draft: ScheduleDraft, *, trigger_ids: Sequence[TriggerId], change: Change
) -> Changed:
    """`schedule` as `draft` describes it.

    A trigger whose spec is in both keeps its id and progress; the others are new, with ids from `trigger_ids` (at
    least one per trigger of `draft`). What had been due stays due. Raises STATE_CONFLICT for a deleted schedule.
    """
    _require_live(schedule, "changed")
    if draft_of(schedule) == draft:
        return schedule, ()
    reason = None if draft.enabled else schedule.paused_reason or DISABLED_REASON
    after = changed(
        schedule,
        name=draft.name,
        enabled=draft.enabled,
        triggers=_merged_triggers(schedule.id, _kept(schedule, draft), draft, trigger_ids, change),
        target=draft.target,
        policies=draft.policies,
        description=draft.description,
        labels=dict(draft.labels),
        paused_reason=reason,
        needs_intervention=schedule.needs_intervention and not draft.enabled,
        intervention=_resumed(schedule, change) if draft.enabled else schedule.intervention,
    )
    fields = [name for name in draft.__struct_fields__ if getattr(draft, name) != getattr(draft_of(schedule), name)]
    return _stamped(after, change, "ScheduleChanged", {"fields": fields})


def patched_draft(schedule: Schedule, patch: Mapping[str, Any]) -> ScheduleDraft:
    """The draft form of `schedule` with a JSON merge patch (RFC 7396) applied; give it to `replace_schedule`.

    null takes a field back to its default. Lists are replaced whole. Raises INVALID_INPUT for fields of a wrong type,
    unknown fields, and a required field that was removed.
    """
    document: dict[str, object] = to_builtins(draft_of(schedule))
    target = patch.get("target")
    if isinstance(target, Mapping) and "kind" in target and target["kind"] != _kind_of(document["target"]):
        document["target"] = {}  # a target of another kind has other fields: nothing of the old one is meant
    return read_struct(_merged(document, patch), ScheduleDraft)


def _kind_of(target: object) -> object:
    return cast("Mapping[str, object]", target).get("kind")


def draft_of(schedule: Schedule) -> ScheduleDraft:
    """What a caller would send to make `schedule` as it is."""
    return ScheduleDraft(
        name=schedule.name,
        triggers=tuple(trigger.spec for trigger in schedule.triggers),
        target=schedule.target,
        policies=schedule.policies,
        enabled=schedule.enabled,
        description=schedule.description,
        labels=schedule.labels,
    )


def pause_schedule(schedule: Schedule, reason: str, *, change: Change) -> Changed:
    """Nothing fires until it is resumed. Pausing again changes the reason only."""
    _require_live(schedule, "paused")
    if not schedule.enabled and schedule.paused_reason == reason:
        return schedule, ()
    after = changed(
        schedule,
        enabled=False,
        paused_reason=reason,
        triggers=_silenced(schedule.triggers),
        intervention=_not_cooling(schedule.intervention),
    )
    return _stamped(after, change, "SchedulePaused", {"reason": reason})


def stop_schedule(schedule: Schedule, intervention: Intervention, *, change: Change) -> Changed:
    """It needs intervention: nothing fires until somebody resumes it, or its cool-off ends. One that is paused already
    stays so for the reason that was given, and does not resume by itself.
    """
    _require_live(schedule, "stopped")
    kept = intervention if schedule.enabled else changed(intervention, cool_off_until=None)
    said = f"{kept.failure_class}: {kept.pattern}" if kept.pattern else kept.failure_class
    reason = f"needs intervention after {kept.failures_count} failures ({said})"
    after = changed(
        schedule,
        enabled=False,
        paused_reason=reason if schedule.enabled else schedule.paused_reason,
        triggers=_silenced(schedule.triggers),
        needs_intervention=True,
        intervention=kept,
    )
    told = ("cause", "failure_class", "pattern", "failures_count", "cool_off_until")
    data = {name: value for name, value in to_builtins(kept).items() if name in told}
    return _stamped(after, change, "ScheduleNeedsIntervention", data)


def resume_schedule(
    schedule: Schedule, since: datetime | None, *, change: Change, resets_streak: bool = False
) -> Changed:
    """Fires again, from the first undecided time at or after `since`; without it, after now.

    Times between a past `since` and now are due at once and fall under the misfire policy. An intervention is over; the
    schedule is on probation then, unless the resume forgives what was before (`resets_streak`).
    """
    _require_live(schedule, "resumed")
    if schedule.enabled and not schedule.needs_intervention:
        raise DomainError("STATE_CONFLICT", f"schedule {schedule.name!r} is not paused")
    triggers = tuple(
        changed(trigger, next_fire_at=next_fire_from(schedule.id, trigger, since or change.now))
        for trigger in schedule.triggers
    )
    after = changed(
        schedule,
        enabled=True,
        paused_reason=None,
        needs_intervention=False,
        triggers=triggers,
        intervention=_resumed(schedule, change, resets_streak=resets_streak),
    )
    return _stamped(after, change, "ScheduleResumed", {} if since is None else {"from": since})


def delete_schedule(schedule: Schedule, *, change: Change) -> Changed:
    """Soft-deleted: it fires no more, frees its name, and can be restored."""
    _require_live(schedule, "deleted")
    triggers = _silenced(schedule.triggers)
    after = changed(
        schedule,
        deleted_at=change.now,
        deleted_by=change.actor,
        triggers=triggers,
        intervention=_not_cooling(schedule.intervention),
    )
    return _stamped(after, change, "ScheduleDeleted", {})


def restore_schedule(schedule: Schedule, *, change: Change) -> Changed:
    """Back from deletion, paused: whoever restores decides with `resume_schedule` from when it fires."""
    if schedule.deleted_at is None:
        raise DomainError("STATE_CONFLICT", f"schedule {schedule.name!r} is not deleted")
    after = changed(
        schedule,
        deleted_at=None,
        deleted_by=None,
        enabled=False,
        paused_reason=RESTORED_REASON,
        triggers=tuple(
            changed(trigger, calendars=named_calendars(trigger.spec, change.calendars))
            for trigger in _silenced(schedule.triggers)
        ),
    )
    return _stamped(after, change, "ScheduleRestored", {})


def _resumed(schedule: Schedule, change: Change, *, resets_streak: bool = False) -> Intervention | None:
    """What is left of an intervention. From now on failures are counted anew; without a reset, on probation."""
    last = schedule.intervention
    if last is None or not (schedule.needs_intervention or resets_streak):
        return last
    return changed(last, cool_off_until=None, resumed_at=change.now, on_probation=not resets_streak)


def _not_cooling(intervention: Intervention | None) -> Intervention | None:
    """Somebody paused or deleted the schedule: it does not resume by itself any more."""
    return None if intervention is None else changed(intervention, cool_off_until=None)


def _require_live(schedule: Schedule, participle: str) -> None:
    if schedule.deleted_at is not None:
        detail = f"schedule {schedule.name!r} is deleted and cannot be {participle}; restore it first"
        raise DomainError("STATE_CONFLICT", detail)


def _stamped(after: Schedule, change: Change, event_type: str, data: dict[str, Any]) -> Changed:
    stamped = changed(after, version=after.version + 1, updated_at=change.now, updated_by=change.actor)
    return stamped, (_event(event_type, stamped, change, data),)


def _event(event_type: str, schedule: Schedule, change: Change, data: dict[str, Any]) -> EventDraft:
    known = {"name": schedule.name, "version": schedule.version, **data}
    return EventDraft(event_type, schedule.tenant_id, schedule.id, change.actor, known)


def _silenced(triggers: tuple[TriggerState, ...]) -> tuple[TriggerState, ...]:
    return tuple(changed(trigger, next_fire_at=None) for trigger in triggers)


def _kept(schedule: Schedule, draft: ScheduleDraft) -> tuple[TriggerState, ...]:
    """Triggers with their progress, as `draft` leaves them running.

    Invariant: a trigger that fires before and after keeps `next_fire_at`, also where it is due by now and undecided.
    """
    return schedule.triggers if schedule.enabled and draft.enabled else _silenced(schedule.triggers)


def _merged_triggers(
    schedule_id: ScheduleId,
    kept: tuple[TriggerState, ...],
    draft: ScheduleDraft,
    trigger_ids: Sequence[TriggerId],
    change: Change,
) -> tuple[TriggerState, ...]:
    """One state per spec of `draft`, in its order: a kept one where the spec is known, else a new one."""
    if len(trigger_ids) < len(draft.triggers):
        raise Bug(f"{len(draft.triggers)} triggers need as many ids, not {len(trigger_ids)}")
    known, merged = list(kept), list[TriggerState]()
    for spec, new_id in zip(draft.triggers, trigger_ids, strict=False):
        calendars = named_calendars(spec, change.calendars)
        state = _taken(known, spec, draft)
        if state is not None:
            state = changed(state, spec=spec, calendars=calendars)
        fresh = TriggerState(new_id, spec, anchor_at=change.now, calendars=calendars)
        merged.append(_timed(schedule_id, state, fresh, draft, change.now))
    return tuple(merged)


def _taken(known: list[TriggerState], spec: Trigger, draft: ScheduleDraft) -> TriggerState | None:
    """Removes the state with `spec` from `known` and gives it; None where there is none.

    Without one, a state that differs in `fires_max` alone is the same trigger with another number of firings left.
    """
    place = next((place for place, state in enumerate(known) if state.spec == spec), None)
    if place is None:
        unlimited = changed(spec, fires_max=None)
        rest = ((place, state.spec) for place, state in enumerate(known) if state.spec not in draft.triggers)
        place = next((place for place, other in rest if changed(other, fires_max=None) == unlimited), None)
    return None if place is None else known.pop(place)


def _timed(
    schedule_id: ScheduleId, state: TriggerState | None, fresh: TriggerState, draft: ScheduleDraft, now: datetime
) -> TriggerState:
    if not draft.enabled:
        return state or fresh
    if state is None:
        grace = draft.policies.misfire_grace_seconds
        return changed(fresh, next_fire_at=first_fire(schedule_id, fresh, now, grace))
    if state.next_fire_at is not None and not is_exhausted(state):
        return state
    return changed(state, next_fire_at=next_fire_from(schedule_id, state, now))


def _merged(document: object, patch: object) -> object:
    """RFC 7396: mappings merge, null removes, anything else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(cast("Mapping[str, object]", document)) if isinstance(document, Mapping) else {}
    for name, value in cast("Mapping[str, object]", patch).items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged
