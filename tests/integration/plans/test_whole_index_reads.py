"""No statement reads an index of live runs from end to end, whatever the server believes of the table.

The table is empty one moment and has a million rows in the next, and an autovacuum that met it empty says so for a
while: the server then takes any index whose condition the statement meets for as good as another. What a statement
finds by the places of rows, or by ids, must leave it no other way. A plan is judged by this: whoever reads an index
names what it looks for there.
"""

import re
from collections.abc import Iterator

import msgspec
import pytest

from rota.domain.ids import TenantId
from rota.domain.policies import RunPolicy
from rota.domain.run import RunDraft
from rota.domain.targets import TaskTarget
from rota.domain.tenancy import AuditEntry
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.query_files import PACKAGED_QUERIES
from rota.storage.postgres.run_intake import PostgresRunIntake
from tests.integration.plans.plans import Plan, nodes_of

pytestmark = pytest.mark.both_engines

RUNS_COUNT = 1_000
BELIEVED_ROWS = (-1.0, 0.0, float(RUNS_COUNT), 1e9)
INDEX_SCANS = {"Index Scan", "Index Only Scan", "Bitmap Index Scan"}

# Why a statement may: index -> reason.
MAY_READ_ALL = {
    ("live_runs/count_running", "live_runs_running"): "counts what runs of a tenant, at most all slots of all workers",
    ("live_runs/read_wait_facts", "live_runs_held"): "what runs of one schedule, at most all slots of all workers",
    ("limits/read_limit", "live_runs_limited_of_tenant"): "counts what runs under limits, at most all slots",
    ("limits/page_limits", "live_runs_limited_of_tenant"): "counts what runs under limits, at most all slots",
    ("live_runs/find_lost", "live_runs_held"): "goes from one worker to the next, an entry each",
    ("triggers/look_ahead", "live_runs_followed"): "asks whether there is any",
    ("figures/read_figures", "live_runs_claimable"): "goes from one queue to the next, an entry each",
    ("figures/read_figures", "live_runs_asleep"): "goes from one queue to the next, an entry each",
}


@pytest.fixture
async def planning(admin_connection: Connection, api_pool: Pool) -> Connection:
    """A session that plans as those of services do, where live runs fill some pages."""
    await admin_connection.execute("INSERT INTO scheduler.tenants VALUES ('acme', 'acme', now(), 'test')")
    drafts = [RunDraft(TenantId("acme"), TaskTarget("noop"), RunPolicy())] * RUNS_COUNT
    await PostgresRunIntake(api_pool).enqueue(TenantId("acme"), drafts, AuditEntry("test", "enqueue", "run", ""))
    await admin_connection.execute("VACUUM scheduler.live_runs")
    for setting in ("enable_seqscan = off", "plan_cache_mode = force_generic_plan"):
        await admin_connection.execute(f"SET {setting}")
    return admin_connection


async def plan_of(connection: Connection, statement: str) -> Plan:
    count = max((int(number) for number in re.findall(r"\$(\d+)", statement)), default=0)
    await connection.execute(f"PREPARE planned AS {statement}")
    try:
        values = f"({', '.join(['NULL'] * count)})" if count else ""
        told = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE planned{values}")
    finally:
        await connection.execute("DEALLOCATE planned")
    plan: Plan = (told if isinstance(told, list) else msgspec.json.decode(told))[0]["Plan"]
    return plan


def indexes_read_whole(plan: Plan) -> Iterator[str]:
    for node in nodes_of(plan):
        name = node.get("Index Name", "")
        if node["Node Type"] in INDEX_SCANS and name.startswith("live_runs") and "Index Cond" not in node:
            yield name


async def believe(connection: Connection, rows: float) -> None:
    await connection.execute(
        "UPDATE pg_catalog.pg_class SET reltuples = $1 WHERE oid = 'scheduler.live_runs'::regclass", rows
    )


def service_statements() -> dict[str, str]:
    texts = {name: PACKAGED_QUERIES.text(name) for name in PACKAGED_QUERIES.names()}
    return {name: text for name, text in texts.items() if "-- service:" in text and "scheduler.live_runs" in text}


async def test_a_condition_beside_the_places_of_rows_lets_an_index_be_read_whole(planning: Connection) -> None:
    """The defect itself: were it not there, this test of plans would prove nothing."""
    claim = PACKAGED_QUERIES.text("live_runs/claim_plain_batch")
    places = "WHERE l.ctid = ANY (ARRAY(SELECT p.place FROM picked p WHERE NOT p.is_serial))"
    assert claim.count(places) == 1
    await believe(planning, 0.0)

    assert list(indexes_read_whole(await plan_of(planning, claim))) == []
    judged = claim.replace(places, f"{places} AND l.state = 'queued'")
    assert set(indexes_read_whole(await plan_of(planning, judged))) == {"live_runs_queued"}


@pytest.mark.parametrize("rows", BELIEVED_ROWS)
async def test_no_statement_reads_an_index_of_live_runs_whole(planning: Connection, rows: float) -> None:
    statements = service_statements()
    assert len(statements) > 20
    await believe(planning, rows)

    plans = {name: await plan_of(planning, text) for name, text in statements.items()}
    found = {(name, index) for name, plan in plans.items() for index in indexes_read_whole(plan)}
    assert found - set(MAY_READ_ALL) == set()
