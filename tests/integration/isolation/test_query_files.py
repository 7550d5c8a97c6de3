"""The first of the two walls: the statements themselves compare the tenant."""

import re

from rota.storage.postgres.driver import Connection
from rota.storage.postgres.query_files import PACKAGED_QUERIES
from tests.architecture.tidy_sql import NOISE, SERVICE
from tests.integration.isolation.catalogue import tenant_tables

# Aggregates whose statements are run for a tenant's request. Others belong to the leader and to workers, who serve all.
FOR_REQUESTS = (
    "schedules", "tokens", "events", "audit", "locks", "signing_secrets", "check_ins", "calendars",
    "schedule_templates", "bindings", "evidence", "milestones", "graph_jobs", "policy_jobs",
    "backfills", "flags",
)  # fmt: skip

# The exceptions among them, run by the service login; each gives its reason in the file.
ACROSS_TENANTS = {
    "events/after_in_platform",
    "events/page_in_platform",
    "signing_secrets/list_live_keys",
}

COMPARISON = re.compile(r"\btenant_id\s*=\s*\$1\b")


async def test_every_look_of_a_request_at_a_tenants_table_compares_the_tenant(admin_connection: Connection) -> None:
    tables = "|".join(table.name for table in await tenant_tables(admin_connection) if not table.is_partition)
    look = re.compile(rf"\b(?:FROM|JOIN|UPDATE)\s+scheduler\.(?:{tables})\b")
    statements = {
        name: NOISE.sub(" ", PACKAGED_QUERIES.text(name))
        for name in PACKAGED_QUERIES.names()
        if name.split("/")[0] in FOR_REQUESTS
    }
    looking = {name for name, code in statements.items() if look.search(code)}
    assert len(looking) >= 14
    careless = {
        name for name in looking if len(COMPARISON.findall(statements[name])) < len(look.findall(statements[name]))
    }
    assert careless == ACROSS_TENANTS
    assert {name for name in careless if SERVICE.search(PACKAGED_QUERIES.text(name))} == careless


async def test_every_insertion_of_a_request_names_the_tenant(admin_connection: Connection) -> None:
    tables = "|".join(table.name for table in await tenant_tables(admin_connection) if not table.is_partition)
    insertion = re.compile(rf"\bINSERT\s+INTO\s+scheduler\.(?:{tables})\s*\(([^)]*)\)")
    columns = {
        name: found
        for name in PACKAGED_QUERIES.names()
        if name.split("/")[0] in FOR_REQUESTS
        for found in insertion.findall(PACKAGED_QUERIES.text(name))
    }
    assert len(columns) >= 4
    assert [name for name, found in columns.items() if "tenant_id" not in found] == []
