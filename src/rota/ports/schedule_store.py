"""Schedules of one tenant: reading, and compare-and-swap writing of whole records with their events and audit."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from rota.domain.event import EventDraft
from rota.domain.ids import ScheduleId, TenantId
from rota.domain.page import Page, PageRequest
from rota.domain.schedule import Schedule
from rota.domain.tenancy import AuditEntry


class ScheduleFilter(Struct, frozen=True):
    """All given conditions must hold. `name_prefix` matches the beginning of the name."""

    name: str | None = None
    name_prefix: str | None = None
    enabled: bool | None = None
    deleted: bool = False
    label: tuple[str, str] | None = None
    needs_intervention: bool | None = None


class ScheduleChange(Struct, frozen=True):
    """What is stored with a new state of a schedule, in the same transaction."""

    events: tuple[EventDraft, ...]
    audit: AuditEntry


class ScheduleStore(Protocol):
    """Every method is confined to `tenant_id`, in the query and by row-level security."""

    async def insert_many(self, tenant_id: TenantId, schedules: Sequence[Schedule], change: ScheduleChange) -> None:
        """All or nothing. Raises `DomainError("NAME_TAKEN")` naming the field of each name in use: `name` of a single
        schedule, `[i].name` in a batch. NOT_FOUND or STATE_CONFLICT where there is no such tenant or it is revoked.
        """
        ...

    async def get(self, tenant_id: TenantId, schedule_id: ScheduleId) -> Schedule:
        """Also a deleted one. Raises NOT_FOUND."""
        ...

    async def find_by_name(self, tenant_id: TenantId, name: str) -> Schedule | None:
        """The live (not deleted) schedule of that name."""
        ...

    async def page(self, tenant_id: TenantId, where: ScheduleFilter, page: PageRequest) -> Page[Schedule]:
        """Ordered by name, then id. Behind a cursor the total is the one that was counted for the first page."""
        ...

    async def save_if_version(self, schedule: Schedule, expected_version: int, change: ScheduleChange) -> Schedule:
        """Store `schedule` as version `expected_version + 1`.

        Triggers that are gone are removed; kept ones keep their progress except `next_fire_at`, which is taken from
        `schedule`, unless the leader has decided that very time since `schedule` was read: then the leader's next time
        stands. Raises VERSION_MISMATCH, NAME_TAKEN, NOT_FOUND, and STATE_CONFLICT where the tenant is revoked.
        """
        ...

    async def clock(self) -> str:
        """The store's time, RFC 3339: changes that need a `now` take it from here."""
        ...
