"""When a stored trigger fires next, given its progress. The one place that says what `H` hashes: the schedule's id."""

from datetime import datetime, timedelta

from rota.core.occurrences import Occurrences, compile_trigger
from rota.domain.ids import ScheduleId
from rota.domain.schedule import TriggerState
from rota.domain.triggers import AtTrigger

INSTANT = timedelta(microseconds=1)


def occurrences_of(schedule_id: ScheduleId, trigger: TriggerState) -> Occurrences:
    """The nominal times of a stored trigger. `fires_max` is not applied; `is_exhausted` says when it is reached."""
    return compile_trigger(trigger.spec, hash_key=schedule_id, anchor=trigger.anchor_at, calendars=trigger.calendars)


def is_exhausted(trigger: TriggerState) -> bool:
    return trigger.spec.fires_max is not None and trigger.fires_count >= trigger.spec.fires_max


def next_fire_from(schedule_id: ScheduleId, trigger: TriggerState, start: datetime) -> datetime | None:
    """The first undecided time at or after `start`; None where nothing is to come."""
    if is_exhausted(trigger):
        return None
    after = start - INSTANT
    if trigger.fired_through is not None:
        after = max(after, trigger.fired_through)
    return occurrences_of(schedule_id, trigger).next_after(after)


def first_fire(schedule_id: ScheduleId, trigger: TriggerState, now: datetime, grace_seconds: float) -> datetime | None:
    """The first time of a new trigger, after `now`.

    An `at` that passed on its way here, by no more than the misfire grace, is still due: it would never come again.
    """
    grace = timedelta(seconds=grace_seconds) if isinstance(trigger.spec, AtTrigger) else timedelta()
    return next_fire_from(schedule_id, trigger, now + INSTANT - grace)
