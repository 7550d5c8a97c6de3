"""A snapshot that is held open keeps the server from removing what was claimed: looks do not pass it each time."""

from uuid import UUID

import pytest

from rota.domain.ids import ScheduleId, TenantId, WorkerId
from rota.domain.policies import RunPolicy
from rota.domain.run import RunDraft, Settlement
from rota.domain.targets import TaskTarget
from rota.domain.tenancy import AuditEntry
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.look_floors import PASSED_IN_VAIN_MAX
from rota.storage.postgres.run_claims import PostgresRunClaims
from rota.storage.postgres.run_intake import PostgresRunIntake
from tests.integration.plans.crowd import LIVE_WORKER
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.both_engines, pytest.mark.timeout(120)]

TENANT = TenantId("acme")
WORKER = WorkerId(LIVE_WORKER)
BATCH = 1_000
BATCHES_COUNT = 24


async def enqueue(api_pool: Pool, count: int) -> None:
    drafts = [RunDraft(TENANT, TaskTarget("noop"), RunPolicy())] * count
    await PostgresRunIntake(api_pool).enqueue(TENANT, drafts, AuditEntry("test", "enqueue", "run", ""))


async def entries_passed(admin: Connection) -> int:
    await admin.execute("SELECT pg_stat_clear_snapshot()")
    count: int = await admin.fetchval(
        "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'live_runs_claimable'"
    )
    return count


async def told(service_pool: Pool) -> None:
    """Makes the server count what the session has done so far."""
    await service_pool.execute("SELECT pg_stat_force_next_flush()")


async def make_tenant_and_worker(admin: Connection) -> None:
    await admin.execute("INSERT INTO scheduler.tenants (id, name, created_by) VALUES ('acme', 'Acme', 'test')")
    await admin.execute(
        "INSERT INTO scheduler.workers (id, name, state, queues, slots, tasks, hostname, pid, version, started_at,"
        " heartbeat_at, lease_expires_at)"
        " VALUES ($1, 'w', 'active', '{default}', 1000, '{}', 'h', 1, '0', now(), now(), now() + interval '1 day')",
        WORKER,
    )


async def test_the_queue_is_not_slowed_and_what_is_given_back_is_found(
    admin_connection: Connection, service_pool: Pool, api_pool: Pool, held_snapshot: None
) -> None:
    await make_tenant_and_worker(admin_connection)
    claims = PostgresRunClaims(service_pool)
    for _ in range(BATCHES_COUNT):
        await enqueue(api_pool, BATCH)
    (first, *others) = await claims.claim_batch(WORKER, ["default"], BATCH)
    await claims.settle_batch([Settlement(run.run_id, run.token, "succeed", "succeeded") for run in others])
    passed: list[int] = []
    for _ in range(BATCHES_COUNT - 2):
        await told(service_pool)
        before = await entries_passed(admin_connection)
        claimed = await claims.claim_batch(WORKER, ["default"], BATCH)
        await told(service_pool)
        passed.append(await entries_passed(admin_connection) - before)
        assert len(claimed) == BATCH
        await claims.settle_batch([Settlement(run.run_id, run.token, "succeed", "succeeded") for run in claimed])

    # A few looks are full all the same.
    assert sorted(passed[BATCHES_COUNT // 2 :])[2] <= BATCH + PASSED_IN_VAIN_MAX

    # Who gives it back knows where it stands; others find it with a full look.
    others_claims = PostgresRunClaims(service_pool)
    await others_claims.claim_batch(WORKER, ["default"], 1)
    await claims.claim_batch(WORKER, ["default"], 1)
    assert await claims.give_back_batch([first]) == 1
    (again,) = await claims.claim_batch(WORKER, ["default"], 1)
    assert again.run_id == first.run_id

    assert await claims.give_back_batch([again]) == 1

    async def is_found() -> bool:
        return first.run_id in {run.run_id for run in await others_claims.claim_batch(WORKER, ["default"], 1)}

    await wait_until(is_found, what="what another worker gave back")


async def test_a_called_run_is_found_at_once_though_others_of_its_schedule_have_no_due_time(
    admin_connection: Connection, service_pool: Pool, api_pool: Pool, held_snapshot: None
) -> None:
    await make_tenant_and_worker(admin_connection)
    claims = PostgresRunClaims(service_pool)
    policy = RunPolicy(serial=True, concurrency_max=2)
    serial = RunDraft(TENANT, TaskTarget("noop"), policy, schedule_id=ScheduleId(str(UUID(int=7))))
    audit = AuditEntry("test", "enqueue", "run", "")
    _, second, third = await PostgresRunIntake(api_pool).enqueue(TENANT, [serial] * 3, audit)
    (retried,) = await claims.claim_batch(WORKER, ["default"], 1)
    for _ in range(4):
        await enqueue(api_pool, BATCH)
    for _ in range(4):
        claimed = await claims.claim_batch(WORKER, ["default"], BATCH)
        await claims.settle_batch([Settlement(run.run_id, run.token, "succeed", "succeeded") for run in claimed])

    # Its next try waits for a place, and has no due time before it has one.
    await claims.settle_batch([Settlement(retried.run_id, retried.token, "retry", "failed", retry_delay_seconds=1e4)])
    (called,) = await claims.claim_batch(WORKER, ["default"], 1)
    assert called.run_id == second.run_id
    await claims.settle_batch([Settlement(called.run_id, called.token, "succeed", "succeeded")])
    (last,) = await claims.claim_batch(WORKER, ["default"], 1)
    assert last.run_id == third.run_id
