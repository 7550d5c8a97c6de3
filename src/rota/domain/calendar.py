"""Named calendars: sets of days (or of hours on them) that a tenant's triggers share. Values only.

`rota.core.occurrences` decides what they mean for a trigger; `rota.core.calendar_rules` what is wrong with one.
"""

from datetime import date, datetime

from msgspec import Struct

from rota.domain.ids import TenantId
from rota.domain.triggers import Trigger, Weekday

CALENDARS_PER_TENANT_MAX = 1_000
# Schedules that use one calendar: a change of it plans them all anew in one transaction.
CALENDAR_SCHEDULES_MAX = 2_000


class DateRange(Struct, frozen=True, forbid_unknown_fields=True):
    """From `first` to `last`, both inclusive."""

    first: date
    last: date


class CalendarDays(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A day is in the calendar when its weekday, a date, a range or a rule of each year names it.

    `yearly`: "12-25", "11-thu#4" (the fourth Thursday of November), "05-mon#-1" (the last Monday of May), "easter",
    "easter+1". `hours` ("09:00-17:00", several allowed) are the hours of those days that are meant; empty: all day.
    Days and hours have no time zone of their own: they are read on the clock of the trigger that uses them.
    """

    weekdays: tuple[Weekday, ...] = ()
    dates: tuple[date, ...] = ()
    ranges: tuple[DateRange, ...] = ()
    yearly: tuple[str, ...] = ()
    hours: tuple[str, ...] = ()


class NamedCalendar(Struct, frozen=True):
    """A calendar as a trigger carries it: the very version by which its next time was planned."""

    name: str
    version: int
    days: CalendarDays


class CalendarRecord(Struct, frozen=True):
    """The whole of a calendar. `schedules_count` live schedules use it. Times are UTC."""

    name: str
    tenant_id: TenantId
    version: int
    days: CalendarDays
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str
    schedules_count: int = 0

    @property
    def named(self) -> NamedCalendar:
        return NamedCalendar(self.name, self.version, self.days)


def calendar_names(trigger: Trigger) -> tuple[str, ...]:
    """The calendars that a trigger names, each once, in their order."""
    rule = trigger.calendar
    return () if rule is None else tuple(dict.fromkeys((*rule.exclude, *rule.only_on)))
