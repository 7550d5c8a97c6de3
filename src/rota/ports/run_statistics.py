"""Sums of runs that have ended. What is asked for is exact: it has also what is not added up yet."""

from datetime import datetime
from typing import Protocol

from rota.domain.ids import ScheduleId, TenantId
from rota.domain.statistics import ComparedHour, HourSums, LifetimeSums
from rota.domain.tenancy import AuditEntry


class RunStatistics(Protocol):
    """Of one tenant."""

    async def hours(
        self, tenant_id: TenantId, since: datetime, schedule_id: ScheduleId | None = None
    ) -> tuple[HourSums, ...]:
        """The hours from that of `since` on in which runs ended, oldest first; without `schedule_id` of all runs."""
        ...

    async def lifetime(self, tenant_id: TenantId) -> LifetimeSums:
        """No retention makes it less."""
        ...

    async def compare(self, tenant_id: TenantId, since: datetime) -> tuple[ComparedHour, ...]:
        """The records of the hours from that of `since` on beside the statistics. Writes nothing."""
        ...

    async def reconcile(self, tenant_id: TenantId, since: datetime, audit: AuditEntry) -> tuple[ComparedHour, ...]:
        """Counts what `compare` finds uncounted, and answers what it was. Takes nothing away: records may be gone."""
        ...


class RunCounting(Protocol):
    """Over all tenants: for the leader, and for the platform."""

    async def add_up(self, limit: int) -> int:
        """Adds what up to `limit` endings left to hours and lifetimes, each once. Answers how many it took."""
        ...

    async def platform_lifetime(self) -> LifetimeSums:
        """Of all tenants together."""
        ...
