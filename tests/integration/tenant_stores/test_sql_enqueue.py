"""scheduler.enqueue from the clients that people have: as a login of their own, in a transaction of their own."""

import asyncio
import os
import subprocess
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psycopg
import pytest
from msgspec import json, structs

from rota.core.validation import validate_run_draft
from rota.domain.ids import RunId
from rota.domain.page import PageRequest
from rota.domain.policies import RetryPolicy, RunPolicy
from rota.domain.run import Run
from rota.domain.targets import TaskTarget
from rota.ports.run_store import RunFilter
from rota.storage.postgres.driver import Connection, Pool
from tests.contract.records import ACME, GLOBEX
from tests.contract.run_stores import RunStores, draft, postgres_run_stores
from tests.contract.stores import Stores
from tests.support.postgres import ClonedDatabase, installation_of

CALL = "SELECT scheduler.enqueue({})"


@pytest.fixture
def runs(stores: Stores, api_pool: Pool, service_pool: Pool) -> RunStores:
    return postgres_run_stores(stores, api_pool, service_pool)


@pytest.fixture
async def shop(database: ClonedDatabase, runs: RunStores, admin_connection: Connection) -> AsyncGenerator[str]:
    """The URL of a program's own login, which may enqueue for `acme`. Roles are the cluster's."""
    name = f"shop_{database.name}"
    await admin_connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'shop'")
    await admin_connection.execute("SELECT scheduler.allow_enqueue($1, 'acme')", name)
    parts = urlsplit(database.admin_url)
    yield urlunsplit(parts._replace(netloc=f"{name}:shop@{parts.netloc.rpartition('@')[2]}"))
    await admin_connection.execute(f"DROP OWNED BY {name}")
    await admin_connection.execute(f"DROP ROLE {name}")


@pytest.fixture
async def connection(shop: str) -> AsyncGenerator[asyncpg.Connection]:
    made = await asyncpg.connect(shop)
    yield made
    await made.close()


async def runs_of(runs: RunStores) -> list[Run]:
    return list((await runs.reader.page(ACME, RunFilter(), PageRequest(limit=500))).items)


async def refusal(connection: asyncpg.Connection, arguments: str) -> Any:
    with pytest.raises(asyncpg.PostgresError) as refused:
        await connection.execute(CALL.format(arguments))
    return refused.value


@pytest.mark.both_engines
async def test_asyncpg_enqueues_in_its_own_transaction(connection: asyncpg.Connection, runs: RunStores) -> None:
    lost = connection.transaction()
    await lost.start()
    await connection.execute(CALL.format("'report'"))
    await lost.rollback()
    async with connection.transaction():
        made = await connection.fetchval(CALL.format("'report', $1::jsonb, queue => 'slow'"), '{"n": 1}')
        assert await runs_of(runs) == []

    (run,) = await runs_of(runs)
    assert (run.id, run.state, run.queue) == (str(made), "queued", "slow")
    assert run.target == TaskTarget("report", {"n": 1})
    assert run.policy == RunPolicy()
    assert run.created_by.startswith("login shop_")
    assert [entry.resource_id for entry in await runs.base.audit.audit_of(ACME) if entry.verb == "enqueue"] == [run.id]
    assert [one.run_id for one in await runs.claim(await runs.worker(queues=["slow"]), queues=["slow"])] == [run.id]


async def test_psycopg_enqueues_in_its_own_transaction(shop: str, runs: RunStores) -> None:
    def enqueue(*, fails: bool) -> str:
        with psycopg.connect(shop) as connection:
            asked = "SELECT scheduler.enqueue('report', %s::jsonb, delay => interval '1 hour', attempts_max => 2)"
            row = connection.execute(asked, ['{"n": 1}']).fetchone()
            if fails:
                raise ZeroDivisionError
        assert row is not None
        return str(row[0])

    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(enqueue, fails=True)
    made = await asyncio.to_thread(enqueue, fails=False)

    (run,) = await runs_of(runs)
    assert (run.id, run.state, run.policy) == (made, "scheduled", RunPolicy(retry=RetryPolicy(attempts_max=2)))
    assert run.due_at - run.created_at == timedelta(hours=1)


async def test_a_delayed_run_sleeps_from_birth(shop: str, owner_pool: Pool) -> None:
    connection = await asyncpg.connect(shop)
    try:
        for delay in ("0", "1 hour"):
            await connection.fetchval(f"SELECT scheduler.enqueue('report', delay => interval '{delay}')")
    finally:
        await connection.close()
    sleeping = await owner_pool.fetch("SELECT is_asleep FROM scheduler.live_runs ORDER BY due_at")
    assert [row["is_asleep"] for row in sleeping] == [False, True]


async def test_psql_enqueues_in_its_own_transaction_and_shows_which_field_is_wrong(shop: str, runs: RunStores) -> None:
    def psql(script: str) -> "subprocess.CompletedProcess[str]":
        command = [str(installation_of("pg18").bin_dir / "psql"), "-XqAt", "-v", "VERBOSITY=verbose", shop]
        return subprocess.run(command, input=script, capture_output=True, text=True, check=False, env=os.environ)

    rolled_back = "BEGIN; SELECT scheduler.enqueue('report'); ROLLBACK;"
    done = await asyncio.to_thread(psql, f"{rolled_back} SELECT scheduler.enqueue('report', priority => 7);")
    wrong = await asyncio.to_thread(psql, "SELECT scheduler.enqueue('report', queue => 'Not A Queue');")

    (run,) = await runs_of(runs)
    assert (done.stdout.split()[-1], run.priority) == (run.id, 7)
    assert "22023: queue: 'Not A Queue' is not of the right form" in wrong.stderr
    assert "COLUMN NAME:  queue" in wrong.stderr


async def test_a_key_makes_one_run_also_of_fifty_callers_at_once(shop: str, runs: RunStores) -> None:
    pool = await asyncpg.create_pool(shop, min_size=10, max_size=10)
    asked = CALL.format("'report', idempotency_key => 'k'")
    made = set(await asyncio.gather(*(pool.fetchval(asked) for _ in range(50))))
    with pytest.raises(asyncpg.UniqueViolationError) as refused:
        await pool.execute(CALL.format("'report', '{\"n\": 2}', idempotency_key => 'k'"))
    await pool.close()

    assert [run.id for run in await runs_of(runs)] == [str(one) for one in made]
    other: Any = refused.value
    assert other.column_name == "idempotency_key"


async def test_a_key_of_a_transaction_that_was_rolled_back_is_free(
    connection: asyncpg.Connection, runs: RunStores
) -> None:
    asked = CALL.format("'report', idempotency_key => 'k'")
    await connection.execute("BEGIN")
    lost = await connection.fetchval(asked)
    await connection.execute("ROLLBACK")
    made = await connection.fetchval(asked)
    assert (made != lost, [run.id for run in await runs_of(runs)]) == (True, [str(made)])


async def test_a_login_enqueues_for_its_tenant_alone_and_can_do_nothing_else(
    connection: asyncpg.Connection, admin_connection: Connection, runs: RunStores, shop: str
) -> None:
    await connection.execute("SELECT set_config('rota.tenant', 'globex', false)")
    refused = await refusal(connection, "'report'")
    assert (refused.sqlstate, "globex" in str(refused)) == ("42501", True)
    for statement in (
        "SELECT FROM scheduler.runs",
        "DELETE FROM scheduler.live_runs",
        "SELECT scheduler.enqueuing_tenant()",
        "SELECT scheduler.allow_enqueue('a', 'globex')",
        "INSERT INTO scheduler.enqueue_logins DEFAULT VALUES",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)

    login = urlsplit(shop).username
    await admin_connection.execute("SELECT scheduler.allow_enqueue($1, 'globex')", login)
    made = await connection.fetchval(CALL.format("'report'"))
    assert (await runs.reader.get(GLOBEX, RunId(str(made)))).tenant_id == GLOBEX
    await connection.execute("SELECT set_config('rota.tenant', '', false)")
    assert (await refusal(connection, "'report'")).sqlstate == "42501"

    for tenant_id in (ACME, GLOBEX):
        await admin_connection.execute("SELECT scheduler.forbid_enqueue($1, $2)", login, tenant_id)
    assert "may not enqueue for any tenant" in str(await refusal(connection, "'report'"))
    verbs = [entry.verb for entry in await runs.base.audit.audit_of(ACME) if entry.resource == "enqueue_login"]
    assert verbs == ["allow", "forbid"]


@pytest.mark.parametrize(("login", "tenant"), [("rota_api", "acme"), ("postgres", "nobody")])
async def test_logins_of_rota_and_unknown_tenants_are_not_let_in(
    admin_connection: Connection, runs: RunStores, login: str, tenant: str
) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await admin_connection.execute("SELECT scheduler.allow_enqueue($1, $2)", login, tenant)


TASKS = ("report", "a.b:c-d", "", "1a", "a..b", "a b", "é", "a\n", "x" * 200, "x" * 201)
QUEUES = ("default", "a-b_c.1", "", "-a", "A", "a\n", "q" * 64, "q" * 65)
KEYS = ("k", "a b", "", " a", "a ", "a\tb", "ü", "k" * 200, "k" * 201)
ARGS: tuple[Any, ...] = ({}, {"n": 1}, {"é": 1}, {"a b": 1}, {"1": 1}, {"": 1}, {"x": "y" * 262_150}, {"x": 1e308})
NUMBERS = (-1, 0, 9, 10, 1000, 1001)
SECONDS = (-1.0, 0.0, 0.009, 0.01, 1.5, 2_592_000.0, 2_592_001.0, 31_622_400.0, 31_622_401.0)


def nested(levels: int) -> dict[str, Any]:
    return {"x": 1} if levels <= 1 else {"x": nested(levels - 1)}


async def test_what_is_wrong_is_what_the_api_finds_wrong(owner_pool: Pool) -> None:
    plain: dict[str, Any] = {
        "task": "report", "args": {}, "queue": "default", "priority": 0, "delay": 0.0, "due_at": None, "key": None,
        "timeout_seconds": 3600.0, "attempts_max": 5,
    }  # fmt: skip
    cases: list[dict[str, Any]] = [
        *({"task": one} for one in TASKS), *({"queue": one} for one in QUEUES), *({"key": one} for one in KEYS),
        *({"args": one} for one in ARGS), *({"priority": one} for one in NUMBERS),
        *({"attempts_max": one} for one in NUMBERS), *({"timeout_seconds": one} for one in SECONDS),
        *({"delay": one} for one in SECONDS), *({"args": nested(levels)} for levels in (62, 63, 64, 65, 66)),
        *({"due_at": datetime(year, 1, 1, tzinfo=UTC)} for year in (1969, 1970, 2199, 2200)),
        {"due_at": datetime(2030, 1, 1, tzinfo=UTC), "delay": 1.0},
    ]  # fmt: skip
    for case in cases:
        given = plain | case
        policy = RunPolicy(given["timeout_seconds"], retry=RetryPolicy(attempts_max=given["attempts_max"]))
        wanted = structs.replace(
            draft(), target=TaskTarget(given["task"], given["args"]), policy=policy, queue=given["queue"],
            priority=given["priority"], delay_seconds=given["delay"], due_at=given["due_at"],
            idempotency_key=given["key"],
        )  # fmt: skip
        field = await owner_pool.fetchval(
            "SELECT field FROM scheduler.enqueue_problem("
            "$1, $2::text::jsonb, $3, $4, make_interval(secs => $5), $6, $7, $8, $9)",
            given["task"], json.encode(given["args"]).decode(), given["queue"], given["priority"], given["delay"],
            given["due_at"], given["key"], given["timeout_seconds"], given["attempts_max"],
        )  # fmt: skip
        problems = validate_run_draft(wanted)
        assert (field is not None) == bool(problems), (case, field, problems)
