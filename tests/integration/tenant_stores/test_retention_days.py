"""What of retention only a database can show: its tables, its locks, and what a purge leaves alone."""

from datetime import date, timedelta

import pytest

from rota.domain.retention import KINDS
from rota.domain.tenancy import AuditEntry
from rota.storage.postgres.connections import transaction
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.partitions import PostgresPartitions
from rota.storage.postgres.query_files import query
from rota.storage.postgres.retention import PostgresRetentionStore
from tests.support.settable_clock import SettableClock

AUDIT = AuditEntry("ada", "apply", "retention", "", "")


@pytest.mark.both_engines
async def test_every_history_has_a_rule_and_the_table_of_rules_is_the_schema_s(
    owner_pool: Pool, service_pool: Pool
) -> None:
    rows = await owner_pool.fetch("SELECT name FROM scheduler.partitioned_tables")
    assert {row["name"] for row in rows} == {kind for kind, known in KINDS.items() if known.by_day}
    kept = (await PostgresRetentionStore(service_pool).rules()).keep_days()
    assert kept == {kind: known.keep_days for kind, known in KINDS.items()}
    with_runs = await owner_pool.fetch("SELECT kind FROM scheduler.retention WHERE is_with_runs")
    assert {row["kind"] for row in with_runs} == {
        kind for kind, known in KINDS.items() if kind == "runs" or known.within == "runs"
    }


async def aged(owner_pool: Pool, service_pool: Pool, clock: SettableClock) -> tuple[PostgresRetentionStore, date]:
    """The store when today is over for events."""
    await PostgresPartitions(service_pool).ensure_ahead()
    today = (await clock.now()).date()
    await owner_pool.execute("INSERT INTO scheduler.events (id, type) VALUES (scheduler.uuid7_at(now()), 'RunFailed')")
    await clock.advance(timedelta(days=KINDS["events"].keep_days + 2).total_seconds())
    return PostgresRetentionStore(service_pool), today


async def test_a_day_that_somebody_reads_is_left_for_later_and_keeps_nobody_waiting(
    owner_pool: Pool, api_pool: Pool, service_pool: Pool, test_clock: SettableClock
) -> None:
    store, day = await aged(owner_pool, service_pool, test_clock)
    async with transaction(api_pool, readonly=True) as reading:
        await reading.fetchval("SELECT count(*) FROM scheduler.events")
        assert await store.drop_if_aged("events", day, AUDIT) == "busy"
        assert await service_pool.fetchval("SELECT count(*) FROM scheduler.events") == 1
    assert await store.drop_if_aged("events", day, AUDIT) == "dropped"


async def test_no_login_but_the_platform_s_may_drop_anything(
    owner_pool: Pool, api_pool: Pool, service_pool: Pool, test_clock: SettableClock
) -> None:
    _, day = await aged(owner_pool, service_pool, test_clock)
    with pytest.raises(Exception, match="permission denied"):
        await api_pool.fetchval("SELECT scheduler.drop_day_if_aged('events', $1, 'eve', '')", day)
    with pytest.raises(Exception, match="permission denied"):
        await api_pool.execute("DELETE FROM scheduler.run_keys")


async def test_stretches_together_walk_the_whole_table(
    owner_pool: Pool, service_pool: Pool, test_clock: SettableClock
) -> None:
    await owner_pool.execute("INSERT INTO scheduler.tenants (id, name, created_by) VALUES ('acme', 'acme', 'test')")
    await owner_pool.execute(
        "INSERT INTO scheduler.idempotency_keys (tenant_id, scope, key, fingerprint, resource_id, created_at)"
        " SELECT 'acme', 's', n::text, '', '', scheduler.current_time() - make_interval(days => n % 14)"
        " FROM generate_series(0, 1399) AS n"
    )
    store = PostgresRetentionStore(service_pool)
    deleted, page, stretches = 0, 0, 0
    while True:
        stretch = await store.prune_stretch("idempotency_keys", page, 2)
        deleted, stretches = deleted + stretch.deleted_count, stretches + 1
        if stretch.next_page is None:
            break
        page = stretch.next_page
    assert stretches > 3
    # Those of exactly seven days ago are a moment over.
    assert deleted == 700
    left = await owner_pool.fetchval(
        "SELECT max(scheduler.current_time() - created_at) < interval '7 days' FROM scheduler.idempotency_keys"
    )
    assert left


async def test_a_stretch_reads_its_pages_and_no_others(owner_pool: Pool, service_pool: Pool) -> None:
    await owner_pool.execute(
        "INSERT INTO scheduler.run_keys (key, run_id, created_at, tenant_id)"
        " SELECT gen_random_uuid(), gen_random_uuid(), scheduler.current_time(), 'acme' FROM generate_series(1, 20000)"
    )
    rows = await service_pool.fetch(
        "EXPLAIN (ANALYZE, BUFFERS OFF, COSTS OFF) " + query("retention/prune_run_keys"), 1, 2
    )
    plan = "\n".join(row[0] for row in rows)
    assert "Tid Range Scan on run_keys" in plan
