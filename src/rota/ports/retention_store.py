"""The rules of retention and what they are applied to: over all tenants, for the platform and for the leader."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Protocol, TypeAlias

from rota.domain.retention import DropOutcome, HistoryDay, PrunedStretch, RetentionRules
from rota.domain.tenancy import AuditEntry

OnRules: TypeAlias = Callable[[RetentionRules], Mapping[str, int]]
"""Decides by the rules as they are, which nobody changes meanwhile, what to keep; may raise."""


class RetentionStore(Protocol):
    """Nothing that is younger than its rule is ever dropped, whoever asks: the store compares again."""

    async def rules(self) -> RetentionRules: ...

    async def change(self, decide: OnRules, audit: AuditEntry) -> RetentionRules:
        """The rules after the change, of which an event tells."""
        ...

    async def days_until(self, until: datetime) -> tuple[HistoryDay, ...]:
        """The days of all kinds that ended by then, oldest first."""
        ...

    async def drop_if_aged(self, kind: str, day: date, audit: AuditEntry) -> DropOutcome:
        """With its event and its audit entry, in one transaction."""
        ...

    async def prune_stretch(self, kind: str, from_page: int, pages: int) -> PrunedStretch:
        """Of a kind that is not dropped by days: removes what is over from `pages` pages. What live runs need stays."""
        ...
