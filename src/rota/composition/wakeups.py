"""Wake-ups of one process: over LISTEN where a direct connection can be had, else within the process alone."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from rota.ports.clock import Clock
from rota.ports.wakeups import Wakeups
from rota.storage.memory.wakeups import MemoryWakeups
from rota.storage.postgres.connections import ConnectRetry, open_connection
from rota.storage.postgres.driver import Connection
from rota.storage.postgres.logins import DatabaseUrls, Login
from rota.storage.postgres.wakeups import SESSION_SETTINGS, PostgresWakeups


@asynccontextmanager
async def wakeups_of(urls: DatabaseUrls, clock: Clock) -> AsyncGenerator[Wakeups]:
    """Behind a pooler without a direct URL other processes are found by polling alone."""
    direct = urls.direct_service
    if direct is None:
        yield MemoryWakeups()
        return

    async def connect() -> Connection:
        once = ConnectRetry(attempts_max=1)
        return await open_connection(
            direct,
            Login.SERVICE,
            application_name="rota wakeups",
            sleep=clock.sleep,
            settings=SESSION_SETTINGS,
            retry=once,
        )

    wakeups = PostgresWakeups(connect, clock)
    listening = asyncio.create_task(wakeups.run())
    try:
        yield wakeups
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
