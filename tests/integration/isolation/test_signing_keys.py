"""What workers sign with is no more readable to the login that serves requests than to anybody outside."""

import asyncpg
import pytest

from rota.storage.postgres.connections import tenant_transaction
from rota.storage.postgres.driver import Connection, Pool

pytestmark = pytest.mark.both_engines

READINGS = (
    "SELECT key FROM scheduler.signing_secrets",
    "SELECT * FROM scheduler.signing_secrets",
    "UPDATE scheduler.signing_secrets SET name = encode(key, 'hex')",
    "UPDATE scheduler.signing_secrets SET name = 'x' RETURNING key",
    "SELECT to_jsonb(s) FROM scheduler.signing_secrets s",
    "SELECT FROM scheduler.signing_secrets WHERE key > 'a'",
    "COPY scheduler.signing_secrets TO STDOUT",
)


@pytest.mark.parametrize("reading", READINGS)
async def test_rota_api_cannot_read_a_key(reading: str, api_pool: Pool, admin_connection: Connection) -> None:
    await admin_connection.execute("INSERT INTO scheduler.tenants (id, name, created_by) VALUES ('acme', 'a', 't')")
    await admin_connection.execute(
        "INSERT INTO scheduler.signing_secrets (id, tenant_id, name, key, created_at, created_by)"
        " VALUES (gen_random_uuid(), 'acme', 'billing', 'secret', clock_timestamp(), 't')"
    )
    async with tenant_transaction(api_pool, "acme") as connection:
        assert await connection.fetchval("SELECT name FROM scheduler.signing_secrets") == "billing"
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
        async with tenant_transaction(api_pool, "acme") as connection:
            await connection.execute(reading)
