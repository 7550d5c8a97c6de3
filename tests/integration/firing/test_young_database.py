"""The leader's statements keep the plans of the hour in which nothing was there yet."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest

from rota.adapters.system_clock import SystemClock
from rota.composition.database import leader_pool
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.query_files import query
from tests.integration.plans.plans import explained, tables_scanned_whole
from tests.support.postgres import ClonedDatabase

NOTHING = ("firing", 1, "x", *["{}"] * 3, [], [], *["{}"] * 2, [], "", *[[]] * 5, "{}", [], [], *["{}"] * 3)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
ARGUMENTS: dict[str, tuple[object, ...]] = {
    "triggers/look_ahead": (5.0, LONG_AGO, True, LONG_AGO),
    "triggers/look_first": (),
    "live_runs/find_lost_since": (5.0, 500, LONG_AGO),
    "triggers/list_due": (1_000, None, None),
    "triggers/apply_advances": (*NOTHING, [], [], [], "x", *[[]] * 7),
}
# Of one row per lease, worker or tenant: small for ever.
SMALL = {"leases", "workers"}

pytestmark = pytest.mark.both_engines


@pytest.fixture
async def pool(database: ClonedDatabase) -> AsyncGenerator[Pool]:
    async with leader_pool(database.urls, SystemClock()) as opened:
        yield opened


@pytest.mark.parametrize("name", ARGUMENTS)
async def test_a_plan_made_for_empty_tables_still_goes_by_index(pool: Pool, name: str) -> None:
    """A sequential scan per due trigger made a hundred thousand of them five times slower."""
    async with pool.acquire() as connection:
        await connection.execute("BEGIN")
        plan = await explained(connection, "force_generic_plan", query(name), *ARGUMENTS[name])
        await connection.execute("ROLLBACK")

    assert tables_scanned_whole(plan) - SMALL == set()
