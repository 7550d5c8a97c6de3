"""Random steps are told to the memory store and to PostgreSQL: each answer, and all that can be read, is the same."""

from collections.abc import Awaitable, Callable
from random import Random  # noqa: TID251 - seeded, so that a failure can be told again by its seed
from typing import Any

import pytest

from rota.domain.errors import DomainError
from rota.domain.ids import TenantId
from rota.domain.lock import Lock, LockClaim
from rota.domain.page import PageRequest
from rota.ports.lock_store import LockStore
from rota.ports.tenant_store import EventFilter
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.locks import MemoryLockStore
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.locks import PostgresLockStore
from tests.contract.lock_stores import ACQUIRE, BREAK, RELEASE, hold
from tests.contract.records import ACME, GLOBEX, create_tenants
from tests.contract.stores import START, MemoryClock, NumberedIds, Stores, memory_stores, postgres_stores
from tests.support.settable_clock import SettableClock

STEPS_COUNT = 400
LOCKS_MAX = 4
NAMES = ("a", "b", "c", "d", "e", "f")
Act = Callable[[LockStore], Awaitable[Any]]


def drawn(dice: Random, known: list[Lock]) -> tuple[str, Act]:
    """One step, its arguments drawn once; mostly about what was acquired of late."""
    tenant: TenantId = dice.choice((ACME, ACME, GLOBEX))
    name, token, ttl = dice.choice(NAMES), dice.randint(1, 12), float(dice.choice((1, 5, 5000)))
    if known and dice.random() < 0.6:
        lock = dice.choice(known[-4:])
        tenant, name, token = lock.tenant_id, lock.name, lock.token
    holder = dice.choice((None, None, "h0", "h1"))
    claim = LockClaim(f"h{dice.randrange(2)}", ttl, dice.choice(("", "k1", "k2")))
    steps: dict[str, Act] = {
        "acquire": lambda store: store.acquire_if_free(tenant, name, claim, ACQUIRE),
        "renew": lambda store: store.renew_if_held(tenant, name, hold(token, holder), ttl),
        "release": lambda store: store.release_if_held(tenant, name, hold(token, holder), RELEASE),
        "break": lambda store: store.break_if_held(tenant, name, BREAK),
        "get": lambda store: store.get(tenant, name),
        "page": lambda store: store.page(tenant, dice_held, PageRequest(2, 1)),
    }
    dice_held = dice.choice((None, True, False))
    (kind,) = dice.choices(list(steps), (8, 8, 4, 1, 2, 2))
    return kind, steps[kind]


async def told(act: Act, store: LockStore) -> str:
    try:
        return str(await act(store))
    except DomainError as refusal:
        return f"refused: {refusal.code}"


async def snapshot(stores: Stores, store: LockStore) -> list[str]:
    shown: list[str] = []
    for tenant in (ACME, GLOBEX):
        shown.append(str(await store.page(tenant, None, PageRequest(500))))
        events = await stores.events.after(EventFilter(tenant), None, 500)
        shown.append(str([(one.type, one.subject, one.data) for one in events]))
        shown.append(str(sorted(str(entry) for entry in await stores.audit.audit_of(tenant))))
    return shown


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_memory_and_postgres_agree_about_locks(
    seed: int, api_pool: Pool, service_pool: Pool, owner_pool: Pool, test_clock: SettableClock
) -> None:
    await test_clock.set(START)
    clock, dice = MemoryClock(), Random(seed)
    database = MemoryDatabase(clock.read, NumberedIds())
    memory_side = memory_stores(database, clock)
    postgres_side = postgres_stores(api_pool, service_pool, owner_pool, test_clock)
    for side in (memory_side, postgres_side):
        await create_tenants(side.tenants)
    memory, postgres = MemoryLockStore(database, LOCKS_MAX), PostgresLockStore(api_pool, LOCKS_MAX)
    succeeded: set[str] = set()
    trail: list[str] = []
    known: list[Lock] = []
    for number in range(STEPS_COUNT):
        seconds = dice.choice((0.001, 0.5, 1.0, 2.0))
        for each in (clock, test_clock):
            await each.advance(seconds)
        kind, act = drawn(dice, known)
        one, two = await told(act, memory), await told(act, postgres)
        known += [lock for lock in database.locks_state.locks.values() if lock not in known]
        trail.append(f"{kind}: {one}")
        assert one == two, "\n".join([*trail[-20:], two])
        succeeded |= {kind if one != "None" and not one.startswith("refused") else one}
        if number % 40 == 39:
            assert await snapshot(memory_side, memory) == await snapshot(postgres_side, postgres), trail[-40:]

    assert {"acquire", "renew", "release", "break", "get", "page", "refused: QUOTA_EXCEEDED"} <= succeeded
