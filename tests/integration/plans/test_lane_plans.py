"""No look at a queue grows with the backlog of a tenant, with the tenants, or with what a held snapshot keeps."""

import pytest

from rota.domain.ids import TenantId, WorkerId
from rota.domain.policies import RunPolicy
from rota.domain.run import RunDraft, Settlement
from rota.domain.targets import TaskTarget
from rota.domain.tenancy import AuditEntry
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.lane_looks import FOUND_PER_LOOK_MAX, WOKEN_PER_LOOK_MAX, LaneLooks
from rota.storage.postgres.look_floors import PASSED_IN_VAIN_MAX
from rota.storage.postgres.run_claims import PostgresRunClaims
from rota.storage.postgres.run_intake import PostgresRunIntake
from tests.contract.stores import START
from tests.integration.plans.test_held_snapshot import entries_passed, told
from tests.integration.plans.test_run_plans import FEW, LIMIT, LIVE_WORKER, over, reads
from tests.support.settable_clock import SettableClock

pytestmark = [pytest.mark.timeout(120)]

BACKLOG_COUNT = 1_000_000
TENANTS_COUNT = 2_000
WORKER = WorkerId(LIVE_WORKER)
LIGHT = TenantId("light")

_TENANTS = (
    "INSERT INTO scheduler.tenants (id, name, created_by)"
    " SELECT 'many ' || n, 'Many', 'test' FROM generate_series(1, $1::integer) AS n"
    " UNION ALL SELECT name, name, 'test' FROM unnest(ARRAY['acme', 'light']) AS u (name)"
)
_WORKER = (
    "INSERT INTO scheduler.workers (id, name, state, queues, slots, tasks, hostname, pid, version, started_at,"
    " heartbeat_at, lease_expires_at)"
    " VALUES ($1, 'w', 'active', '{default}', 1000, '{}', 'h', 1, '0', now(), now(), now() + interval '1 day')"
)
# What others have waiting stands behind one index alone, made when all is there: that is what takes the time.
_BACKLOG = (
    "DROP INDEX scheduler.live_runs_queued, scheduler.live_runs_claimable",
    f"""
    INSERT INTO scheduler.live_runs (run_id, tenant_id, due_at, timeout_seconds, priority, state, queue)
    SELECT scheduler.uuid7_nth('0199' || lpad(to_hex(n >> 23), 8, '0') || lpad(to_hex(n), 12, '0'), n & 8388607),
           'acme', now() - interval '1 hour', 60, 0, 'queued', 'default'
      FROM generate_series(1, {BACKLOG_COUNT}) AS n
    """,
    """
    INSERT INTO scheduler.live_runs (run_id, tenant_id, due_at, timeout_seconds, priority, state, queue)
    SELECT gen_random_uuid(), 'many ' || n, now() - interval '1 minute', 60, 0, 'queued', 'crowded'
      FROM generate_series(1, 2000) AS n
    """,
    """
    INSERT INTO scheduler.live_runs (run_id, tenant_id, due_at, timeout_seconds, priority, state, queue, is_asleep)
    SELECT gen_random_uuid(), 'many ' || n, now() + interval '1 day', 60, 9, 'queued', 'default', true
      FROM generate_series(1, 2000) AS n
    """,
    """
    CREATE INDEX live_runs_claimable ON scheduler.live_runs (queue, priority, tenant_id COLLATE "C", due_at, run_id)
     WHERE state = 'queued' AND NOT is_parked AND NOT is_asleep
    """,
    "CREATE UNIQUE INDEX live_runs_queued ON scheduler.live_runs (tenant_id, run_id) WHERE state = 'queued'",
    "ANALYZE scheduler.live_runs",
)
_PUT_FIRST = (
    "UPDATE scheduler.live_runs SET due_at = now() - interval '1 day'"
    " WHERE tenant_id = 'acme' AND run_id = ANY ($1::uuid[]) AND state = 'queued'"
)


async def enqueue(api_pool: Pool, tenant_id: TenantId, count: int) -> list[str]:
    drafts = [RunDraft(tenant_id, TaskTarget("noop"), RunPolicy())] * count
    made = await PostgresRunIntake(api_pool).enqueue(tenant_id, drafts, AuditEntry("test", "enqueue", "run", ""))
    return [each.run_id for each in made]


async def test_a_million_waiting_runs_and_thousands_of_tenants_cost_a_look_nothing(
    admin_connection: Connection, service_pool: Pool, api_pool: Pool
) -> None:
    await admin_connection.execute(_TENANTS, TENANTS_COUNT)
    await admin_connection.execute(_WORKER, LIVE_WORKER)
    for statement in _BACKLOG:
        await admin_connection.execute(statement)
    looks = LaneLooks()
    two = [*looks.plan_walk(), FOUND_PER_LOOK_MAX, WOKEN_PER_LOOK_MAX]
    name = "live_runs/claim_plain_batch"
    bound = 3 * LIMIT + 2 * FOUND_PER_LOOK_MAX + FEW
    too_many = {
        **over(await reads(service_pool, name, LIVE_WORKER, "default", LIMIT, *looks.plan(LIMIT)), 3 * LIMIT + FEW),
        **over(await reads(service_pool, name, LIVE_WORKER, "crowded", LIMIT, *looks.plan(LIMIT)), bound),
        **over(
            await reads(service_pool, "live_runs/look_lanes", LIVE_WORKER, ["default", "crowded"], LIMIT, *two),
            bound + 2 * FOUND_PER_LOOK_MAX,
        ),
        **over(await reads(service_pool, "workers/renew_if_live", LIVE_WORKER, ["default", "b"], 3.5, None), FEW),
    }
    assert too_many == {}

    first = await enqueue(api_pool, TenantId("acme"), LIMIT)
    await admin_connection.execute(_PUT_FIRST, first)
    claims = PostgresRunClaims(service_pool)
    assert {each.tenant_id for each in await claims.claim_batch(WORKER, ["default"], 2)} == {"acme"}
    light = await enqueue(api_pool, LIGHT, 1)
    assert light[0] in {each.run_id for each in await claims.claim_batch(WORKER, ["default"], 2)}


async def test_a_held_snapshot_slows_no_tenants_queue(
    admin_connection: Connection, service_pool: Pool, api_pool: Pool, test_clock: SettableClock, held_snapshot: None
) -> None:
    """The tenants take turns in having nothing, so that what they had stands between those of the others."""
    names = [TenantId(f"many {n}") for n in range(1, 6)]
    await admin_connection.execute(_TENANTS, len(names))
    await admin_connection.execute(_WORKER, LIVE_WORKER)
    await test_clock.set(START)
    claims, batch = PostgresRunClaims(service_pool), 500
    passed: list[int] = []
    for number in range(30):
        await enqueue(api_pool, names[number % len(names)], batch)
        # So little that no look is full again.
        await test_clock.advance(0.0001)
        await told(service_pool)
        before = await entries_passed(admin_connection)
        claimed = await claims.claim_batch(WORKER, ["default"], batch)
        await told(service_pool)
        passed.append(await entries_passed(admin_connection) - before)
        assert len(claimed) == batch
        await claims.settle_batch([Settlement(run.run_id, run.token, "succeed", "succeeded") for run in claimed])

    # Without floors, they would pass all that was ever claimed.
    assert max(passed[20:]) <= batch + PASSED_IN_VAIN_MAX
