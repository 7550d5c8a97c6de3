"""The database of one process: which URL each login uses, the pools, and the stores upon them."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec import Struct, structs

from rota.composition.options import DatabaseFlags
from rota.domain.errors import DomainError, invalid_input
from rota.domain.problems import FieldProblem
from rota.ports.clock import Clock
from rota.storage.postgres.connections import FENCED_SETTINGS, PoolOptions, open_pool
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.logins import DatabaseOptions, DatabaseUrls, Login, resolve_urls

API_CONNECTIONS_MAX = 10
SERVICE_CONNECTIONS_MAX = 8
WORKER_CONNECTIONS_MAX = 4
LEADER_CONNECTIONS_MAX = 2

API_ANSWER_SECONDS_MAX = 30.0
SERVICE_ANSWER_SECONDS_MAX = 10.0
# A little more than the server's own bound on a fenced statement.
LEADER_ANSWER_SECONDS_MAX = 1.5

# A plan is kept, and a table that was empty when it was made may hold a hundred thousand rows a second later. The
# service login's statements find their rows by index: reading a table whole is never right for them, however small.
INDEXED_SETTINGS = {"enable_seqscan": "off"}


class ServerPools(Struct, frozen=True):
    """The pools of a server process; `pooled_by_transaction` tells statements that they share sessions."""

    api: Pool
    service: Pool
    pooled_by_transaction: bool


def database_urls(flags: DatabaseFlags) -> DatabaseUrls:
    """One URL per login. Raises INVALID_INPUT naming the flag that is missing or wrong."""
    return resolve_urls(
        DatabaseOptions(
            url=flags.url,
            direct_url=flags.direct_url,
            owner_url=flags.owner_url,
            api_url=flags.api_url,
            service_url=flags.service_url,
            pooled_by_transaction=flags.pooled_by_transaction,
        )
    )


def worker_urls(flags: DatabaseFlags) -> DatabaseUrls:
    """The same for a worker, which needs the service login alone: the other two may be left out."""
    if flags.service_url is None:
        return database_urls(flags)
    unused = flags.service_url
    return database_urls(structs.replace(flags, owner_url=flags.owner_url or unused, api_url=flags.api_url or unused))


@asynccontextmanager
async def server_pools(urls: DatabaseUrls, clock: Clock) -> AsyncGenerator[ServerPools]:
    """Both pools of a server, open for the length of the block."""
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(_pool(urls, Login.API, "rota api", API_CONNECTIONS_MAX, clock))
        service = await stack.enter_async_context(
            _pool(urls, Login.SERVICE, "rota service", SERVICE_CONNECTIONS_MAX, clock)
        )
        yield ServerPools(api, service, urls.pooled_by_transaction)


@asynccontextmanager
async def worker_pool(urls: DatabaseUrls, clock: Clock) -> AsyncGenerator[Pool]:
    """A worker's pool: the service login alone."""
    async with _pool(urls, Login.SERVICE, "rota worker", WORKER_CONNECTIONS_MAX, clock) as pool:
        yield pool


@asynccontextmanager
async def leader_pool(urls: DatabaseUrls, clock: Clock) -> AsyncGenerator[Pool]:
    """For fenced statements alone: past any pooler, and with bounds by which a frozen leader blocks nobody (law 2)."""
    if urls.direct_service is None:
        raise lease_needs_direct_url()
    options = PoolOptions(
        connections_max=LEADER_CONNECTIONS_MAX,
        answer_seconds_max=LEADER_ANSWER_SECONDS_MAX,
        settings={**FENCED_SETTINGS, **INDEXED_SETTINGS},
    )
    pool = await open_pool(
        urls.direct_service, Login.SERVICE, application_name="rota leader", sleep=clock.sleep, options=options
    )
    try:
        yield pool
    finally:
        await pool.close()


def lease_needs_direct_url() -> DomainError:
    """The refusal of a server that is behind a pooler and has no way past it."""
    remedy = "name the server itself: a lease cannot be held through a pooler"
    return invalid_input([FieldProblem("--database-direct-url", "is missing", remedy)])


@asynccontextmanager
async def _pool(
    urls: DatabaseUrls, login: Login, application_name: str, connections_max: int, clock: Clock
) -> AsyncGenerator[Pool]:
    is_api = login is Login.API
    options = PoolOptions(
        connections_max=connections_max,
        answer_seconds_max=API_ANSWER_SECONDS_MAX if is_api else SERVICE_ANSWER_SECONDS_MAX,
        pooled_by_transaction=urls.pooled_by_transaction,
        settings={} if is_api or urls.pooled_by_transaction else INDEXED_SETTINGS,
    )
    dsn = urls.api if is_api else urls.service
    pool = await open_pool(dsn, login, application_name=application_name, sleep=clock.sleep, options=options)
    try:
        yield pool
    finally:
        await pool.close()
