"""The PostgreSQL stores over the test's own database, with two tenants; the clock runs."""

import pytest

from rota.storage.postgres.driver import Pool
from tests.contract.records import create_tenants
from tests.contract.stores import Stores, postgres_stores
from tests.support.settable_clock import SettableClock


@pytest.fixture
async def stores(api_pool: Pool, service_pool: Pool, owner_pool: Pool) -> Stores:
    made = postgres_stores(api_pool, service_pool, owner_pool, SettableClock(owner_pool))
    await create_tenants(made.tenants)
    return made
