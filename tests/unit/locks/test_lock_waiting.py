"""Waiting on virtual time, over the memory store: bounded, in order, woken by a release, and out of others' way."""

import asyncio
from datetime import timedelta

import pytest

from rota.adapters.system_clock import SystemClock
from rota.domain.errors import DomainError, Unavailable
from rota.domain.ids import TenantId, TokenId
from rota.domain.lock import Acquisition, Lock, LockClaim
from rota.domain.tenancy import AuditEntry
from rota.services.acting import Actor
from rota.services.lock_verbs import LockRelease, LockRequest, LockVerbs
from rota.services.lock_waiting import ATTEMPTS_PER_TENANT_MAX, WAITERS_PER_TENANT_MAX
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.locks import MemoryLockStore
from rota.storage.memory.tenants import MemoryTenantStore
from rota.storage.memory.wakeups import MemoryWakeups
from tests.contract.records import ACME, GLOBEX, create_tenants
from tests.contract.stores import START, NumberedIds
from tests.unit.services.virtual_time import VirtualClock


def actor(tenant_id: TenantId = ACME) -> Actor:
    return Actor(tenant_id, "ada", TokenId("0" * 8), "operator")


class CountingStore(MemoryLockStore):
    """Counts attempts, and those that are at the store at once; may be held up or away."""

    def __init__(self, database: MemoryDatabase) -> None:
        super().__init__(database)
        self.attempts: list[str] = []
        self.inside: dict[TenantId, int] = {}
        self.inside_max: dict[TenantId, int] = {}
        self.gate: asyncio.Event | None = None
        self.away = 0

    async def acquire_if_free(self, tenant_id: TenantId, name: str, claim: LockClaim, audit: AuditEntry) -> Acquisition:
        self.attempts.append(claim.holder)
        self.inside[tenant_id] = self.inside.get(tenant_id, 0) + 1
        self.inside_max[tenant_id] = max(self.inside[tenant_id], self.inside_max.get(tenant_id, 0))
        try:
            if self.gate is not None and tenant_id == ACME:
                await self.gate.wait()
            if self.away:
                self.away -= 1
                raise Unavailable("the row is held by a stalled process")
            return await super().acquire_if_free(tenant_id, name, claim, audit)
        finally:
            self.inside[tenant_id] -= 1


class House:
    """The verbs over one memory store, on one virtual clock."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        began = self.clock.now
        self.database = MemoryDatabase(lambda: START + timedelta(seconds=self.clock.now - began), NumberedIds())
        self.store = CountingStore(self.database)
        self.verbs = LockVerbs(self.store, MemoryWakeups(), self.clock)

    async def acquire(self, holder: str, wait: float = 0.0, ttl: float = 60.0, tenant: TenantId = ACME) -> Lock:
        return await self.verbs.acquire(actor(tenant), "nightly", LockRequest(holder, ttl, wait), None)

    def waiting(self, holder: str, wait: float = 30.0, ttl: float = 60.0) -> "asyncio.Task[Lock]":
        return asyncio.create_task(self.acquire(holder, wait, ttl))

    async def release(self, lock: Lock) -> None:
        await self.verbs.release(actor(lock.tenant_id), lock.name, LockRelease(lock.token))


@pytest.fixture
async def house() -> House:
    made = House()
    await create_tenants(MemoryTenantStore(made.database))
    return made


async def test_without_patience_the_answer_comes_at_once_and_names_the_holder(house: House) -> None:
    await house.acquire("a")
    with pytest.raises(DomainError, match="held by 'a' until") as refused:
        await house.acquire("b")
    assert refused.value.code == "LOCK_HELD"


async def test_a_wait_ends_in_time_for_the_first_and_for_those_behind(house: House) -> None:
    await house.acquire("a")
    verbs = LockVerbs(house.store, MemoryWakeups(), SystemClock())
    waiting = [verbs.acquire(actor(), "nightly", LockRequest(holder, 60, 0.2), None) for holder in ("b", "c")]
    async with asyncio.timeout(5):
        refusals = await asyncio.gather(*waiting, return_exceptions=True)
    for refusal in refusals:
        assert isinstance(refusal, DomainError)
        assert refusal.code == "LOCK_HELD"


async def test_a_release_wakes_the_first_in_line_at_once_and_the_rest_follow_in_order(house: House) -> None:
    lock = await house.acquire("a")
    waiting = [house.waiting(holder) for holder in ("b", "c", "d")]
    await house.clock.run_for(0.1)
    served: list[str] = []
    for one in waiting:
        await house.release(lock)
        await house.clock.run_for(0.0)
        assert one.done()
        lock = one.result()
        served.append(lock.holder)
    assert served == ["b", "c", "d"]


async def test_those_behind_the_first_do_not_ask_the_store(house: House) -> None:
    await house.acquire("a")
    house.store.attempts.clear()
    waiting = [house.waiting(f"w{number}") for number in range(50)]
    await house.clock.run_for(5)
    assert set(house.store.attempts) == {"w0"}
    assert len(house.store.attempts) <= 12
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_an_abandoned_wait_gives_its_turn_to_the_next(house: House) -> None:
    lock = await house.acquire("a")
    first, second = house.waiting("b"), house.waiting("c")
    await house.clock.run_for(0.1)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await house.release(lock)
    await house.clock.run_for(0.1)
    assert second.result().holder == "c"


async def test_a_holder_that_lets_its_time_end_is_followed_then(house: House) -> None:
    await house.acquire("a", ttl=1.2)
    waiting = house.waiting("b")
    await house.clock.run_for(1.19)
    assert not waiting.done()
    await house.clock.run_for(0.02)
    assert waiting.result().token == 2


async def test_a_stalled_row_is_waited_out(house: House) -> None:
    house.store.away = 2
    waiting = house.waiting("a")
    await house.clock.run_for(1.1)
    assert waiting.result().token == 1
    house.store.away = 1
    with pytest.raises(Unavailable):
        await house.acquire("b")


async def test_a_tenant_whose_attempts_hang_takes_a_few_places_and_leaves_the_rest(house: House) -> None:
    house.store.gate = asyncio.Event()
    hanging = [
        asyncio.create_task(house.verbs.acquire(actor(), f"n{number}", LockRequest("a", 60), None))
        for number in range(20)
    ]
    await house.clock.run_for(0.1)
    assert (await house.acquire("g", tenant=GLOBEX)).holder == "g"
    assert house.store.inside_max[ACME] == ATTEMPTS_PER_TENANT_MAX
    house.store.gate.set()
    assert len(await asyncio.gather(*hanging)) == 20


async def test_so_many_may_wait_and_no_more_and_another_tenant_still_may(house: House) -> None:
    await house.acquire("a")
    waiting = [house.waiting(f"w{number}") for number in range(WAITERS_PER_TENANT_MAX)]
    await house.clock.run_for(0.1)
    with pytest.raises(DomainError) as refused:
        await house.acquire("late", wait=1)
    assert refused.value.code == "RATE_LIMITED"
    assert (await house.acquire("g", wait=1, tenant=GLOBEX)).holder == "g"
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert (await asyncio.gather(house.acquire("late", wait=0), return_exceptions=True))[0] is not None


@pytest.mark.parametrize(
    ("name", "holder", "ttl_seconds", "wait_seconds", "fields"),
    [
        ("a/b", "h", 30, 0, ["name"]),
        ("", " h", 0.5, 31, ["name", "holder", "ttl_seconds", "wait_seconds"]),
        ("x" * 201, "h" * 201, 3601, -1, ["name", "holder", "ttl_seconds", "wait_seconds"]),
        ("-x", "h\n", float("nan"), float("inf"), ["name", "holder", "ttl_seconds", "wait_seconds"]),
    ],
)
async def test_each_wrong_value_is_named(
    house: House, name: str, holder: str, ttl_seconds: float, wait_seconds: float, fields: list[str]
) -> None:
    with pytest.raises(DomainError) as refused:
        await house.verbs.acquire(actor(), name, LockRequest(holder, ttl_seconds, wait_seconds), None)
    assert [problem.field for problem in refused.value.problems] == fields
    assert house.store.attempts == []
