"""The logins are made in a cluster of the test's own, since they belong to a whole cluster."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from rota.domain.errors import DomainError
from rota.storage.postgres.connections import open_pool
from rota.storage.postgres.driver import Connection
from rota.storage.postgres.embedded import EmbeddedPostgres
from rota.storage.postgres.login_roles import ensure_logins
from rota.storage.postgres.logins import (
    DatabaseOptions,
    DatabaseUrls,
    Login,
    refuse_unsafe_api_login,
    resolve_urls,
    with_user,
)
from rota.storage.postgres.migrator import Migrator
from tests.support.postgres import TEST_SETTINGS, ClonedDatabase, installation_of
from tests.support.waiting import loop_sleep


@pytest.fixture
def fresh_url(engine: str, server_root: Path) -> Iterator[str]:
    """The administrator's URL of a cluster without any of Rota's roles."""
    server = EmbeddedPostgres(
        server_root / "data",
        new_secret=lambda: "boss-secret",
        installation=installation_of(engine),
        settings=TEST_SETTINGS,
    )
    yield server.start()
    server.stop()


@pytest.fixture
async def boss(fresh_url: str) -> AsyncGenerator[asyncpg.Connection]:
    connection = await asyncpg.connect(fresh_url)
    yield connection
    await connection.close()


def derived(url: str) -> DatabaseUrls:
    return resolve_urls(DatabaseOptions(url=url))


async def session_user(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval("SELECT session_user::text"))
    finally:
        await connection.close()


async def sessions(urls: DatabaseUrls) -> list[str]:
    return [await session_user(url) for url in (urls.owner, urls.api, urls.service)]


@pytest.mark.both_engines
async def test_replicas_and_databases_may_make_the_logins_at_once(fresh_url: str, boss: asyncpg.Connection) -> None:
    await boss.execute("CREATE DATABASE other")
    urls = [derived(fresh_url), derived(urlsplit(fresh_url)._replace(path="/other").geturl())]

    await asyncio.gather(*(ensure_logins(each, sleep=loop_sleep) for each in urls * 5))

    for each in urls:
        assert await sessions(each) == list(Login)


@pytest.mark.both_engines
async def test_the_logins_have_no_power_beyond_their_part(fresh_url: str, boss: asyncpg.Connection) -> None:
    await ensure_logins(derived(fresh_url), sleep=loop_sleep)

    powerful = await boss.fetch(
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'rota\\_%' AND rolname <> 'rota_admin'"
        " AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)"
    )
    creators = await boss.fetch(
        "SELECT r FROM unnest($1::text[]) AS r WHERE has_database_privilege(r, current_database(), 'CREATE')",
        [str(login) for login in Login],
    )

    assert powerful == []
    assert [row["r"] for row in creators] == ["rota_owner"]


async def test_a_start_without_changes_writes_nothing(fresh_url: str, boss: asyncpg.Connection) -> None:
    async def versions() -> list[tuple[object, ...]]:
        rows = await boss.fetch(
            "SELECT 'role' AS kind, oid::text AS id, xmin::text FROM pg_authid"
            " UNION ALL SELECT 'setting', setrole::text, xmin::text FROM pg_db_role_setting"
            " UNION ALL SELECT 'database', oid::text, xmin::text FROM pg_database ORDER BY 1, 2"
        )
        return [tuple(row) for row in rows]

    await ensure_logins(derived(fresh_url), sleep=loop_sleep)
    before = await versions()
    await ensure_logins(derived(fresh_url), sleep=loop_sleep)

    assert await versions() == before


async def test_a_new_administrators_password_gives_the_logins_new_ones(
    fresh_url: str, boss: asyncpg.Connection
) -> None:
    await ensure_logins(derived(fresh_url), sleep=loop_sleep)
    await boss.execute("ALTER ROLE rota_admin PASSWORD 'changed'")
    changed = derived(with_user(fresh_url, "rota_admin", "changed"))

    await ensure_logins(changed, sleep=loop_sleep)

    assert await sessions(changed) == list(Login)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await session_user(derived(fresh_url).api)


@pytest.mark.both_engines
async def test_an_administrator_needs_no_superuser(fresh_url: str, boss: asyncpg.Connection) -> None:
    await boss.execute("CREATE ROLE deputy LOGIN CREATEROLE PASSWORD 'pw'")
    await boss.execute("CREATE DATABASE theirs OWNER deputy")
    urls = derived(with_user(urlsplit(fresh_url)._replace(path="/theirs").geturl(), "deputy", "pw"))

    await Migrator(urls, sleep=loop_sleep).migrate()
    await Migrator(urls, sleep=loop_sleep).migrate()

    assert await sessions(urls) == list(Login)


async def test_an_administrator_without_the_right_is_told_the_remedy(fresh_url: str, boss: asyncpg.Connection) -> None:
    await boss.execute("CREATE ROLE nobody_special LOGIN PASSWORD 'pw'")

    with pytest.raises(DomainError) as caught:
        await ensure_logins(derived(with_user(fresh_url, "nobody_special", "pw")), sleep=loop_sleep)

    (problem,) = caught.value.problems
    assert problem.field == "--database-url"
    assert "CREATEROLE" in problem.remedy


@pytest.mark.parametrize("password", ["it's", "back\\slash", "per%cent/@:?#", "ümläut"])
async def test_a_password_of_ones_own_is_set_as_it_is(fresh_url: str, password: str) -> None:
    own = with_user(fresh_url, "rota_api", password)
    urls = resolve_urls(DatabaseOptions(url=fresh_url, api_url=own))

    await ensure_logins(urls, sleep=loop_sleep)

    assert await session_user(own) == "rota_api"


@pytest.mark.parametrize(
    ("login", "reason"),
    [("admin", "is a superuser"), ("owner", "owns tables of the schema"), ("service", "sees every tenant")],
)
async def test_a_login_that_sees_too_much_never_serves(database: ClonedDatabase, login: str, reason: str) -> None:
    url = {"admin": database.admin_url, "owner": database.urls.owner, "service": database.urls.service}[login]

    with pytest.raises(DomainError) as caught:
        await open_pool(url, Login.API, application_name="test", sleep=loop_sleep)

    (problem,) = caught.value.problems
    assert problem.field == "--database-api-url"
    assert reason in problem.problem


@pytest.mark.both_engines
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        ("CREATE ROLE front LOGIN BYPASSRLS PASSWORD 'pw'", "front has BYPASSRLS"),
        ("CREATE ROLE front LOGIN PASSWORD 'pw' IN ROLE rota_service", "rota_service sees every tenant"),
        ("CREATE ROLE front LOGIN NOINHERIT PASSWORD 'pw' IN ROLE rota_owner", "rota_owner owns tables"),
        ("CREATE ROLE front LOGIN PASSWORD 'pw' IN ROLE rota_api", None),
    ],
)
async def test_membership_is_judged_with_what_it_brings(
    fresh_url: str, boss: asyncpg.Connection, make: str, reason: str | None
) -> None:
    await Migrator(derived(fresh_url), sleep=loop_sleep).migrate()
    await boss.execute(make)
    front: Connection = await asyncpg.connect(with_user(fresh_url, "front", "pw"))

    try:
        if reason is None:
            await refuse_unsafe_api_login(front)
            assert await front.fetchval("SELECT session_user::text") == "front"
        else:
            with pytest.raises(DomainError, match=reason):
                await refuse_unsafe_api_login(front)
    finally:
        await front.close()
