"""Why a store refuses a calendar, and the events that tell of one: the same words whichever store it is."""

from collections.abc import Iterable, Sequence

from rota.domain.calendar import CALENDAR_SCHEDULES_MAX, CALENDARS_PER_TENANT_MAX, NamedCalendar
from rota.domain.errors import DomainError
from rota.domain.event import EventDraft
from rota.domain.ids import TenantId
from rota.domain.schedule import Schedule


def named_by(schedules: Iterable[Schedule]) -> dict[str, NamedCalendar]:
    """The calendars that live schedules were planned by. A deleted one uses none."""
    return {
        one.name: one
        for schedule in schedules
        if schedule.deleted_at is None
        for trigger in schedule.triggers
        for one in trigger.calendars
    }


def refuse_outdated(used: Sequence[NamedCalendar], stored: Sequence[NamedCalendar]) -> None:
    """Raises VERSION_MISMATCH where a calendar is no more as a schedule was planned by it."""
    outdated = sorted({one.name for one in used} - {one.name for one in used if one in stored})
    if outdated:
        names = ", ".join(repr(name) for name in outdated)
        raise DomainError("VERSION_MISMATCH", f"calendar {names} was changed meanwhile; send the change again")


def calendar_version_mismatch(expected_version: int, stored_version: int) -> DomainError:
    detail = f"the calendar is at version {stored_version}; the change was made for {expected_version}"
    return DomainError("VERSION_MISMATCH", detail)


def too_many_calendars() -> DomainError:
    return DomainError("QUOTA_EXCEEDED", f"a tenant has at most {CALENDARS_PER_TENANT_MAX} calendars")


def too_many_users(name: str) -> DomainError:
    detail = f"calendar {name!r} would be used by more than {CALENDAR_SCHEDULES_MAX} schedules; give some a copy of it"
    return DomainError("QUOTA_EXCEEDED", detail)


def calendar_in_use(name: str, schedules_count: int) -> DomainError:
    detail = f"calendar {name!r} is used by {schedules_count} schedules; change those first"
    return DomainError("STATE_CONFLICT", detail)


def calendar_event(event_type: str, tenant_id: TenantId, name: str, actor: str, **facts: object) -> EventDraft:
    return EventDraft(event_type, tenant_id, name, actor, {"name": name, **facts})
