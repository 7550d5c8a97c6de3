"""Templates of schedules, and the bindings of one tenant that are kept by them."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypeAlias

from msgspec import Struct

from rota.domain.binding import (
    Binding,
    BindingChange,
    BindingKey,
    BindingState,
    Bound,
    RecordedChange,
    ScheduleTemplate,
)
from rota.domain.ids import TenantId
from rota.domain.page import Page, PageRequest

OnBound: TypeAlias = Callable[[Bound, datetime], BindingChange | None]
"""Decides by the records and the store's time, read while the binding is held; None changes nothing."""


class BindingFilter(Struct, frozen=True):
    """All given conditions must hold."""

    kind: str | None = None
    subject: str | None = None
    template: str | None = None
    state: BindingState | None = None


class TemplateStore(Protocol):
    """Every method is confined to the tenant."""

    async def get(self, tenant_id: TenantId, name: str) -> ScheduleTemplate:
        """Raises NOT_FOUND."""
        ...

    async def page(self, tenant_id: TenantId, page: PageRequest) -> Page[ScheduleTemplate]:
        """By name."""
        ...

    async def put_if_version(self, template: ScheduleTemplate, expected_version: int, recorded: RecordedChange) -> None:
        """Stored where the template is at `expected_version` still; 0 says that there is none. Raises VERSION_MISMATCH,
        QUOTA_EXCEEDED; NOT_FOUND or STATE_CONFLICT where the tenant is unknown or revoked.
        """
        ...

    async def delete(self, tenant_id: TenantId, name: str, recorded: RecordedChange) -> ScheduleTemplate:
        """Raises NOT_FOUND, and STATE_CONFLICT while a binding names it."""
        ...


class BindingStore(Protocol):
    """Every method is confined to the tenant. One schedule of a binding at a time: see `apply`."""

    async def get(self, tenant_id: TenantId, key: BindingKey) -> Binding:
        """Raises NOT_FOUND."""
        ...

    async def page(self, tenant_id: TenantId, where: BindingFilter, page: PageRequest) -> Page[Binding]:
        """By kind, then subject."""
        ...

    async def put_if_revision(self, binding: Binding, expected_revision: int, recorded: RecordedChange) -> None:
        """Stored where the binding is at `expected_revision` still; 0 says that there is none. What its schedule was
        made from is left as it is. Raises VERSION_MISMATCH, QUOTA_EXCEEDED, NOT_FOUND (also of the template) and
        STATE_CONFLICT where the tenant is revoked.
        """
        ...

    async def apply(self, tenant_id: TenantId, key: BindingKey, decide: OnBound) -> BindingChange | None:
        """Holds the binding, asks, and stores the answer. Of two at once the second is asked when the first has been
        stored. Raises NOT_FOUND, NAME_TAKEN, VERSION_MISMATCH where its schedule or a calendar of it was changed
        meanwhile, and STATE_CONFLICT where the tenant is revoked.
        """
        ...

    async def record(self, tenant_id: TenantId, recorded: RecordedChange) -> None:
        """What was done to many bindings, told once."""
        ...
