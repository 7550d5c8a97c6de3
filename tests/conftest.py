"""What every test may ask for: databases, pools, the settable clock. See `tests/support`.

A test that asks for `database` (or a pool) gets the embedded PostgreSQL. With `@pytest.mark.both_engines`, or by asking
for `any_database`, it runs on Debian's PostgreSQL 15 too.
"""

import shutil
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from rota.storage.postgres.connections import PoolOptions, open_connection, open_pool
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.logins import Login
from tests.support.postgres import ENGINES, ClonedDatabase, TestServer, roomy_memory
from tests.support.settable_clock import SettableClock
from tests.support.waiting import loop_sleep

pytest_plugins = ["tests.plugins.no_skips", "tests.plugins.port_coverage"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marked = metafunc.definition.get_closest_marker("both_engines") is not None
    if "engine" in metafunc.fixturenames and (marked or "any_database" in metafunc.fixturenames):
        metafunc.parametrize("engine", ENGINES, indirect=True)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """`pg18`, or each of `ENGINES` in turn for a test that asks for both."""
    return str(getattr(request, "param", "pg18"))


@pytest.fixture
def server_root() -> Generator[Path]:
    """An empty directory for a server of the test's own.

    Not `tmp_path`: each start of pytest closes its parent again, also under the servers of a run that goes on.
    """
    root = Path(tempfile.mkdtemp(prefix="rota-test-", dir=roomy_memory()))
    yield root
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def servers() -> Generator[dict[str, TestServer]]:
    """The servers started so far, by engine."""
    started: dict[str, TestServer] = {}
    yield started
    for server in started.values():
        server.close()


@pytest.fixture
def server(engine: str, servers: dict[str, TestServer]) -> TestServer:
    """The server of this test's engine, shared with other tests."""
    if engine not in servers:
        servers[engine] = TestServer(engine)
    return servers[engine]


@pytest.fixture
async def database(server: TestServer) -> AsyncGenerator[ClonedDatabase]:
    """A migrated database of this test's own."""
    cloned = await server.clone()
    yield cloned
    await server.drop(cloned)


@pytest.fixture
async def any_database(database: ClonedDatabase) -> ClonedDatabase:
    """`database`, on each engine in turn."""
    return database


@pytest.fixture
async def pg18_database(database: ClonedDatabase) -> ClonedDatabase:
    """`database`, said aloud to be on the embedded server only."""
    assert database.engine == "pg18"
    return database


@pytest.fixture
async def empty_database(server: TestServer) -> AsyncGenerator[ClonedDatabase]:
    """A database without schema; the logins exist in its cluster."""
    cloned = await server.clone("template1")
    yield cloned
    await server.drop(cloned)


@pytest.fixture
async def owner_pool(database: ClonedDatabase) -> AsyncGenerator[Pool]:
    pool = await _pool(database.urls.owner, Login.OWNER)
    yield pool
    await pool.close()


@pytest.fixture
async def api_pool(database: ClonedDatabase) -> AsyncGenerator[Pool]:
    pool = await _pool(database.urls.api, Login.API)
    yield pool
    await pool.close()


@pytest.fixture
async def service_pool(database: ClonedDatabase) -> AsyncGenerator[Pool]:
    pool = await _pool(database.urls.service, Login.SERVICE)
    yield pool
    await pool.close()


@pytest.fixture
async def admin_connection(database: ClonedDatabase) -> AsyncGenerator[Connection]:
    """A superuser's session, for what a test must do or see behind Rota's back."""
    connection = await open_connection(
        database.admin_url, Login.OWNER, application_name="test (admin)", sleep=loop_sleep
    )
    yield connection
    await connection.close()


@pytest.fixture(name="test_clock")
async def settable_clock(owner_pool: Pool) -> SettableClock:
    """The database's clock, in the test's hands: it runs until `set` stops it."""
    clock = SettableClock(owner_pool)
    await clock.install()
    return clock


async def _pool(url: str, login: Login) -> Pool:
    options = PoolOptions(connections_max=8)
    return await open_pool(url, login, application_name=f"test ({login})", sleep=loop_sleep, options=options)
