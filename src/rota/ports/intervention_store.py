"""Schedules that stop because their runs go on failing: the leader's part, and what a tenant is shown."""

from typing import Protocol

from msgspec import Struct

from rota.domain.ids import TenantId
from rota.domain.intervention import InterventionSummary
from rota.domain.run import FailureClass

FOLLOWER = "interventions"
"""The name under which ends of failed runs are kept for the duty (see `rota.ports.run_ends`)."""


class FailuresNoted(Struct, frozen=True):
    """How many ends were worked off, and why each schedule that stopped did."""

    ends_count: int
    stopped: tuple[FailureClass, ...] = ()


class InterventionDuties(Protocol):
    """Only for the leader: it looks across tenants."""

    async def note_failures(self, limit: int) -> FailuresNoted:
        """Works off the first ends, each taken off together with what it makes of its schedule."""
        ...

    async def resume_cooled(self, limit: int) -> int:
        """Lets schedules fire again whose cool-off has ended, on probation. How many did."""
        ...

    async def next_cool_off_in_seconds(self) -> float | None:
        """By the store's clock; negative where it has ended, None where none is waited for."""
        ...


class InterventionReader(Protocol):
    """Confined to the tenant."""

    async def summary(self, tenant_id: TenantId) -> InterventionSummary: ...
