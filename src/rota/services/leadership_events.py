"""Records who leads: LeaderElected and LeaderResigned, in the order in which they happened.

A record that cannot be stored is tried again with the next change or after a while; a process that dies first leaves
none. The leases table stays the truth about who leads.
"""

from collections.abc import Callable, Mapping

from rota.domain.errors import Unavailable
from rota.domain.event import EventDraft
from rota.domain.ids import Epoch
from rota.ports.clock import Clock
from rota.ports.tenant_store import EventStore
from rota.services.election import Election
from rota.services.lease_thread import LeadershipChange
from rota.services.waiting import wait_for_any

REPEAT_SECONDS = 5.0


class LeadershipEvents:
    """The teller of one election."""

    def __init__(
        self,
        election: Election,
        events: EventStore,
        clock: Clock,
        facts_of_term: Callable[[Epoch], Mapping[str, object]] = lambda _: {},
    ) -> None:
        """`facts_of_term` are told with its end."""
        self._election = election
        self._events = events
        self._clock = clock
        self._facts_of_term = facts_of_term
        self._changed = election.subscribe()
        self._untold: list[EventDraft] = []

    async def run(self) -> None:
        """Until it is cancelled. Raises Unavailable with the records kept for the next run."""
        while True:
            self._changed.clear()
            await self.tell()
            await wait_for_any([self._changed], self._clock, REPEAT_SECONDS)

    async def tell(self) -> None:
        """Stores what has happened so far; also called once more when the process ends."""
        told = [*self._untold, *(self._event(change) for change in self._election.take_changes())]
        self._untold = []
        if not told:
            return
        try:
            await self._events.append(tuple(told))
        except Unavailable:
            self._untold = told
            raise

    def _event(self, change: LeadershipChange) -> EventDraft:
        name = "LeaderElected" if change.gained else "LeaderResigned"
        data: dict[str, object] = {"epoch": change.fence.epoch, "reason": change.reason}
        if not change.gained:
            data |= self._facts_of_term(change.fence.epoch)
        return EventDraft(name, None, change.fence.lease_name, self._election.policy.holder, data)
