import pytest

from rota.storage.memory.database import MemoryDatabase
from rota.storage.postgres.driver import Pool
from tests.contract.records import create_tenants
from tests.contract.run_stores import memory_run_stores, postgres_run_stores
from tests.contract.stores import START, MemoryClock, NumberedIds, memory_stores, postgres_stores
from tests.property.run_differential.steps import STEPS
from tests.property.run_differential.worlds import Dice, World, Worlds
from tests.support.settable_clock import SettableClock

STEPS_COUNT = 250
STEPS_COUNT_MAX = 600
COMPARED_EVERY = 10


@pytest.fixture
async def worlds(api_pool: Pool, service_pool: Pool, owner_pool: Pool, test_clock: SettableClock) -> Worlds:
    await test_clock.set(START)
    clock = MemoryClock()
    database = MemoryDatabase(clock.read, NumberedIds())
    memory = memory_run_stores(memory_stores(database, clock), database)
    base = postgres_stores(api_pool, service_pool, owner_pool, test_clock)
    postgres = postgres_run_stores(base, api_pool, service_pool)
    for stores in (memory, postgres):
        await create_tenants(stores.base.tenants)
    return Worlds(World(memory), World(postgres))


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_memory_and_postgres_tell_the_same_story(worlds: Worlds, seed: int) -> None:
    dice = Dice(seed)
    kinds, weights = list(STEPS), list(STEPS.values())
    for number in range(STEPS_COUNT_MAX):
        if number >= STEPS_COUNT and len(worlds.succeeded) == len(kinds) and worlds.postgres.woken:
            break
        # Births are a millisecond or more apart, so that ids of different batches have an order on both sides.
        await worlds.advance(dice.choice((0.001, 0.001, 0.001, 0.5, 2.0)))
        (kind,) = dice.choices(kinds, weights)
        act = kind(worlds, dice)
        if act is not None:
            await worlds.step(kind.__name__, act)
        if number % COMPARED_EVERY == 0:
            await worlds.compare()
    await worlds.compare()

    assert worlds.postgres.woken > 0, "no turn was waited for"
    assert set(worlds.succeeded) == {kind.__name__ for kind in kinds}, f"seed {seed}: {worlds.succeeded}"
