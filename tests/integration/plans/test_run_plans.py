"""No hot statement reads more rows than its batch needs, however much lies beside them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from rota.core.firing import plan_firing
from rota.domain.ids import WorkerId
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.firing import PostgresFiringStore
from rota.storage.postgres.firing_columns import advance_columns, birth_columns, event_columns, place_columns
from rota.storage.postgres.lane_looks import FOUND_PER_LOOK_MAX, WOKEN_PER_LOOK_MAX, LaneLooks
from rota.storage.postgres.query_files import query
from rota.storage.postgres.run_claims import PARKED_PER_LOOK_MAX, PostgresRunClaims
from tests.integration.plans.crowd import (
    BLOCKED_SCHEDULE,
    GONE_WORKER,
    HELD_COUNT,
    LIVE_WORKER,
    TENANT,
    crowd,
    crowd_behind_one_turn,
)
from tests.integration.plans.plans import PLAN_MODES, explained, rows_read, tables_scanned_whole

pytestmark = [pytest.mark.both_engines, pytest.mark.timeout(240)]

LIMIT = 100
WAY_BACK = datetime(2026, 1, 1, tzinfo=UTC)
PAGE = 50
# Beside its batch a statement may look at a few rows: the worker, the fence, the first of a lane.
FEW = 40


@asynccontextmanager
async def rolled_back(pool: Pool) -> AsyncGenerator[Connection]:
    async with pool.acquire() as connection:
        await connection.execute("BEGIN")
        try:
            yield connection
        finally:
            await connection.execute("ROLLBACK")


async def reads(pool: Pool, name: str, *args: object) -> dict[str, int]:
    """Rows read by the statement, for each plan mode, as a tenant's or the platform's session."""
    found: dict[str, int] = {}
    for mode in PLAN_MODES:
        async with rolled_back(pool) as connection:
            await connection.execute("SELECT set_config('rota.tenant', $1, true)", TENANT)
            found[f"{name} {mode}"] = await rows_read(connection, mode, query(name), *args)
    return found


def over(found: dict[str, int], bound: int) -> dict[str, int]:
    return {name: rows for name, rows in found.items() if rows > bound}


def claim_arguments(*queues: str) -> tuple[object, ...]:
    count = len(queues)
    return LIVE_WORKER, list(queues), LIMIT, PARKED_PER_LOOK_MAX, [0] * count, [TENANT] * count, [LIMIT] * count


def look_arguments(*queues: str) -> tuple[object, ...]:
    return LIVE_WORKER, list(queues), LIMIT, *LaneLooks().plan_walk(), FOUND_PER_LOOK_MAX, WOKEN_PER_LOOK_MAX


def plain_arguments(looks: LaneLooks) -> tuple[object, ...]:
    return LIVE_WORKER, "default", LIMIT, *looks.plan(LIMIT)


async def settle_columns(pool: Pool, verb: str, outcome: str) -> tuple[list[object], ...]:
    rows = await pool.fetch("SELECT run_id::text FROM scheduler.live_runs WHERE state = 'running' LIMIT $1", LIMIT)
    ids = [row["run_id"] for row in rows]
    count = len(ids)
    assert count == LIMIT
    return (
        ids,
        [1] * count,
        [verb] * count,
        [outcome] * count,
        [""] * count,
        [0.0] * count,
        [None] * count,
        [None] * count,
        ["false"] * count,
    )


async def alike_arguments(pool: Pool) -> tuple[list[str], int, str, None, str, str]:
    rows = await pool.fetch(
        "SELECT run_id::text FROM scheduler.live_runs WHERE state = 'running' ORDER BY run_id LIMIT $1", LIMIT
    )
    ids = [row["run_id"] for row in rows]
    assert len(ids) == LIMIT
    return ids, 1, "", None, ids[0], ids[-1]


async def talkers(admin: Connection) -> list[str]:
    """A page of runs that have said much, beside as many others."""
    await admin.execute(
        "INSERT INTO scheduler.log_lines (run_id, at, attempt_no, seq, tenant_id, stream, text)"
        " SELECT id, now(), 1 + n / 200, n, 'acme', 'stdout', 'said' FROM generate_series(1, 400) AS n,"
        f" (SELECT id FROM scheduler.runs ORDER BY id LIMIT {2 * PAGE}) AS first"
    )
    await admin.execute("VACUUM (ANALYZE) scheduler.log_lines")
    rows = await admin.fetch(f"SELECT id::text FROM scheduler.runs ORDER BY id LIMIT {PAGE}")
    return [row["id"] for row in rows]


async def far_behind(pool: Pool) -> tuple[object, ...]:
    """A position with tens of thousands of due triggers before it."""
    row = await pool.fetchrow(
        "SELECT next_fire_at, id::text FROM scheduler.triggers ORDER BY 1, 2 OFFSET 50000 LIMIT 1"
    )
    assert row is not None
    return tuple(row.values())


async def apply_arguments(pool: Pool) -> tuple[object, ...]:
    """A batch in which every trigger fires one run."""
    plan = plan_firing(await PostgresFiringStore(pool).due_triggers(LIMIT))
    assert [len(step.runs) for step in plan] == [1] * LIMIT
    columns = (*advance_columns(plan), "overlap", *birth_columns(plan), "test", *event_columns(plan))
    return ("firing", 1, "test", *columns, *place_columns(plan))


async def looks_of_leaders(pool: Pool) -> dict[str, int]:
    """What is over its bound among them."""
    return {
        **over(await reads(pool, "live_runs/find_lost", 5.0, LIMIT), 2 * LIMIT + FEW),
        **over(await reads(pool, "live_runs/find_lost_since", 5.0, LIMIT, WAY_BACK), 2 * LIMIT + FEW),
        **over(await reads(pool, "triggers/look_ahead", 5.0, WAY_BACK, False, None), FEW),
        **over(await reads(pool, "triggers/look_ahead", 5.0, WAY_BACK, True, WAY_BACK), FEW),
        **over(await reads(pool, "triggers/look_first"), FEW),
    }


async def test_hot_statements_read_no_more_than_their_batch(
    admin_connection: Connection, service_pool: Pool, api_pool: Pool
) -> None:
    await crowd(admin_connection)
    schedule_id = "0" * 31 + "7"
    too_many = {
        **over(await reads(service_pool, "live_runs/claim_batch", *claim_arguments("default")), 3 * LIMIT + FEW),
        **over(await reads(service_pool, "live_runs/claim_batch", *claim_arguments("default", "b")), 4 * LIMIT + FEW),
        **over(await reads(service_pool, "live_runs/look_lanes", *look_arguments("default", "b")), LIMIT + FEW),
        **over(
            await reads(service_pool, "live_runs/claim_plain_batch", *plain_arguments(LaneLooks())), 3 * LIMIT + FEW
        ),
        **over(
            await reads(service_pool, "live_runs/settle_alike_successes", *await alike_arguments(service_pool)),
            2 * LIMIT + FEW,
        ),
        **over(
            await reads(
                service_pool, "live_runs/settle_batch", *await settle_columns(service_pool, "succeed", "succeeded")
            ),
            2 * LIMIT + FEW,
        ),
        **over(
            await reads(service_pool, "live_runs/settle_batch", *await settle_columns(service_pool, "retry", "failed")),
            3 * LIMIT + FEW,
        ),
        **over(await reads(service_pool, "live_runs/list_held", LIVE_WORKER, LIMIT), HELD_COUNT + FEW),
        **over(
            await reads(service_pool, "workers/renew_if_live", LIVE_WORKER, ["default"], 3.5, None),
            HELD_COUNT + FEW,
        ),
        **over(await reads(service_pool, "triggers/list_due", LIMIT, None, None), 2 * LIMIT + FEW),
        **over(await reads(service_pool, "triggers/list_due", LIMIT, *await far_behind(service_pool)), 2 * LIMIT + FEW),
        **over(
            await reads(service_pool, "triggers/apply_advances", *await apply_arguments(service_pool)), 3 * LIMIT + FEW
        ),
    }
    too_many |= await looks_of_leaders(service_pool)
    ids, *_ = await alike_arguments(service_pool)
    nobody = (TENANT, None, None, None)
    paging = (None, PAGE + 1, 0, None, None, None)
    too_many |= {
        **over(await reads(api_pool, "runs/page_recent", *nobody, None, None, *paging), 3 * PAGE + FEW),
        **over(
            await reads(api_pool, "runs/page_recent", TENANT, None, "noop", None, None, None, *paging), 3 * PAGE + FEW
        ),
        **over(
            await reads(api_pool, "runs/page_recent", TENANT, None, None, "default", None, None, *paging),
            3 * PAGE + FEW,
        ),
        **over(await reads(api_pool, "runs/page_of_schedule", *nobody, None, schedule_id, *paging), 3 * PAGE + FEW),
        **over(await reads(api_pool, "runs/page_without_success", *nobody, "failed", None, *paging), 3 * PAGE + FEW),
        **over(await reads(api_pool, "live_runs/page_running", *nobody, "running", None, *paging), 4 * PAGE + FEW),
        **over(await reads(api_pool, "live_runs/page_waiting", *nobody, "scheduled", None, *paging), 4 * PAGE + FEW),
        **over(
            await reads(api_pool, "runs/latest_of_schedules", TENANT, [schedule_id[:-1] + n for n in "1234567"], 12),
            3 * 7 * 12 + FEW,
        ),
        **over(
            await reads(api_pool, "log_lines/tails_of_runs", TENANT, await talkers(admin_connection), 5), 5 * PAGE + FEW
        ),
        **over(await reads(api_pool, "runs/read_run", TENANT, GONE_WORKER), FEW),
        **over(await reads(api_pool, "live_runs/cancel_if_live", TENANT, ids[0], *["test"] * 5), FEW),
    }

    assert too_many == {}


async def test_what_waits_for_a_turn_is_looked_at_once(admin_connection: Connection, service_pool: Pool) -> None:
    """Ten thousand wait: no look reads more than its bound, and afterwards claims and ends read nothing of them."""
    await crowd_behind_one_turn(admin_connection)
    await register_worker(admin_connection)
    claims, worker_id = PostgresRunClaims(service_pool), WorkerId(LIVE_WORKER)
    bound = 3 * LIMIT + 4 * PARKED_PER_LOOK_MAX + FEW
    first_look = await reads(service_pool, "live_runs/claim_batch", *claim_arguments("serial"))
    claimed = await claims.claim_batch(worker_id, ["serial"], LIMIT)
    await admin_connection.execute("VACUUM (ANALYZE) scheduler.live_runs")
    later_look = await reads(service_pool, "live_runs/claim_batch", *claim_arguments("serial"))
    for mode in PLAN_MODES:
        async with rolled_back(service_pool) as connection:
            await connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
            before = await rows_fetched(connection)
            rows = await connection.fetch("SELECT * FROM scheduler.end_turns($1::uuid[])", [BLOCKED_SCHEDULE])
            later_look[f"end of a turn {mode}"] = await rows_fetched(connection) - before
            assert [row["queue"] for row in rows] == ["serial"]

    assert len(claimed) == LIMIT
    assert {each.schedule_id for each in claimed} == {None}
    assert over(first_look, bound) == {}
    assert over(later_look, 3 * LIMIT + FEW) == {}


async def register_worker(admin: Connection) -> None:
    await admin.execute(
        "INSERT INTO scheduler.workers (id, name, state, queues, slots, tasks, hostname, pid, version, started_at,"
        " heartbeat_at, lease_expires_at)"
        " VALUES ($1, 'w', 'active', '{serial}', 100, '{}', 'h', 1, '0', now(), now(), now() + interval '1 day')",
        LIVE_WORKER,
    )


async def rows_fetched(connection: Connection) -> int:
    """Rows of live runs and turns that this transaction has fetched or read, as the server counts them."""
    count: int = await connection.fetchval(
        "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_xact_user_tables"
        " WHERE relname IN ('live_runs', 'schedule_turns')"
    )
    return count


async def test_the_claim_scans_no_table_whole_on_a_young_database(service_pool: Pool, owner_pool: Pool) -> None:
    async with rolled_back(service_pool) as connection:
        plan = await explained(
            connection, "force_generic_plan", query("live_runs/claim_batch"), *claim_arguments("default")
        )

    assert tables_scanned_whole(plan) & {"live_runs", "runs"} == set()
