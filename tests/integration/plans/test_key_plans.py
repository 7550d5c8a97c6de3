"""What a concurrency key costs does not grow with the runs that wait for its places."""

import pytest

from rota.domain.ids import TenantId
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.lane_looks import LaneLooks
from tests.integration.plans.test_run_plans import FEW, LIMIT, LIVE_WORKER, over, reads

pytestmark = [pytest.mark.timeout(120)]

BACKLOG_COUNT = 1_000_000
KEY = "f0000000-0000-4000-8000-000000000001"
SERIAL_KEY = "f0000000-0000-4000-8000-000000000002"
SCHEDULE = "00000000-0000-4000-8000-000000000003"
LIGHT = TenantId("light")
DELAYED_KEYS_COUNT = 1_000
PASSES_MAX = 3
PARKED_PER_PASS_MAX = 1_000
# Its entry and row, which are read again to be locked and changed, and the entries that it left behind.
PASSED_PER_PARKED = 8

_TENANT = "INSERT INTO scheduler.tenants (id, name, created_by) VALUES ('acme', 'acme', 'test')"
_WORKER = (
    "INSERT INTO scheduler.workers (id, name, state, queues, slots, tasks, hostname, pid, version, started_at,"
    " heartbeat_at, lease_expires_at)"
    " VALUES ($1, 'w', 'active', '{default}', 1000, '{}', 'h', 1, '0', now(), now(), now() + interval '1 day')"
)
_WAITING = """
    INSERT INTO scheduler.live_runs (run_id, tenant_id, due_at, timeout_seconds, priority, state, queue, is_asleep,
                                     key_id, key_max, wanted_at, schedule_id, is_serial)
    SELECT scheduler.uuid7_nth('0199' || lpad(to_hex(n >> 23), 8, '0') || lpad(to_hex(n), 12, '0'), n & 8388607),
           'acme', 'infinity', 60, 0, 'queued', 'default', true,
           CASE WHEN n % 2 = 0 THEN $1::uuid ELSE $2::uuid END, 5, now() - interval '1 hour',
           CASE WHEN n % 2 = 1 THEN $3::uuid END, n % 2 = 1
      FROM generate_series(1, $4::integer) AS n
"""
# Made when all is there: that is what takes the time.
_INDEXES = (
    """
    DROP INDEX scheduler.live_runs_queued, scheduler.live_runs_asleep, scheduler.live_runs_key_waiting,
               scheduler.live_runs_key_wanted
    """,
    "CREATE UNIQUE INDEX live_runs_queued ON scheduler.live_runs (tenant_id, run_id) WHERE state = 'queued'",
    """
    CREATE INDEX live_runs_asleep ON scheduler.live_runs (queue, due_at)
     WHERE state = 'queued' AND NOT is_parked AND is_asleep
    """,
    """
    CREATE INDEX live_runs_key_waiting ON scheduler.live_runs (key_id, queue, priority, wanted_at, run_id)
     WHERE wanted_at IS NOT NULL AND NOT is_parked
    """,
    """
    CREATE INDEX live_runs_key_wanted ON scheduler.live_runs (key_id, wanted_at)
     WHERE wanted_at IS NOT NULL AND NOT is_parked
    """,
)
_DELAYED = """
    INSERT INTO scheduler.live_runs (run_id, tenant_id, due_at, timeout_seconds, priority, state, queue, is_asleep,
                                     key_id, key_max, wanted_at)
    SELECT scheduler.uuid7_nth('0198' || repeat('0', 20), n), 'acme', 'infinity', 60, 0, 'queued', 'default', true,
           lpad(to_hex(n), 32, '0')::uuid, 5, now() + interval '1 hour'
      FROM generate_series(1, $1::integer) AS n
"""
_LOOK = "SELECT * FROM scheduler.admit_waiting('00000000-0000-0000-0000-000000000000', 200)"
_PASSED = """
    SELECT (SELECT sum(pg_stat_get_xact_tuples_returned(i.indexrelid))
              FROM pg_index i WHERE i.indrelid = 'scheduler.live_runs'::regclass)
           + pg_stat_get_xact_tuples_returned('scheduler.live_runs'::regclass)
"""


async def passed(connection: Connection, statement: str, *args: object) -> int:
    """Index entries and rows that a statement passes, in the functions that it calls, too."""
    before = await connection.fetchval(_PASSED)
    await connection.fetch(statement, *args)
    return int(await connection.fetchval(_PASSED) - before)


async def test_a_million_runs_that_wait_for_places_cost_neither_claims_nor_those_who_give_places(
    admin_connection: Connection, service_pool: Pool
) -> None:
    drop, *create = _INDEXES
    await admin_connection.execute(_TENANT)
    await admin_connection.execute(_WORKER, LIVE_WORKER)
    await admin_connection.execute(drop)
    await admin_connection.execute(_WAITING, KEY, SERIAL_KEY, SCHEDULE, BACKLOG_COUNT)
    for statement in create:
        await admin_connection.execute(statement)
    plan = LaneLooks().plan(LIMIT)
    costs = {
        **await reads(service_pool, "live_runs/claim_plain_batch", LIVE_WORKER, "default", LIMIT, *plan),
        **await reads(service_pool, "workers/renew_if_live", LIVE_WORKER, ["default"], 3.5, None),
    }
    assert over(costs, FEW) == {}
    give = "SELECT scheduler.admit_keys(ARRAY[$1::uuid], true)"
    async with service_pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        assert await passed(connection, give, KEY) <= 5 * FEW
        assert await connection.fetchval("SELECT count(*) FROM scheduler.live_runs WHERE due_at < 'infinity'") == 5
        assert await passed(connection, give, KEY) <= 2 * FEW
        assert await passed(connection, give, SERIAL_KEY) <= PASSES_MAX * PASSED_PER_PARKED * PARKED_PER_PASS_MAX
    async with service_pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        assert await passed(connection, _LOOK) <= PASSES_MAX * PASSED_PER_PARKED * PARKED_PER_PASS_MAX
    assert await admin_connection.fetchval("SELECT count(*) FROM scheduler.live_runs") == BACKLOG_COUNT


async def test_a_look_passes_the_keys_of_which_nothing_is_due_for_an_entry_each(
    admin_connection: Connection, service_pool: Pool
) -> None:
    await admin_connection.execute(_TENANT)
    await admin_connection.execute(_WORKER, LIVE_WORKER)
    await admin_connection.execute(_DELAYED, DELAYED_KEYS_COUNT)
    await admin_connection.execute(_WAITING, KEY, SERIAL_KEY, SCHEDULE, 10)
    async with service_pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        (looked,) = await connection.fetch(_LOOK)
        assert (looked["queues"], looked["last_key"]) == (["default"], None)
        assert await passed(connection, _LOOK) <= DELAYED_KEYS_COUNT + FEW
