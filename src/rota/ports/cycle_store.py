"""Where the leader tells of its check cycles: an event each time, and sums that no retention makes less."""

from typing import Protocol

from rota.domain.cycle import CheckReport, CheckTotals


class CycleStore(Protocol):
    """The platform's: it tells nothing about a tenant."""

    async def record(self, report: CheckReport) -> CheckTotals:
        """Adds the report to the totals, with its events, in one transaction. Gives the totals.

        It needs no fence: a report tells what has happened, also of a term that is over.
        """
        ...

    async def totals(self) -> CheckTotals: ...
