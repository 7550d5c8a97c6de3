"""What is asked all the time reads no more because there are many schedules; and many overdue ones fire once each."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from rota.domain.ids import Epoch
from rota.domain.lease import Fence
from rota.services.firing import TRIGGERS_PER_BATCH_MAX, Firing
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.firing import PostgresFiringStore
from rota.storage.postgres.query_files import query
from tests.integration.plans.plans import PLAN_MODES, rows_read
from tests.unit.services.virtual_time import FixedLeadership, LoudWakeups

SCHEDULES_COUNT = 40_000
PAUSED_COUNT = 50
OVERDUE_COUNT = 5_500
PAGE = 50
COUNT_MAX = 1_000
FEW = 40
ALL = ("acme", "", "z", None, None, "", "00000000-0000-0000-0000-000000000000", PAGE + 1, 0)

_REGISTER = """
WITH made AS (
    INSERT INTO scheduler.schedules (id, tenant_id, name, enabled, target, policies, created_at, created_by, updated_at,
                                     updated_by)
    SELECT gen_random_uuid(), 'acme', 'schedule ' || n, n > $2, '{"kind": "task", "task": "noop"}', $3::text::json,
           now(), 'test', now(), 'test'
      FROM generate_series(1, $1::integer) AS n
    RETURNING id, enabled)
INSERT INTO scheduler.triggers (id, schedule_id, tenant_id, position, spec, anchor_at, next_fire_at)
SELECT gen_random_uuid(), id, 'acme', place, '{"kind": "at", "at": "2026-01-01T00:00:00Z"}', $4::timestamptz,
       CASE WHEN enabled THEN $4::timestamptz END
  FROM made, generate_series(1, $5::integer) AS place
"""

pytestmark = [pytest.mark.both_engines, pytest.mark.timeout(120)]


async def register(admin: Connection, count: int, paused: int, due_at: datetime, triggers: int = 1) -> None:
    await admin.execute("INSERT INTO scheduler.tenants (id, name, created_by) VALUES ('acme', 'Acme', 'test')")
    await admin.execute(_REGISTER, count, paused, '{"overlap": "skip"}', due_at, triggers)
    await admin.execute("VACUUM (ANALYZE) scheduler.schedules, scheduler.triggers")


@asynccontextmanager
async def explaining(pool: Pool) -> AsyncGenerator[Connection]:
    async with pool.acquire() as connection:
        await connection.execute("BEGIN")
        await connection.execute("SELECT set_config('rota.tenant', 'acme', true)")
        yield connection
        await connection.execute("ROLLBACK")


async def test_what_is_asked_all_the_time_reads_few_rows_of_many(
    admin_connection: Connection, service_pool: Pool, api_pool: Pool
) -> None:
    await register(admin_connection, SCHEDULES_COUNT, PAUSED_COUNT, datetime(2100, 1, 1, tzinfo=UTC))
    asked: dict[str, tuple[Pool, tuple[object, ...], int]] = {
        "triggers/look_ahead": (service_pool, (5.0, None, False, None), FEW),
        "triggers/list_due": (service_pool, (1_000, None, None), FEW),
        # A page of the walk: its schedules, and their triggers.
        "schedules/page_live": (api_pool, (*ALL, SCHEDULES_COUNT, None, None), 3 * PAGE + FEW),
        "schedules/page_paused": (
            api_pool,
            (*ALL[:3], False, *ALL[4:], None, None, None),
            3 * PAGE + PAUSED_COUNT + FEW,
        ),
    }
    found: dict[str, tuple[int, int]] = {}
    for name, (pool, arguments, most) in asked.items():
        for mode in PLAN_MODES:
            async with explaining(pool) as connection:
                found[f"{name} {mode}"] = (await rows_read(connection, mode, query(name), *arguments), most)
    async with explaining(api_pool) as connection:
        overview = (*ALL, None, COUNT_MAX, None)
        read = await rows_read(connection, PLAN_MODES[0], query("schedules/page_live"), *overview)
        found["overview"] = (read, COUNT_MAX + 3 * PAGE + FEW)

    assert {name: rows for name, (rows, most) in found.items() if rows > most} == {}


async def overdue(admin: Connection, triggers: int) -> None:
    await register(admin, OVERDUE_COUNT, 0, datetime(2026, 1, 1, tzinfo=UTC), triggers)
    await admin.execute("INSERT INTO scheduler.leases VALUES ('leader', 1, 'me', now(), now() + interval '1 day')")


async def fired_by(admin: Connection, *leaders: Firing) -> dict[str, tuple[int, int, int]]:
    """Of each state: how many runs, of how many triggers and schedules, once nothing is due."""
    due: int = 1
    while due:
        await asyncio.gather(*(leader.fire_due() for leader in leaders))
        due = await admin.fetchval("SELECT count(*) FROM scheduler.triggers WHERE next_fire_at <= now()")
    rows = await admin.fetch(
        "SELECT state, count(*), count(DISTINCT trigger_id), count(DISTINCT schedule_id)"
        " FROM scheduler.runs GROUP BY state"
    )
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


def leader_on(pool: Pool) -> Firing:
    return Firing(PostgresFiringStore(pool), FixedLeadership(Fence("leader", Epoch(1), "me")), LoudWakeups())


async def test_after_an_outage_the_lanes_fire_each_schedule_once_though_two_of_its_triggers_are_due(
    admin_connection: Connection, service_pool: Pool
) -> None:
    await overdue(admin_connection, triggers=2)
    found = await fired_by(admin_connection, leader_on(service_pool))

    assert OVERDUE_COUNT > 2 * TRIGGERS_PER_BATCH_MAX
    assert found == dict.fromkeys(("queued", "skipped"), (OVERDUE_COUNT,) * 3)
    assert await admin_connection.fetchval("SELECT count(*) FROM scheduler.live_runs") == OVERDUE_COUNT


async def test_a_nominal_time_fires_once_though_two_leaders_with_two_lanes_each_try(
    admin_connection: Connection, service_pool: Pool
) -> None:
    """A process that does not know that it was followed reads and applies the same batches."""
    await overdue(admin_connection, triggers=1)
    found = await fired_by(admin_connection, leader_on(service_pool), leader_on(service_pool))

    assert found == {"queued": (OVERDUE_COUNT,) * 3}
