"""The API over PostgreSQL: `empty_world` has two tenants and their tokens, `world` also has objects in the first."""

from collections.abc import AsyncGenerator

import pytest

from rota.storage.postgres.driver import Pool
from tests.integration.api.job_world import furnish_jobs
from tests.integration.api.world import World, build_world, furnish


@pytest.fixture
async def empty_world(api_pool: Pool, service_pool: Pool, owner_pool: Pool) -> AsyncGenerator[World]:
    world = await build_world(api_pool, service_pool, owner_pool)
    async with world.client:
        yield world


@pytest.fixture(name="world")
async def furnished_world(empty_world: World) -> World:
    await furnish(empty_world)
    await furnish_jobs(empty_world)
    return empty_world
