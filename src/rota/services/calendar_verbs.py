"""The verbs on calendars: validate, store, and plan anew what uses them, so that nothing fires by what was before."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from rota.core.calendar_rules import calendar_problems, replanned
from rota.core.icalendar import ReadCalendar, read_icalendar
from rota.domain.calendar import CalendarDays, CalendarRecord, NamedCalendar
from rota.domain.errors import DomainError, invalid_input, not_found
from rota.domain.schedule import TriggerState
from rota.ports.calendar_store import CalendarStore, CalendarUser
from rota.ports.wakeups import Wakeups
from rota.services.acting import Actor
from rota.services.schedule_verbs import SCHEDULES_TOPIC

PUT_TRIES_MAX = 5


class CalendarImport(Struct, frozen=True, forbid_unknown_fields=True):
    """`ics` is the text of an iCalendar file (RFC 5545), whose all-day events become the days of the calendar."""

    ics: str
    dry_run: bool = False


class CalendarImported(Struct, frozen=True):
    """What the file says, and what was stored: None for a dry run."""

    read: ReadCalendar
    calendar: CalendarRecord | None


class CalendarVerbs:
    """Stateless; shared by every front door."""

    def __init__(self, calendars: CalendarStore, wakeups: Wakeups) -> None:
        self._calendars = calendars
        self._wakeups = wakeups

    async def put(self, actor: Actor, name: str, days: CalendarDays, expected_version: int | None) -> CalendarRecord:
        """Create or change. With an expected version only change. Raises INVALID_INPUT, VERSION_MISMATCH, NOT_FOUND."""
        problems = list(calendar_problems(name, days))
        if problems:
            raise invalid_input(problems)
        audit = actor.audit("change", "calendar", name)
        for _ in range(PUT_TRIES_MAX):
            if expected_version is None:
                made = await self._calendars.create_if_free(actor.tenant_id, name, days, audit)
                if made is not None:
                    return made
            try:
                named = actor.tenant_id, name
                after = await self._calendars.change(named, days, expected_version, replan, audit)
            except DomainError as refused:
                if refused.code != "NOT_FOUND" or expected_version is not None:
                    raise
                continue  # it was deleted between the two: create it
            self._wakeups.announce(SCHEDULES_TOPIC)
            return after
        raise not_found("calendar", name)

    async def import_file(
        self, actor: Actor, name: str, asked: CalendarImport, expected_version: int | None
    ) -> CalendarImported:
        """The calendar's days become those of the file. Raises INVALID_INPUT where that has none."""
        read = read_icalendar(asked.ics)
        if not asked.dry_run:
            return CalendarImported(read, await self.put(actor, name, read.days, expected_version))
        problems = list(calendar_problems(name, read.days))
        if problems:
            raise invalid_input(problems)
        return CalendarImported(read, None)

    async def delete(self, actor: Actor, name: str, expected_version: int | None) -> None:
        """Raises STATE_CONFLICT where a schedule uses it."""
        audit = actor.audit("delete", "calendar", name)
        await self._calendars.delete_if_unused(actor.tenant_id, name, expected_version, audit)


def replan(calendar: NamedCalendar, users: Sequence[CalendarUser], now: datetime) -> Sequence[tuple[TriggerState, ...]]:
    """The triggers of schedules that use a calendar, by its new version."""
    return [
        tuple(replanned(user.id, trigger, calendar, now, fires=user.enabled) for trigger in user.triggers)
        for user in users
    ]
