"""The leader's duties of a server process: the candidate, and what it does when it leads."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from msgspec import Struct

from rota.adapters.system_rng import SystemRng
from rota.composition.stores import ServerStores
from rota.core.leadership import LeadershipPolicy
from rota.domain.errors import invalid_input
from rota.domain.problems import FieldProblem
from rota.ports.clock import Clock
from rota.ports.ids import Ids
from rota.ports.lease_store import LeaseStore
from rota.ports.wakeups import Wakeups
from rota.services.election import Election
from rota.services.firing import Firing
from rota.services.leadership_events import LeadershipEvents
from rota.services.leading import Leading
from rota.services.rescuing import Rescuing
from rota.services.supervision import Duty
from rota.storage.postgres.connections import FENCED_SETTINGS, ConnectRetry, PoolOptions, open_pool
from rota.storage.postgres.leases import PostgresLeaseStore
from rota.storage.postgres.logins import DatabaseUrls, Login

LEADER_LEASE = "leader"
HOUR_SECONDS = 3_600.0

_ONE_CONNECTION = PoolOptions(connections_max=1, settings=FENCED_SETTINGS, retry=ConnectRetry(attempts_max=1))


class Leadership(Struct, frozen=True):
    """`duties` go to the supervisor in this order; `resign` comes before they are stopped."""

    election: Election
    events: LeadershipEvents
    duties: tuple[Duty, ...]

    async def resign(self) -> None:
        """Hand the lease over and leave a record of it."""
        await self.election.resign()
        await self.events.tell()

    async def readiness(self) -> str:
        return "leader" if self.election.fence() is not None else "standby"


class LeadingParts(Struct, frozen=True):
    """What a candidate is made of."""

    urls: DatabaseUrls
    stores: ServerStores
    wakeups: Wakeups
    clock: Clock
    ids: Ids


def leadership(parts: LeadingParts, name: str) -> Leadership:
    """A candidate under a holder's name that no other process has."""
    clock, stores, wakeups = parts.clock, parts.stores, parts.wakeups
    policy = LeadershipPolicy(LEADER_LEASE, f"{name}/{parts.ids.new_id()}")
    election = Election(policy, lambda: _leases(parts.urls, clock), wakeups, clock, SystemRng())
    events = LeadershipEvents(election, stores.events, clock)
    rescuing = Rescuing(stores.workers, stores.run_claims, wakeups, SystemRng())
    firing = Firing(stores.firing, election, wakeups)
    leading = Leading(stores.firing, firing, rescuing, election, wakeups, clock=clock)

    async def keep_partitions() -> None:
        while True:
            await stores.partitions.ensure_ahead()
            await clock.sleep(HOUR_SECONDS)

    duties = (
        Duty("election", election.run),
        Duty("leading", leading.run),
        Duty("leadership events", events.run),
        Duty("partitions", keep_partitions),
    )
    return Leadership(election, events, duties)


@asynccontextmanager
async def _leases(urls: DatabaseUrls, clock: Clock) -> AsyncGenerator[LeaseStore]:
    """The election's own connection, past any pooler, in the loop of the election's thread."""
    if urls.direct_service is None:
        problem = FieldProblem(
            "--database-direct-url", "is missing", "name the server itself: a lease cannot be held through a pooler"
        )
        raise invalid_input([problem])
    pool = await open_pool(
        urls.direct_service, Login.SERVICE, application_name="rota lease", sleep=clock.sleep, options=_ONE_CONNECTION
    )
    try:
        yield PostgresLeaseStore(pool)
    finally:
        await pool.close()
