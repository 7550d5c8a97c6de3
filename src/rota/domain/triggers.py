"""Triggers: when a schedule fires. Values only; `rota.core.occurrences` decides what they mean and what is wrong.

A trigger on the wire is told apart by `kind`. A new kind is one more member of the `Trigger` union.
"""

from datetime import date, datetime
from typing import Literal, TypeAlias

from msgspec import Struct

Gap: TypeAlias = Literal["next_valid", "skip", "shift"]
OverlapHour: TypeAlias = Literal["first", "second", "both"]
OnExcluded: TypeAlias = Literal["skip", "next_business_day", "previous_business_day"]
OnMissed: TypeAlias = Literal["run_late", "skip"]
Weekday: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Calendar(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The days on which a trigger may fire, by local date.

    A day is excluded when `exclude_dates` or `exclude_annual` ("12-25", each year) names it, when `weekdays` is not
    empty and lacks it, when a named calendar of `exclude` has it, or when `only_on` names calendars and none of them
    has it. `include_dates` overrides all of these. `timezone` decides which date an instant falls on; without it the
    trigger's own zone does, or UTC where the trigger has none.

    A firing on an excluded day is dropped ("skip"), or made at the same local time of the next or the previous day
    that is not excluded, at most 31 days away. A firing outside the hours of `only_on`, or within those of an
    `exclude` that has hours, is always dropped.
    """

    exclude_dates: tuple[date, ...] = ()
    exclude_annual: tuple[str, ...] = ()
    weekdays: tuple[Weekday, ...] = ()
    include_dates: tuple[date, ...] = ()
    exclude: tuple[str, ...] = ()
    only_on: tuple[str, ...] = ()
    timezone: str | None = None
    on_excluded: OnExcluded = "skip"


class TriggerLimits(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every time trigger may carry.

    `start_at` and `end_at` are the first and the last instant at which it may fire, both inclusive. `fires_max` bounds
    the number of firings over the trigger's life; whoever fires counts them. `jitter_seconds` spreads the due time over
    [0, jitter_seconds) after the nominal time, which stays as it is.
    """

    start_at: datetime | None = None
    end_at: datetime | None = None
    fires_max: int | None = None
    jitter_seconds: float = 0.0
    calendar: Calendar | None = None


class CronTrigger(TriggerLimits, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="cron"):
    """A cron expression read on the local clock of `timezone` (docs/occurrences.md has the syntax).

    `gap` and `overlap_hour` say what becomes of a fixed-time job whose local time a clock change skips or repeats.
    """

    expression: str
    timezone: str = "UTC"
    gap: Gap = "next_valid"
    overlap_hour: OverlapHour = "first"


class IntervalTrigger(TriggerLimits, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="interval"):
    """Every `every_seconds` (kept to the microsecond), counted from `start_at`, or from the schedule's creation.

    The nth firing is at start + n × every: a late firing delays none after it.
    """

    every_seconds: float


class AtTrigger(TriggerLimits, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="at"):
    """Once, at `at`."""

    at: datetime


class MilestoneTrigger(TriggerLimits, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="milestone"):
    """For each subject, once, when evidence of a kind is `age_seconds` old (docs/milestones.md). No clock fires it.

    `name` is unique in its tenant; for the names of `MILESTONE_CATALOGUE` the rest may be left out. When it was not
    made within `window_seconds` after its time, it is made late, or given up ("skip").
    """

    name: str
    evidence: str | None = None
    age_seconds: float | None = None
    window_seconds: float | None = None
    on_missed: OnMissed = "run_late"


class CataloguedMilestone(Struct, frozen=True):
    """What a milestone trigger of a known name means where it does not say otherwise."""

    evidence: str
    age_seconds: float


MILESTONE_CATALOGUE: dict[str, CataloguedMilestone] = {
    "AUTO_12H": CataloguedMilestone("installation", 43_200.0),
    "AUTO_24H": CataloguedMilestone("installation", 86_400.0),
}

Trigger: TypeAlias = CronTrigger | IntervalTrigger | AtTrigger | MilestoneTrigger
