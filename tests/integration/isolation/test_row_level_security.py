"""Nothing leaves its tenant, whatever the query says (design law 11): attacks with the login that serves requests."""

import asyncpg
import pytest

from rota.storage.postgres.connections import tenant_transaction, transaction
from rota.storage.postgres.driver import Connection, Pool
from tests.integration.isolation.catalogue import REFERRED_TO, TenantTable, insertion, tenant_tables

pytestmark = pytest.mark.both_engines

ACME, GLOBEX = "acme", "globex"


@pytest.fixture
async def parents(admin_connection: Connection) -> list[TenantTable]:
    """Every table with a `tenant_id` that is not a partition of another, each with a row of both tenants."""
    found = [table for table in await tenant_tables(admin_connection) if not table.is_partition]
    assert {"schedules", "triggers", "runs", "live_runs", "events", "audit", "api_tokens"} <= {t.name for t in found}
    for tenant_id in (ACME, GLOBEX):
        await admin_connection.execute(
            "INSERT INTO scheduler.tenants (id, name, created_by) VALUES ($1, $1, 'test')", tenant_id
        )
        for table in sorted(found, key=lambda table: table.name not in REFERRED_TO):
            await admin_connection.execute(await insertion(admin_connection, table.name), tenant_id)
    return found


async def tenants_in(connection: Connection, table: str) -> set[str]:
    rows = await connection.fetch(f"SELECT DISTINCT tenant_id FROM scheduler.{table}")
    return {str(row["tenant_id"]) for row in rows}


async def test_every_table_of_tenants_has_row_level_security(parents: list[TenantTable]) -> None:
    assert [table.name for table in parents if not table.row_security] == []


async def test_the_policies_name_rota_api_and_rota_service_alone(
    parents: list[TenantTable], admin_connection: Connection
) -> None:
    rows = await admin_connection.fetch(
        "SELECT tablename::text AS name, roles::text[] AS roles, permissive, qual, with_check FROM pg_policies"
        " WHERE schemaname = 'scheduler' ORDER BY tablename, policyname"
    )
    of_tenant = "(tenant_id = ( SELECT scheduler.current_tenant() AS current_tenant))"
    for table in parents:
        policies = [(row["roles"], row["qual"], row["with_check"]) for row in rows if row["name"] == table.name]
        assert sorted(policies) == [
            (["rota_api"], of_tenant, of_tenant),
            (["rota_service"], "true", "true"),
        ], table.name


async def test_without_a_tenant_nothing_is_seen(parents: list[TenantTable], api_pool: Pool) -> None:
    async with transaction(api_pool) as connection:
        seen = {table.name: await tenants_in(connection, table.name) for table in parents if table.api_reads}
        seen["tenants"] = {row["id"] for row in await connection.fetch("SELECT id FROM scheduler.tenants")}
    assert set(seen) > {"tenants", "schedules"}
    assert set().union(*seen.values()) == set()


async def test_a_blank_tenant_sees_nothing(parents: list[TenantTable], api_pool: Pool) -> None:
    async with transaction(api_pool) as connection:
        await connection.execute("SELECT pg_catalog.set_config('rota.tenant', '', true)")
        assert await tenants_in(connection, "schedules") == set()
        assert await connection.fetch("SELECT FROM scheduler.tenants") == []


async def test_a_tenant_sees_its_own_rows_only(parents: list[TenantTable], api_pool: Pool) -> None:
    async with tenant_transaction(api_pool, ACME) as connection:
        seen = {table.name: await tenants_in(connection, table.name) for table in parents if table.api_reads}
        own = await connection.fetch("SELECT id FROM scheduler.tenants")
    assert seen == {table.name: {ACME} for table in parents if table.api_reads}
    assert [row["id"] for row in own] == [ACME]


async def test_the_tenant_ends_with_its_transaction(parents: list[TenantTable], api_pool: Pool) -> None:
    async with api_pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute("SELECT pg_catalog.set_config('rota.tenant', $1, true)", ACME)
            assert await tenants_in(connection, "schedules") == {ACME}
        async with connection.transaction():
            assert await tenants_in(connection, "schedules") == set()


async def test_a_tenant_cannot_insert_for_another(
    parents: list[TenantTable], api_pool: Pool, admin_connection: Connection
) -> None:
    writable = [table.name for table in parents if table.api_inserts]
    assert {"schedules", "triggers", "events", "audit", "api_tokens"} <= set(writable)
    for name in writable:
        foreign = (await insertion(admin_connection, name)).replace(
            "LIMIT 1", "UNION ALL SELECT gen_random_uuid() LIMIT 1"
        )
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="violates row-level security policy"):
            async with tenant_transaction(api_pool, ACME) as connection:
                await connection.execute(foreign, GLOBEX)


async def test_a_tenant_cannot_insert_for_nobody(parents: list[TenantTable], api_pool: Pool) -> None:
    for table in ("events", "audit"):
        column = "type" if table == "events" else "actor, verb, resource, resource_id"
        values = ", ".join("'x'" for _ in column.split(", "))
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="violates row-level security policy"):
            async with tenant_transaction(api_pool, ACME) as connection:
                await connection.execute(
                    f"INSERT INTO scheduler.{table} (id, tenant_id, {column})"
                    f" VALUES (gen_random_uuid(), NULL, {values})"
                )


async def test_a_tenant_can_neither_change_nor_take_nor_delete_anothers_rows(
    parents: list[TenantTable], api_pool: Pool
) -> None:
    tried = 0
    for table in parents:
        async with tenant_transaction(api_pool, ACME) as connection:
            if table.api_updates:
                tried += 1
                changed = f"UPDATE scheduler.{table.name} SET tenant_id = tenant_id WHERE tenant_id <> $1"
                assert await connection.execute(changed, ACME) == "UPDATE 0"
            if table.api_deletes:
                tried += 1
                deleted = f"DELETE FROM scheduler.{table.name} WHERE tenant_id <> $1"
                assert await connection.execute(deleted, ACME) == "DELETE 0"
        if table.api_updates:
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="violates row-level security policy"):
                async with tenant_transaction(api_pool, ACME) as connection:
                    await connection.execute(f"UPDATE scheduler.{table.name} SET tenant_id = $1", GLOBEX)
        assert not table.api_truncates, table.name
    assert tried >= 5


async def test_partitions_cannot_be_reached_past_their_parent(
    parents: list[TenantTable], api_pool: Pool, admin_connection: Connection
) -> None:
    partitions = [table for table in await tenant_tables(admin_connection) if table.is_partition]
    assert len(partitions) > len(parents)
    assert [t.name for t in partitions if t.api_reads or t.api_inserts or t.api_updates or t.api_deletes] == []
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
        async with tenant_transaction(api_pool, ACME) as connection:
            await connection.execute(f"SELECT FROM scheduler.{partitions[0].name}")


async def test_views_show_a_tenant_its_own_rows_only(parents: list[TenantTable], api_pool: Pool) -> None:
    async with tenant_transaction(api_pool, ACME) as connection:
        views = await connection.fetch(
            "SELECT c.relname::text AS name FROM pg_class c"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'"
            " WHERE c.relnamespace = 'scheduler'::regnamespace AND c.relkind IN ('v', 'm')"
        )
        assert [row["name"] for row in views] != []
        for view in views:
            assert await tenants_in(connection, view["name"]) == {ACME}


async def test_the_service_sees_every_tenant_without_bypassing_row_level_security(
    parents: list[TenantTable], service_pool: Pool
) -> None:
    async with transaction(service_pool) as connection:
        assert await tenants_in(connection, "schedules") == {ACME, GLOBEX}
        bypasses = await connection.fetchval(
            "SELECT rolbypassrls OR rolsuper FROM pg_roles WHERE rolname = session_user"
        )
    assert bypasses is False


async def test_rota_api_owns_nothing_and_is_nobodys_member(api_pool: Pool) -> None:
    async with transaction(api_pool) as connection:
        row = await connection.fetchrow(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication,"
            " (SELECT count(*) FROM pg_class WHERE relowner = r.oid) AS tables_count,"
            " (SELECT count(*) FROM pg_proc WHERE proowner = r.oid) AS functions_count,"
            " (SELECT count(*) FROM pg_namespace WHERE nspowner = r.oid) AS schemas_count,"
            " (SELECT count(*) FROM pg_auth_members WHERE member = r.oid) AS roles_count,"
            " has_schema_privilege(r.oid, 'scheduler', 'CREATE') AS creates_in_schema,"
            " has_database_privilege(r.oid, current_database(), 'CREATE') AS creates_schemas"
            " FROM pg_roles r WHERE rolname = 'rota_api' AND rolname = session_user"
        )
    assert row is not None
    assert [name for name, value in row.items() if value] == []


async def test_rota_api_can_neither_become_another_role_nor_switch_row_security_off(
    parents: list[TenantTable], api_pool: Pool
) -> None:
    for role in ("rota_service", "rota_owner", "postgres"):
        with pytest.raises(asyncpg.PostgresError, match=r"permission denied|does not exist"):
            async with tenant_transaction(api_pool, ACME) as connection:
                await connection.execute(f"SET LOCAL ROLE {role}")
    async with tenant_transaction(api_pool, ACME) as connection:
        await connection.execute("SET LOCAL row_security = off")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="affected by row-level security"):
            await connection.fetch("SELECT FROM scheduler.schedules")


async def test_functions_that_run_as_the_owner_pin_their_search_path(admin_connection: Connection) -> None:
    rows = await admin_connection.fetch(
        "SELECT proname::text AS name, coalesce(proconfig, '{}')::text[] AS settings,"
        " has_function_privilege('rota_api', oid, 'EXECUTE') AS for_api FROM pg_proc"
        " WHERE pronamespace = 'scheduler'::regnamespace AND prosecdef"
    )
    assert [row["name"] for row in rows if not any("search_path" in each for each in row["settings"])] == []
    assert {row["name"] for row in rows if row["for_api"]} == {
        "authenticate",
        "find_check_in",
        "answer_callback",
        "is_listened_to",
    }
