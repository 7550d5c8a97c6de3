"""The database of one process: which URL each login uses, the pools, and the stores upon them."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec import Struct, structs

from rota.composition.options import DatabaseFlags
from rota.ports.clock import Clock
from rota.storage.postgres.connections import PoolOptions, open_pool
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.logins import DatabaseOptions, DatabaseUrls, Login, resolve_urls

API_CONNECTIONS_MAX = 10
SERVICE_CONNECTIONS_MAX = 8
WORKER_CONNECTIONS_MAX = 4


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
async def _pool(
    urls: DatabaseUrls, login: Login, application_name: str, connections_max: int, clock: Clock
) -> AsyncGenerator[Pool]:
    options = PoolOptions(connections_max=connections_max, pooled_by_transaction=urls.pooled_by_transaction)
    dsn = urls.api if login is Login.API else urls.service
    pool = await open_pool(dsn, login, application_name=application_name, sleep=clock.sleep, options=options)
    try:
        yield pool
    finally:
        await pool.close()
