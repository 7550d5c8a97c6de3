"""`scheduler.begin_timeline`: after it, nothing that the store gave out before is worth anything."""

import pytest

from rota.domain.errors import Stale
from rota.domain.event import EventDraft
from rota.domain.ids import WorkerId
from rota.domain.run import Settlement
from rota.domain.tenancy import AuditEntry, Tenant
from rota.domain.worker import WorkerSpec
from rota.ports.tenant_store import EventFilter
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.events import PostgresEventStore
from rota.storage.postgres.firing import PostgresFiringStore
from rota.storage.postgres.leases import PostgresLeaseStore
from rota.storage.postgres.run_claims import PostgresRunClaims
from rota.storage.postgres.run_intake import PostgresRunIntake
from rota.storage.postgres.tenants import PostgresTenantStore
from rota.storage.postgres.workers import PostgresWorkerStore
from tests.contract.records import ACME, new_id
from tests.contract.run_stores import AUDIT, draft
from tests.contract.stores import START
from tests.contract.test_firing_store import advance
from tests.integration.timelines.due import due_trigger

pytestmark = pytest.mark.both_engines

EVERYTHING = EventFilter(tenant_id=None)


async def begin_timeline(owner_pool: Pool) -> None:
    await owner_pool.execute("SELECT scheduler.begin_timeline()")


@pytest.fixture
async def tenant(service_pool: Pool) -> None:
    await PostgresTenantStore(service_pool).create(
        Tenant(ACME, "Acme", START, "root"), AuditEntry("root", "create", "tenant", ACME)
    )


async def test_the_leader_of_before_may_write_nothing_and_the_next_epoch_is_far_above(
    owner_pool: Pool, api_pool: Pool, service_pool: Pool, tenant: None
) -> None:
    leases, firing = PostgresLeaseStore(service_pool), PostgresFiringStore(service_pool)
    due = await due_trigger(api_pool, service_pool)
    old = await leases.acquire_if_free("leader", "old", 3600)
    await begin_timeline(owner_pool)

    with pytest.raises(Stale):
        await firing.apply(old.fence, [advance(due)])
    assert await leases.renew_if_held("leader", old.epoch, "old", 3600) is None
    new = await leases.acquire_if_free("leader", "new", 3600)
    assert new.holder == "new"
    assert new.epoch > old.epoch + 1_000_000
    assert (await firing.apply(new.fence, [advance(due)])).runs_created == 1


async def test_the_workers_of_before_hold_nothing_and_their_attempts_are_void(
    owner_pool: Pool, api_pool: Pool, service_pool: Pool, tenant: None
) -> None:
    workers, claims = PostgresWorkerStore(service_pool), PostgresRunClaims(service_pool)
    await PostgresRunIntake(api_pool).enqueue(ACME, [draft()], AUDIT)
    worker_id = WorkerId(new_id())
    await workers.register(WorkerSpec(worker_id, "w", ("default",), 10, (), "host", 7, "0.1"), 3600)
    (held,) = await claims.claim_batch(worker_id, ["default"], 1)
    await begin_timeline(owner_pool)

    (settled,) = await claims.settle_batch([Settlement(held.run_id, held.token, "succeed", "succeeded")])
    assert not settled.accepted
    assert await workers.renew_if_live(worker_id, ["default"], 3600) is None
    with pytest.raises(Stale):
        await claims.claim_batch(worker_id, ["default"], 1)
    (lost,) = await claims.find_lost(0, 10)
    assert (lost.claimed.run_id, lost.outcome, lost.claimed.token > held.token) == (held.run_id, "lost", True)


async def test_a_reader_of_events_goes_on_from_its_cursor_and_misses_nothing(
    owner_pool: Pool, api_pool: Pool, service_pool: Pool
) -> None:
    """Also one whose cursor is of what the store has forgotten: from a number higher than any that it knows."""
    events = PostgresEventStore(api_pool, service_pool)
    await events.append((EventDraft("WorkerLost", subject="before"),))
    known = await events.after(EVERYTHING, None, 100)
    await events.append((EventDraft("WorkerLost", subject="forgotten"),))
    (forgotten,) = await events.after(EVERYTHING, known[-1].cursor, 100)
    await owner_pool.execute("DELETE FROM scheduler.events WHERE subject = 'forgotten'")
    await begin_timeline(owner_pool)
    await events.append((EventDraft("WorkerLost", subject="after"),))

    for cursor in (known[-1].cursor, forgotten.cursor):
        assert [(event.type, event.subject) for event in await events.after(EVERYTHING, cursor, 100)] == [
            ("StoreRestored", ""),
            ("WorkerLost", "after"),
        ]


async def test_the_events_of_another_server_are_seen_at_once(
    owner_pool: Pool, api_pool: Pool, service_pool: Pool
) -> None:
    """Its transactions had numbers that this one will not reach for years."""
    events = PostgresEventStore(api_pool, service_pool)
    await owner_pool.execute(
        "INSERT INTO scheduler.events (id, txid, type)"
        " SELECT scheduler.uuid7_at(now()), (x'7000000000'::bigint + n)::text::xid8, 'WorkerLost'"
        "   FROM generate_series(1, 3) AS n"
    )
    assert await events.after(EVERYTHING, None, 100) == ()
    await begin_timeline(owner_pool)
    await events.append((EventDraft("WorkerStopped"),))

    seen = [event.type for event in await events.after(EVERYTHING, None, 100)]
    assert seen == ["WorkerLost", "WorkerLost", "WorkerLost", "StoreRestored", "WorkerStopped"]


async def test_the_partitions_of_today_are_made_before_anything_is_written(
    owner_pool: Pool, service_pool: Pool
) -> None:
    """A backup that is older than its partitions reach: a row of today would fall into the default one."""
    dropped = await owner_pool.fetch(
        "SELECT c.oid::regclass::text AS name FROM pg_class AS c JOIN pg_inherits AS i ON i.inhrelid = c.oid"
        " WHERE i.inhparent = 'scheduler.runs'::regclass AND c.relname <> 'runs_default'"
    )
    for row in dropped:
        await owner_pool.execute(f"DROP TABLE {row['name']}")
    await begin_timeline(owner_pool)

    today = await service_pool.fetchval("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')")
    assert await owner_pool.fetchval("SELECT to_regclass($1) IS NOT NULL", f"scheduler.runs_{today}")


async def test_only_the_owner_may_begin_a_timeline(api_pool: Pool, service_pool: Pool) -> None:
    for pool in (api_pool, service_pool):
        allowed = await pool.fetchval("SELECT has_function_privilege('scheduler.begin_timeline()', 'EXECUTE')")
        assert allowed is False
