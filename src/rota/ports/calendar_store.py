"""Calendars of one tenant, and the schedules that use them: a change of one plans the other anew in one transaction."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

from msgspec import Struct

from rota.domain.calendar import CalendarDays, CalendarRecord, NamedCalendar
from rota.domain.ids import ScheduleId, TenantId
from rota.domain.page import Page, PageRequest
from rota.domain.schedule import TriggerState
from rota.domain.tenancy import AuditEntry


class CalendarUser(Struct, frozen=True):
    """A schedule that uses a calendar, as it stands while nothing of it fires or changes."""

    id: ScheduleId
    enabled: bool
    triggers: tuple[TriggerState, ...]


# Given the new version, some of its users and the store's time: their triggers, planned anew. It only computes, and may
# be called in a thread.
Replan: TypeAlias = Callable[[NamedCalendar, Sequence[CalendarUser], datetime], Sequence[tuple[TriggerState, ...]]]


class CalendarStore(Protocol):
    """Every method is confined to `tenant_id`, in the query and by row-level security."""

    async def get(self, tenant_id: TenantId, name: str) -> CalendarRecord:
        """Raises NOT_FOUND."""
        ...

    async def find_named(self, tenant_id: TenantId, names: Iterable[str]) -> tuple[NamedCalendar, ...]:
        """Those of `names` that there are, by name."""
        ...

    async def page(self, tenant_id: TenantId, page: PageRequest) -> Page[CalendarRecord]:
        """By name."""
        ...

    async def create_if_free(
        self, tenant_id: TenantId, name: str, days: CalendarDays, audit: AuditEntry
    ) -> CalendarRecord | None:
        """Version 1, with CalendarCreated; None where there is one of that name. Raises QUOTA_EXCEEDED."""
        ...

    async def change(
        self,
        named: tuple[TenantId, str],
        days: CalendarDays,
        expected_version: int | None,
        replan: Replan,
        audit: AuditEntry,
    ) -> CalendarRecord:
        """The next version, with CalendarChanged; and a new version of each live schedule that uses it, planned by
        `replan`. What the leader decided by the old one and has not written yet is refused. The same days change
        nothing. Raises NOT_FOUND, VERSION_MISMATCH.
        """
        ...

    async def delete_if_unused(
        self, tenant_id: TenantId, name: str, expected_version: int | None, audit: AuditEntry
    ) -> None:
        """With CalendarDeleted. Raises NOT_FOUND, VERSION_MISMATCH, STATE_CONFLICT where a live schedule uses it."""
        ...
