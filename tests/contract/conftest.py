"""One suite per port over every backend: ask for `stores`, or for `backend` and build upon it.

`memory_database` and the pools of `tests/conftest.py` are of the same test, so another suite composes its own stores
over them. The clock of each backend stands at `START` until the test moves it.
"""

import pytest

from rota.storage.memory.database import MemoryDatabase
from rota.storage.postgres.driver import Pool
from tests.contract.records import create_tenants
from tests.contract.run_stores import RunStores, memory_run_stores, postgres_run_stores
from tests.contract.stores import BACKENDS, START, MemoryClock, NumberedIds, StoreClock, Stores
from tests.contract.stores import memory_stores as memory_stores_over
from tests.contract.stores import postgres_stores as postgres_stores_over
from tests.support.settable_clock import SettableClock


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """`memory`, `pg18`, `pg15`."""
    return str(request.param)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """The server behind the pools: the backend's, and the embedded one for a test without a backend."""
    if "backend" in request.fixturenames:
        return str(request.getfixturevalue("backend"))
    return str(getattr(request, "param", "pg18"))


@pytest.fixture
def memory_clock() -> MemoryClock:
    return MemoryClock()


@pytest.fixture
def memory_database(memory_clock: MemoryClock) -> MemoryDatabase:
    return MemoryDatabase(memory_clock.read, NumberedIds())


@pytest.fixture
async def stopped_clock(test_clock: SettableClock) -> SettableClock:
    """The database's clock, standing at `START`."""
    await test_clock.set(START)
    return test_clock


@pytest.fixture
def store_clock(backend: str, request: pytest.FixtureRequest) -> StoreClock:
    """The backend's clock, standing at `START`."""
    clock: StoreClock = request.getfixturevalue("memory_clock" if backend == "memory" else "stopped_clock")
    return clock


@pytest.fixture
def postgres_stores(api_pool: Pool, service_pool: Pool, owner_pool: Pool, stopped_clock: SettableClock) -> Stores:
    return postgres_stores_over(api_pool, service_pool, owner_pool, stopped_clock)


@pytest.fixture
def memory_stores(memory_database: MemoryDatabase, memory_clock: MemoryClock) -> Stores:
    return memory_stores_over(memory_database, memory_clock)


@pytest.fixture
def bare_stores(backend: str, request: pytest.FixtureRequest) -> Stores:
    """The backend's stores, with nothing in them."""
    stores: Stores = request.getfixturevalue("memory_stores" if backend == "memory" else "postgres_stores")
    return stores


@pytest.fixture
async def stores(bare_stores: Stores) -> Stores:
    """The backend's stores, with the tenants `acme` and `globex`."""
    await create_tenants(bare_stores.tenants)
    return bare_stores


@pytest.fixture
def runs(backend: str, stores: Stores, request: pytest.FixtureRequest) -> RunStores:
    """The backend's stores of runs, workers, leases and firing, over the same database as `stores`."""
    if backend == "memory":
        return memory_run_stores(stores, request.getfixturevalue("memory_database"))
    return postgres_run_stores(stores, request.getfixturevalue("api_pool"), request.getfixturevalue("service_pool"))
