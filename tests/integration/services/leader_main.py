"""A leader as a process of its own: `python -m tests.integration.services.leader_main NAME SERVICE_URL`.

Prints a line for what happens. SIGTERM resigns and ends it; SIGUSR1 blocks the main loop for six seconds.
"""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from rota.adapters.system_clock import SystemClock
from rota.adapters.system_rng import SystemRng
from rota.core.leadership import LeadershipPolicy
from rota.ports.lease_store import LeaseStore
from rota.services.election import Election
from rota.services.firing import Firing
from rota.services.leadership_events import LeadershipEvents
from rota.services.leading import Leading
from rota.services.rescuing import Rescuing
from rota.services.supervision import Duty, Supervisor
from rota.storage.postgres.connections import FENCED_SETTINGS, ConnectRetry, PoolOptions, open_connection, open_pool
from rota.storage.postgres.driver import Connection
from rota.storage.postgres.events import PostgresEventStore
from rota.storage.postgres.firing import PostgresFiringStore
from rota.storage.postgres.leases import PostgresLeaseStore
from rota.storage.postgres.logins import Login
from rota.storage.postgres.run_claims import PostgresRunClaims
from rota.storage.postgres.wakeups import PostgresWakeups
from rota.storage.postgres.workers import PostgresWorkerStore

CLOCK = SystemClock()
ONE_CONNECTION = PoolOptions(connections_max=1, settings=FENCED_SETTINGS, retry=ConnectRetry(attempts_max=1))


def say(*words: object) -> None:
    print(*words, flush=True)


async def main(name: str, url: str) -> None:
    @asynccontextmanager
    async def open_leases() -> AsyncGenerator[LeaseStore]:
        pool = await open_pool(
            url, Login.SERVICE, application_name=f"{name} lease", sleep=CLOCK.sleep, options=ONE_CONNECTION
        )
        try:
            yield PostgresLeaseStore(pool)
        finally:
            await pool.close()

    async def connect() -> Connection:
        return await open_connection(url, Login.SERVICE, application_name=f"{name} wakeups", sleep=CLOCK.sleep)

    pool = await open_pool(url, Login.SERVICE, application_name=name, sleep=CLOCK.sleep)
    wakeups = PostgresWakeups(connect, CLOCK)
    election = Election(LeadershipPolicy("leader", name), open_leases, wakeups, CLOCK, SystemRng())
    store = PostgresFiringStore(pool)
    rescuing = Rescuing(PostgresWorkerStore(pool), PostgresRunClaims(pool), wakeups, SystemRng())
    leading = Leading(store, Firing(store, election, wakeups), rescuing, election, wakeups, clock=CLOCK)
    events = LeadershipEvents(election, PostgresEventStore(pool, pool), CLOCK)
    duties = [
        Duty("wakeups", wakeups.run),
        Duty("election", election.run),
        Duty("leading", leading.run),
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
    loop.add_signal_handler(signal.SIGUSR1, freeze)
    await told.wait()


def freeze() -> None:
    """The whole main loop stands still for longer than the lease."""
    say("freezes")
    time.sleep(6)  # noqa: TID251 - blocking the loop is what is tested
    say("thaws")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
