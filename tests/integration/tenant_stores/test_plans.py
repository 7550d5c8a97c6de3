"""The hot statements at 50,000 rows: each walks an index, with one plan for all values as with a plan for these."""

from collections.abc import AsyncGenerator, Iterator
from typing import Any, NamedTuple

import pytest

from rota.storage.postgres.connections import open_connection, tenant_transaction
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.logins import Login
from rota.storage.postgres.query_files import query
from tests.contract.records import ACME, GLOBEX
from tests.support.postgres import ClonedDatabase, TestServer
from tests.support.waiting import loop_sleep

pytestmark = pytest.mark.both_engines

ROWS = 50_000
FEW = 500
NO_ID = "00000000-0000-0000-0000-000000000000"
LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
TAIL = "\U0010ffff" * 700

FILL = (
    "INSERT INTO scheduler.tenants (id, name, created_by) VALUES ('acme', 'A', 't'), ('globex', 'G', 't')",
    f"""
    INSERT INTO scheduler.schedules
           (id, tenant_id, name, enabled, target, policies, created_at, created_by, updated_at, updated_by, deleted_at)
    SELECT gen_random_uuid(), CASE WHEN n <= {ROWS} THEN 'acme' ELSE 'globex' END, 's' || lpad(n::text, 6, '0'), true,
           '{{"kind": "task", "task": "t"}}', '{{}}', clock_timestamp(), 't', clock_timestamp(), 't',
           CASE WHEN n % 10 = 0 THEN clock_timestamp() END
      FROM generate_series(1, {ROWS + FEW}) AS n
    """,
    """
    INSERT INTO scheduler.triggers (id, schedule_id, tenant_id, position, spec, anchor_at)
    SELECT gen_random_uuid(), id, tenant_id, 1, '{"kind": "interval", "every_seconds": 60}', created_at
      FROM scheduler.schedules
    """,
    f"""
    INSERT INTO scheduler.events (id, txid, tenant_id, type, subject)
    SELECT scheduler.uuid7_at(clock_timestamp()), (n / 100)::text::xid8,
           CASE WHEN n % 100 > 0 THEN 'acme' ELSE 'globex' END, 'RunFailed', 'r' || n
      FROM generate_series(1, {ROWS + FEW}) AS n
    """,
    "VACUUM ANALYZE scheduler.schedules, scheduler.triggers, scheduler.events",
)


class Scan(NamedTuple):
    """What one node looked at: rows it gave and rows it threw away, over all its loops."""

    relation: str
    walked: str | None
    rows: float
    counts: bool


@pytest.fixture(scope="session")
def filled() -> dict[str, str]:
    """The names of the databases that were filled, by engine; each test gets a copy."""
    return {}


@pytest.fixture
async def database(server: TestServer, filled: dict[str, str]) -> AsyncGenerator[ClonedDatabase]:
    if server.engine not in filled:
        filled[server.engine] = await filled_database(server)
    cloned = await server.clone(filled[server.engine])
    yield cloned
    await server.drop(cloned)


async def filled_database(server: TestServer) -> str:
    made = await server.clone()
    admin = await open_connection(made.admin_url, Login.OWNER, application_name="test (filling)", sleep=loop_sleep)
    for statement in FILL:
        await admin.execute(statement)
    await admin.close()
    return made.name


@pytest.fixture(params=["force_custom_plan", "force_generic_plan"])
async def acme(request: pytest.FixtureRequest, api_pool: Pool) -> AsyncGenerator[Connection]:
    async with tenant_transaction(api_pool, ACME) as connection:
        await connection.execute(f"SET LOCAL plan_cache_mode = {request.param}")
        yield connection


async def scans_of(connection: Connection, name: str, *values: str) -> list[Scan]:
    """The scans of the packaged statement *name*, run with these values as SQL literals."""
    await connection.execute(f"PREPARE measured AS {query(name)}")
    rows = await connection.fetch(
        f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, FORMAT JSON) EXECUTE measured ({', '.join(values)})"
    )
    await connection.execute("DEALLOCATE measured")
    return list(scans_in(rows[0][0][0]["Plan"], counts=False))


def scans_in(node: dict[str, Any], *, counts: bool) -> Iterator[Scan]:
    if "Relation Name" in node:
        removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        rows = (node["Actual Rows"] + removed) * node["Actual Loops"]
        yield Scan(node["Relation Name"], node.get("Index Name"), rows, counts)
    for child in node.get("Plans", []):
        yield from scans_in(child, counts=counts or node["Node Type"] == "Aggregate")


def looked_at(scans: list[Scan], relation: str) -> float:
    return sum(scan.rows for scan in scans if scan.relation.startswith(relation) and not scan.counts)


def indexes(scans: list[Scan]) -> set[str | None]:
    return {scan.walked for scan in scans if not scan.counts and scan.rows}


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def page_values(tenant_id: str = ACME, prefix: str = "", behind: str = "") -> tuple[str, ...]:
    given = (tenant_id, prefix, prefix + TAIL)
    return (*map(literal, given), "NULL", "NULL", literal(behind), literal(NO_ID), "51", "0", "NULL", "NULL", "NULL")


async def test_a_page_of_schedules_looks_at_no_more_than_it_shows(acme: Connection) -> None:
    for values in (page_values(), page_values(behind="s045000"), page_values(prefix="s03000")):
        scans = await scans_of(acme, "schedules/page_live", *values)
        assert looked_at(scans, "schedules") <= 60
        assert indexes(scans) == {"schedules_live_name"}
        triggers = [scan for scan in scans if scan.relation == "triggers"]
        assert {scan.walked for scan in triggers} == {"triggers_by_schedule"}
        assert sum(scan.rows for scan in triggers) <= 51


async def test_a_page_of_deleted_schedules_walks_their_index(acme: Connection) -> None:
    scans = await scans_of(acme, "schedules/page_deleted", *page_values(behind="s020000"))
    assert looked_at(scans, "schedules") <= 60
    assert indexes(scans) == {"schedules_deleted"}


async def test_the_total_of_a_prefix_counts_only_what_has_it(acme: Connection) -> None:
    scans = await scans_of(acme, "schedules/page_live", *page_values(prefix="s0300"))
    counted = [scan for scan in scans if scan.counts and scan.relation == "schedules"]
    assert {scan.walked for scan in counted} == {"schedules_live_name"}
    assert sum(scan.rows for scan in counted) <= 100


async def test_a_name_is_found_by_its_index(acme: Connection) -> None:
    scans = await scans_of(acme, "schedules/find_by_name", literal(ACME), "'s012345'")
    schedules = [scan for scan in scans if scan.relation == "schedules"]
    assert [(scan.walked, scan.rows) for scan in schedules] == [("schedules_live_name", 1)]


async def test_following_events_looks_at_no_more_than_it_shows(acme: Connection) -> None:
    for txid in (0, 400):
        values = (literal(ACME), literal(str(txid)), literal(NO_ID), "'{}'", "NULL", "100")
        scans = await scans_of(acme, "events/after_in_tenant", *values)
        assert 100 <= looked_at(scans, "events") <= 130
        assert all(index and "txid" in index for index in indexes(scans))


async def test_the_newest_events_are_found_from_the_end(acme: Connection) -> None:
    values = (literal(ACME), literal(str(2**64 - 1)), literal(LAST_ID), "'{}'", "NULL", "51", "0")
    scans = await scans_of(acme, "events/page_in_tenant", *values)
    assert 51 <= looked_at(scans, "events") <= 80
    assert all(index and "txid" in index for index in indexes(scans))


async def test_a_tenant_with_few_schedules_does_not_pay_for_one_with_many(acme: Connection, api_pool: Pool) -> None:
    async with tenant_transaction(api_pool, GLOBEX) as connection:
        scans = await scans_of(connection, "schedules/page_live", *page_values(GLOBEX))
    assert sum(scan.rows for scan in scans if scan.relation == "schedules") <= FEW + 60


async def test_the_platforms_log_is_followed_by_its_index(acme: Connection, service_pool: Pool) -> None:
    async with service_pool.acquire() as connection, connection.transaction():
        values = ("'400'", literal(NO_ID), "'{}'", "NULL", "100")
        scans = await scans_of(connection, "events/after_in_platform", *values)
    assert 100 <= looked_at(scans, "events") <= 130
    assert all(index and "txid" in index for index in indexes(scans))


async def test_the_events_of_one_subject_are_found_by_its_index(acme: Connection) -> None:
    start, end = (literal("0"), literal(NO_ID)), (literal(str(2**64 - 1)), literal(LAST_ID))
    following = (literal(ACME), *start, "'{}'", "NULL", "100", "'r25000'")
    history = (literal(ACME), *end, "'{}'", "NULL", "51", "0", "'r25000'")
    for name, values in (("events/after_of_subject", following), ("events/page_of_subject", history)):
        scans = await scans_of(acme, name, *values)
        assert sum(scan.rows for scan in scans) <= 2
        assert all(scan.walked and "subject" in scan.walked for scan in scans if scan.rows)


async def test_a_tenant_with_few_events_does_not_pay_for_one_with_many(acme: Connection, api_pool: Pool) -> None:
    async with tenant_transaction(api_pool, GLOBEX) as connection:
        values = (literal(GLOBEX), literal(str(2**64 - 1)), literal(LAST_ID), "'{}'", "NULL", "51", "0")
        scans = await scans_of(connection, "events/page_in_tenant", *values)
    assert sum(scan.rows for scan in scans) <= FEW + 80
