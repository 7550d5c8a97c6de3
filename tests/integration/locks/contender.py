"""Contenders for one lock, as a process of their own, through the verbs that the API calls.

    python -m tests.integration.locks.contender API_URL OWNER_URL COUNT ROUNDS HOLD_SECONDS TTL_SECONDS

Each writes to the resource as it enters and leaves. With ROUNDS 0 there is one that enters, says so, and leaves when
its standard input says a word: between them it may be frozen for as long as a test likes.
"""

import asyncio
import os
import sys

from rota.adapters.system_clock import SystemClock
from rota.domain.errors import DomainError, Unavailable
from rota.domain.ids import TenantId, TokenId
from rota.domain.lock import Lock
from rota.services.acting import Actor
from rota.services.lock_verbs import LockRelease, LockRequest, LockVerbs
from rota.storage.memory.wakeups import MemoryWakeups
from rota.storage.postgres.connections import PoolOptions, open_pool
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.locks import PostgresLockStore
from rota.storage.postgres.logins import Login
from tests.integration.locks.resource import Resource

NAME = "shared"
ACTOR = Actor(TenantId("acme"), "contender", TokenId("0" * 8), "operator")
CLOCK = SystemClock()
WAIT_SECONDS = 10.0


async def acquire(verbs: LockVerbs, holder: str, ttl_seconds: float) -> Lock:
    """However often the connection is cut and whoever has it."""
    while True:
        try:
            return await verbs.acquire(ACTOR, NAME, LockRequest(holder, ttl_seconds, WAIT_SECONDS), None)
        except Unavailable:
            await CLOCK.sleep(0.02)
        except DomainError as refused:
            if refused.code != "LOCK_HELD":
                raise


async def release(verbs: LockVerbs, lock: Lock) -> None:
    """At most once: whether a release whose answer was lost was made is for the lock's time to say."""
    try:
        await verbs.release(ACTOR, NAME, LockRelease(lock.token, lock.holder))
    except (Unavailable, DomainError) as late:
        print("not released", late.code, flush=True)


async def contend(verbs: LockVerbs, resource: Resource, holder: str, rounds: int, options: tuple[float, float]) -> None:
    hold_seconds, ttl_seconds = options
    for _ in range(rounds):
        lock = await acquire(verbs, holder, ttl_seconds)
        await resource.write(lock.token, "enter")
        await CLOCK.sleep(hold_seconds)
        await resource.write(lock.token, "leave")
        await release(verbs, lock)


async def linger(verbs: LockVerbs, resource: Resource, ttl_seconds: float) -> None:
    lock = await acquire(verbs, "lingerer", ttl_seconds)
    await resource.write(lock.token, "enter")
    print("entered", lock.token, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    accepted = await resource.write(lock.token, "leave")
    print("left" if accepted else "refused", flush=True)
    await release(verbs, lock)


async def pool_of(url: str, login: Login, connections_max: int) -> Pool:
    options = PoolOptions(connections_max=connections_max)
    return await open_pool(url, login, application_name="contender", sleep=CLOCK.sleep, options=options)


async def main(api_url: str, owner_url: str, count: str, rounds: str, hold_seconds: str, ttl_seconds: str) -> None:
    api, owner = await pool_of(api_url, Login.API, 6), await pool_of(owner_url, Login.OWNER, 2)
    verbs, resource = LockVerbs(PostgresLockStore(api), MemoryWakeups(), CLOCK), Resource(owner)
    print("ready", flush=True)
    if rounds == "0":
        await linger(verbs, resource, float(ttl_seconds))
    else:
        options = (float(hold_seconds), float(ttl_seconds))
        each = (contend(verbs, resource, f"{os.getpid()}/{n}", int(rounds), options) for n in range(int(count)))
        await asyncio.gather(*each)
    await api.close()
    await owner.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
