"""A leader as a process of its own: `python -m tests.integration.services.leader_main NAME SERVICE_URL [FREEZE]`.

Prints a line for what happens. SIGTERM resigns and ends it; SIGUSR1 blocks the main loop for six seconds. With FREEZE
it stops itself (SIGSTOP), once: `before-commit` between its first fenced statement and the commit of it, in a
transaction around it; `before-call` between the question whether it leads and the statement.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import cast

from rota.adapters.system_clock import SystemClock
from rota.adapters.system_rng import SystemRng
from rota.composition.database import LEADER_ANSWER_SECONDS_MAX, LEADER_CONNECTIONS_MAX
from rota.composition.leading import LEASE_ANSWER_SECONDS_MAX
from rota.core.leadership import LeadershipPolicy
from rota.domain.firing import TriggerAdvance
from rota.domain.lease import Fence
from rota.ports.firing_store import FiringResult
from rota.ports.lease_store import LeaseStore
from rota.services.election import Election
from rota.services.firing import Firing
from rota.services.leadership_events import LeadershipEvents
from rota.services.leading import Leading
from rota.services.rescuing import Rescuing
from rota.services.supervision import Duty, Supervisor
from rota.storage.postgres.connections import FENCED_SETTINGS, ConnectRetry, PoolOptions, open_connection, open_pool
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.events import PostgresEventStore
from rota.storage.postgres.firing import PostgresFiringStore
from rota.storage.postgres.leases import PostgresLeaseStore
from rota.storage.postgres.logins import Login
from rota.storage.postgres.run_claims import PostgresRunClaims
from rota.storage.postgres.wakeups import PostgresWakeups
from rota.storage.postgres.workers import PostgresWorkerStore

CLOCK = SystemClock()
LEASE_POOL = PoolOptions(
    connections_max=1,
    answer_seconds_max=LEASE_ANSWER_SECONDS_MAX,
    settings=FENCED_SETTINGS,
    retry=ConnectRetry(attempts_max=1),
)
FENCED_POOL = PoolOptions(
    connections_max=LEADER_CONNECTIONS_MAX, answer_seconds_max=LEADER_ANSWER_SECONDS_MAX, settings=FENCED_SETTINGS
)


def say(*words: object) -> None:
    print(*words, flush=True)


class FreezingFiringStore(PostgresFiringStore):
    """Stands still once, at the worst moment."""

    def __init__(self, pool: Pool, freeze: str) -> None:
        super().__init__(pool)
        self._pool = pool
        self._freeze = freeze

    async def apply(self, fence: Fence, advances: Sequence[TriggerAdvance]) -> FiringResult:
        if not advances or not self._freeze:
            return await super().apply(fence, advances)
        freeze, self._freeze = self._freeze, ""
        if freeze == "before-call":
            stand_still()
            return await super().apply(fence, advances)
        async with self._pool.acquire() as connection, connection.transaction():
            result = await PostgresFiringStore(cast("Pool", OneConnection(connection))).apply(fence, advances)
            stand_still()
        return result


class OneConnection:
    """A pool that is one connection, in whose open transaction everything happens."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def acquire(self) -> AsyncGenerator[Connection]:
        yield self._connection


def stand_still() -> None:
    say("stops itself")
    os.kill(os.getpid(), signal.SIGSTOP)
    say("goes on")


async def main(name: str, url: str, freeze: str) -> None:
    async def pool_named(application_name: str, options: PoolOptions | None = None) -> Pool:
        return await open_pool(
            url, Login.SERVICE, application_name=application_name, sleep=CLOCK.sleep, options=options
        )

    @asynccontextmanager
    async def open_leases() -> AsyncGenerator[LeaseStore]:
        pool = await pool_named(f"{name} lease", LEASE_POOL)
        try:
            yield PostgresLeaseStore(pool)
        finally:
            await pool.close()

    async def connect() -> Connection:
        return await open_connection(url, Login.SERVICE, application_name=f"{name} wakeups", sleep=CLOCK.sleep)

    pool, fenced = await pool_named(f"{name} service"), await pool_named(name, FENCED_POOL)
    wakeups = PostgresWakeups(connect, CLOCK)
    election = Election(LeadershipPolicy("leader", name), open_leases, wakeups, CLOCK, SystemRng())
    store = FreezingFiringStore(fenced, freeze)
    rescuing = Rescuing(PostgresWorkerStore(pool), PostgresRunClaims(pool), wakeups, SystemRng())
    leading = Leading(store, Firing(store, election, wakeups), rescuing, election, wakeups, clock=CLOCK)
    events = LeadershipEvents(election, PostgresEventStore(pool, pool), CLOCK)
    duties = [
        Duty("wakeups", wakeups.run),
        Duty("election", election.run),
        *leading.duties,
        Duty("events", events.run),
        Duty("telling", lambda: tell(election)),
    ]
    supervisor = Supervisor(duties, CLOCK, SystemRng())
    supervisor.start()
    await told_to_stop()
    began = CLOCK.monotonic_seconds()
    await election.resign()
    say("resigned", round(CLOCK.monotonic_seconds() - began, 3))
    await events.tell()
    await supervisor.stop()
    await fenced.close()
    await pool.close()


async def tell(election: Election) -> None:
    changed = election.subscribe()
    while True:
        fence = election.fence()
        say("leads" if fence else "stands by", fence.epoch if fence else "")
        await changed.wait()
        changed.clear()


async def told_to_stop() -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    loop.add_signal_handler(signal.SIGUSR1, freeze_loop)
    await told.wait()


def freeze_loop() -> None:
    """The whole main loop stands still for longer than the lease."""
    say("freezes")
    time.sleep(6)  # noqa: TID251 - blocking the loop is what is tested
    say("thaws")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ""))
