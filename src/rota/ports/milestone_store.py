"""Evidence and milestones of one tenant, and what the leader finds due over all of them."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypeAlias

from msgspec import Struct

from rota.domain.ids import TenantId
from rota.domain.milestone import (
    DoneMarker,
    DueMilestone,
    Evidence,
    Milestone,
    MilestoneLook,
    MilestoneState,
    MilestoneStep,
)
from rota.domain.page import Page, PageRequest
from rota.domain.tenancy import AuditEntry

DecideStep: TypeAlias = Callable[[MilestoneLook], MilestoneStep]
"""Decides by what is read while the milestone is held."""


class MilestoneFilter(Struct, frozen=True):
    """All given conditions must hold."""

    subject: str | None = None
    name: str | None = None
    state: MilestoneState | None = None


class SubjectLook(Struct, frozen=True):
    """How all of a tenant's milestones stand with one subject, youngest age first."""

    now: datetime
    looks: tuple[MilestoneLook, ...]


class MilestoneNeed(Struct, frozen=True):
    """`next_in_seconds`: until the next one is due, negative where it is; None where none is waited for."""

    next_in_seconds: float | None
    walks: bool


class MilestoneFigures(Struct, frozen=True):
    """What alerts go by: how many wait for two hours and longer; and of how many the last attempt ended within a day,
    and failed. Each is counted up to 10,000.
    """

    backing_off_long_count: int = 0
    ended_count: int = 0
    failed_count: int = 0

    @property
    def failed_ratio(self) -> float:
        return self.failed_count / self.ended_count if self.ended_count else 0.0


class EvidenceStore(Protocol):
    """Confined to the tenant."""

    async def record_once(self, evidence: Evidence, audit: AuditEntry) -> tuple[Evidence, bool]:
        """What is recorded, and whether it is new; with it, what it makes due is planned, in one transaction.

        The store's time is put in. Raises EVIDENCE_EXISTS where another time is recorded; NOT_FOUND or STATE_CONFLICT
        where the tenant is unknown or revoked.
        """
        ...

    async def get(self, tenant_id: TenantId, kind: str, subject: str) -> Evidence:
        """Raises NOT_FOUND."""
        ...

    async def page(self, tenant_id: TenantId, kind: str | None, page: PageRequest) -> Page[Evidence]:
        """By kind, then subject."""
        ...


class MilestoneStore(Protocol):
    """Confined to the tenant. Definitions are kept by the store of schedules, as part of a schedule's change.

    The end of an attempt is stored by the store itself, in the transaction that ends its run: done, with the marker and
    the result, where the run succeeded; else waiting, from the end on, for the back-off decided when it began.
    """

    async def change(
        self, tenant_id: TenantId, name: str, subject: str, decide: DecideStep, audit: AuditEntry
    ) -> MilestoneStep:
        """One at a time for each (name, subject). What was decided is stored with the run of its attempt, its events,
        and `audit` where there are any of them; `run_id` of the answer's milestone is that run's.
        """
        ...

    async def look(self, tenant_id: TenantId, subject: str) -> SubjectLook: ...

    async def page(self, tenant_id: TenantId, where: MilestoneFilter, page: PageRequest) -> Page[Milestone]:
        """By subject, then name."""
        ...

    async def marker(self, tenant_id: TenantId, name: str, subject: str) -> DoneMarker:
        """Raises NOT_FOUND where it is not done."""
        ...


class MilestoneDuties(Protocol):
    """Only for the leader: it looks across tenants."""

    async def look(self) -> MilestoneNeed: ...

    async def figures(self) -> MilestoneFigures: ...

    async def list_due(self, limit: int) -> tuple[DueMilestone, ...]:
        """The longest due first."""
        ...

    async def postpone(self, due: DueMilestone, seconds: float) -> None:
        """One that cannot be judged now: it is found again so much later, and keeps nobody else waiting."""
        ...

    async def walk(self, subjects_max: int) -> int | None:
        """Gives what waits its time by one definition that was saved, at most so many subjects on. None: none is."""
        ...
