import asyncio
from datetime import timedelta

import pytest

from rota.domain.errors import DomainError
from rota.domain.ids import TenantId
from rota.domain.lock import LOCK_FREE_DAYS_KEPT, Lock, LockClaim, LockToken
from rota.domain.page import PageRequest
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.locks import BIRTHS_PER_PRUNING, MemoryLockStore
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.locks import PostgresLockStore
from tests.contract.lock_stores import ACQUIRE, BREAK, RELEASE, LockStores, hold
from tests.contract.records import ACME, GLOBEX
from tests.contract.stores import START, Stores

DAY_SECONDS = 86_400


@pytest.fixture
def locks(backend: str, stores: Stores, request: pytest.FixtureRequest) -> LockStores:
    if backend == "memory":
        database: MemoryDatabase = request.getfixturevalue("memory_database")
        return LockStores(stores, MemoryLockStore(database), lambda count: MemoryLockStore(database, count))
    pool: Pool = request.getfixturevalue("api_pool")
    return LockStores(stores, PostgresLockStore(pool), lambda count: PostgresLockStore(pool, count))


def later(seconds: float) -> object:
    return START + timedelta(seconds=seconds)


async def test_a_lock_that_nobody_ever_held_is_taken_with_the_first_token(locks: LockStores) -> None:
    taken = await locks.acquire("a", ttl_seconds=30)

    expected = Lock(ACME, "nightly", LockToken(1), "a", True, START, START + timedelta(seconds=30), None, START)
    assert taken == expected
    assert taken.remaining_seconds == 30
    assert await locks.store.get(ACME, "nightly") == expected


async def test_a_held_lock_is_nobody_elses_and_not_its_holders_again(locks: LockStores) -> None:
    await locks.acquire("a", ttl_seconds=30)
    await locks.base.clock.advance(10)

    for holder in ("b", "a"):
        seen = await locks.attempt(holder, ttl_seconds=60)
        assert (seen.acquired, seen.lock.holder, seen.lock.token, seen.lock.remaining_seconds) == (False, "a", 1, 20)


async def test_a_repetition_under_its_key_gives_the_same_token_while_it_is_held(locks: LockStores) -> None:
    first = await locks.attempt("a", key="k1")
    again = await locks.attempt("a", key="k1")
    other = await locks.attempt("a", key="k2")
    await locks.base.clock.advance(30)
    late = await locks.attempt("a", key="k1")

    assert (again.acquired, again.lock.token) == (True, first.lock.token)
    assert other.acquired is False
    assert (late.acquired, late.lock.token) == (True, first.lock.token + 1)


@pytest.mark.parametrize("next_holder", ["a", "b"])
async def test_each_acquisition_by_anybody_raises_the_token(locks: LockStores, next_holder: str) -> None:
    await locks.acquire("a", ttl_seconds=2)
    await locks.base.clock.advance(2)
    taken = await locks.acquire(next_holder)

    assert (taken.token, taken.holder, taken.acquired_at) == (2, next_holder, later(2))


async def test_a_renewal_is_for_the_token_while_it_holds(locks: LockStores) -> None:
    await locks.acquire("a", ttl_seconds=2)
    await locks.base.clock.advance(1)
    renewed = await locks.store.renew_if_held(ACME, "nightly", hold(1), 5)
    named = await locks.store.renew_if_held(ACME, "nightly", hold(1, "a"), 2)
    refused = [
        await locks.store.renew_if_held(*wrong, 60)
        for wrong in (
            (ACME, "nightly", hold(2)),
            (ACME, "nightly", hold(1, "b")),
            (ACME, "weekly", hold(1)),
            (GLOBEX, "nightly", hold(1)),
        )
    ]
    await locks.base.clock.advance(2)
    too_late = await locks.store.renew_if_held(ACME, "nightly", hold(1), 2)

    assert renewed is not None
    assert (renewed.token, renewed.expires_at, renewed.acquired_at, renewed.held) == (1, later(6), START, True)
    assert named is not None
    assert named.expires_at == later(3)
    assert (refused, too_late) == ([None] * 4, None)


async def test_a_released_lock_is_free_at_once_and_its_next_token_is_higher(locks: LockStores) -> None:
    await locks.acquire("a", ttl_seconds=60)
    foreign = await locks.store.release_if_held(GLOBEX, "nightly", hold(1), RELEASE)
    wrong = await locks.store.release_if_held(ACME, "nightly", hold(1, "b"), RELEASE)
    released = await locks.store.release_if_held(ACME, "nightly", hold(1), RELEASE)
    again = await locks.store.release_if_held(ACME, "nightly", hold(1), RELEASE)
    renewed = await locks.store.renew_if_held(ACME, "nightly", hold(1), 60)
    taken = await locks.acquire("b")

    assert (foreign, wrong, again, renewed) == (None, None, None, None)
    assert released is not None
    assert (released.held, released.released_at, released.remaining_seconds) == (False, START, 0)
    assert (taken.token, taken.holder, taken.released_at) == (2, "b", None)


async def test_what_changes_a_holder_is_audited_and_a_renewal_is_not(locks: LockStores) -> None:
    await locks.acquire("a")
    await locks.attempt("b")
    await locks.store.renew_if_held(ACME, "nightly", hold(1), 30)
    await locks.base.clock.advance(1)
    await locks.store.release_if_held(ACME, "nightly", hold(1), RELEASE)
    await locks.store.release_if_held(ACME, "nightly", hold(1), RELEASE)
    await locks.base.clock.advance(1)
    await locks.acquire("b")
    await locks.base.clock.advance(1)
    await locks.store.break_if_held(ACME, "nightly", BREAK)

    entries = [entry for entry in await locks.base.audit.audit_of(ACME) if entry.resource == "lock"]
    assert entries == [ACQUIRE, RELEASE, ACQUIRE, BREAK]


async def test_only_what_went_wrong_is_an_event(locks: LockStores) -> None:
    await locks.acquire("a", ttl_seconds=5)
    await locks.store.release_if_held(ACME, "nightly", hold(1), RELEASE)
    await locks.acquire("a", ttl_seconds=5)
    await locks.base.clock.advance(5)
    await locks.acquire("b", ttl_seconds=5)
    broken = await locks.store.break_if_held(ACME, "nightly", BREAK)
    nobody = await locks.store.break_if_held(ACME, "nightly", BREAK)

    assert broken is not None
    assert (broken.held, broken.released_at, nobody) == (False, later(5), None)
    assert await locks.events() == [
        ("LockLost", "nightly", {"token": 2, "holder": "a", "next_token": 3, "next_holder": "b"}),
        ("LockBroken", "nightly", {"token": 3, "holder": "b"}),
    ]


async def test_a_name_is_another_lock_in_another_tenant(locks: LockStores) -> None:
    await locks.acquire("a")
    theirs = await locks.store.acquire_if_free(GLOBEX, "nightly", LockClaim("g", 30), ACQUIRE)

    assert (theirs.acquired, theirs.lock.tenant_id, theirs.lock.token) == (True, GLOBEX, 1)
    assert (await locks.store.get(ACME, "nightly")).holder == "a"
    page = await locks.store.page(GLOBEX, None, PageRequest())
    assert [lock.holder for lock in page.items] == ["g"]


async def test_an_unknown_lock_or_tenant_is_not_found(locks: LockStores) -> None:
    await locks.acquire("a")
    for tenant_id, name in ((ACME, "weekly"), (GLOBEX, "nightly")):
        with pytest.raises(DomainError, match="there is no lock") as refused:
            await locks.store.get(tenant_id, name)
        assert refused.value.code == "NOT_FOUND"
    with pytest.raises(DomainError) as unknown:
        await locks.store.acquire_if_free(TenantId("nobody"), "x", LockClaim("a", 30), ACQUIRE)
    assert unknown.value.code == "NOT_FOUND"


async def test_a_revoked_tenant_takes_no_lock(locks: LockStores) -> None:
    await locks.acquire("a", ttl_seconds=2)
    await locks.base.tenants.revoke(ACME, BREAK)
    await locks.base.clock.advance(2)
    for name in ("nightly", "weekly"):
        with pytest.raises(DomainError) as refused:
            await locks.attempt("b", name)
        assert refused.value.code == "STATE_CONFLICT"
    assert await locks.names() == ["nightly"]


async def test_locks_are_listed_by_name_held_and_free(locks: LockStores) -> None:
    for name in ("b", "Z", "a", "c"):
        await locks.acquire("h", name, ttl_seconds=60 if name < "b" else 10)
    await locks.base.clock.advance(10)
    everything = await locks.store.page(ACME, None, PageRequest(limit=3))
    rest = await locks.store.page(ACME, None, PageRequest(limit=3, cursor=everything.next_cursor))
    by_offset = await locks.store.page(ACME, None, PageRequest(limit=2, offset=1))
    held = await locks.store.page(ACME, True, PageRequest())
    free = await locks.store.page(ACME, False, PageRequest())
    none = await locks.store.page(GLOBEX, None, PageRequest())

    assert [lock.name for lock in everything.items + rest.items] == ["Z", "a", "b", "c"]
    assert [lock.name for lock in by_offset.items] == ["a", "b"]
    assert (everything.total_count, rest.next_cursor) == (4, None)
    assert ([lock.name for lock in held.items], held.total_count) == (["Z", "a"], 2)
    assert [(lock.name, lock.held, lock.released_at) for lock in free.items] == [("b", False, None), ("c", False, None)]
    assert (none.items, none.total_count) == ((), 0)


async def test_a_full_tenant_makes_room_of_free_locks_and_refuses_when_all_are_held(locks: LockStores) -> None:
    small = locks.with_room_for(2)
    await locks.acquire("a", "one", ttl_seconds=10)
    await locks.acquire("a", "two", ttl_seconds=60)
    with pytest.raises(DomainError) as refused:
        await small.acquire_if_free(ACME, "three", LockClaim("a", 30), ACQUIRE)
    theirs = await small.acquire_if_free(GLOBEX, "three", LockClaim("g", 30), ACQUIRE)
    await locks.base.clock.advance(10)
    taken = await small.acquire_if_free(ACME, "three", LockClaim("a", 30), ACQUIRE)

    assert (refused.value.code, theirs.acquired, taken.acquired) == ("QUOTA_EXCEEDED", True, True)
    assert await locks.names() == ["three", "two"]


async def test_a_pruned_lock_comes_back_with_a_higher_token_than_it_ever_had(locks: LockStores) -> None:
    small = locks.with_room_for(1)
    for _ in range(5):
        await locks.acquire("a", "one", ttl_seconds=1)
        await locks.base.clock.advance(1)
    two = await small.acquire_if_free(ACME, "two", LockClaim("a", 1), ACQUIRE)
    assert await locks.names() == ["two"]
    await locks.base.clock.advance(1)
    one = await small.acquire_if_free(ACME, "one", LockClaim("b", 1), ACQUIRE)

    assert await locks.names() == ["one"]
    assert two.lock.token > 5
    assert one.lock.token > 5
    assert await locks.store.renew_if_held(ACME, "one", hold(5), 60) is None


async def test_locks_that_were_free_for_a_week_are_pruned_as_others_are_born(locks: LockStores) -> None:
    await locks.acquire("a", "old", ttl_seconds=1)
    await locks.base.clock.advance(DAY_SECONDS)
    await locks.acquire("a", "recent", ttl_seconds=1)
    await locks.base.clock.advance(DAY_SECONDS * (LOCK_FREE_DAYS_KEPT - 1) + 1)
    for number in range(BIRTHS_PER_PRUNING - 2):
        await locks.acquire("a", f"n{number}", ttl_seconds=60)

    names = await locks.names()
    assert "old" not in names
    assert {"recent", "n0", "n97"} <= set(names)
    assert (await locks.acquire("a", "old")).token > 1


async def test_of_many_that_want_a_lock_one_gets_it(locks: LockStores) -> None:
    for token in (1, 2, 3):
        answers = await asyncio.gather(*(locks.attempt(f"h{number}", ttl_seconds=5) for number in range(20)))
        (winner,) = [answer.lock for answer in answers if answer.acquired]
        assert winner.token == token
        assert {answer.lock.holder for answer in answers} == {winner.holder}
        await locks.base.clock.advance(5)
