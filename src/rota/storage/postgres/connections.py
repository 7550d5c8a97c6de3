"""Opens pools, single connections and transactions. It decides how a session is set up, never what is asked in it.

Every session speaks UTC, has an empty `search_path` (an unqualified name fails instead of meaning something else) and
exchanges `json` and `jsonb` as plain values through msgspec.

Session state is never relied on: tenancy is set for one transaction, locks that outlive a transaction are taken on a
direct connection. So nothing has to be reset when a connection goes back to its pool, which saves a round trip each
time, and the same code runs behind a pooler in transaction mode. There, each statement must be inside a transaction
(the driver parses in one round trip and executes in the next), prepared statements are not kept, and the session
settings come from the login (`ALTER ROLE … SET`, see `logins`), because poolers refuse unknown start-up parameters.

A DSN may name several hosts and `target_session_attrs`; the driver tries them in order. `--database-direct-url` leads
past the pooler, for LISTEN, leases, session locks and migrations.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

import asyncpg
import msgspec

from rota.domain.errors import Bug, DomainError, Unavailable
from rota.domain.problems import FieldProblem
from rota.storage.postgres.driver import DRIVER, Connection, Pool
from rota.storage.postgres.failures import translating_errors
from rota.storage.postgres.logins import Login, refuse_unsafe_api_login

Opened = TypeVar("Opened")
Sleep = Callable[[float], Awaitable[None]]

CONNECT_SECONDS_MAX = 10.0
"""How long one attempt to reach the server may take, over all hosts of the DSN."""

SESSION_SETTINGS: Mapping[str, str] = {
    "timezone": "UTC",
    "search_path": "",
    # A process that is frozen inside a transaction gives up its locks: nobody waits for it longer than this.
    "idle_in_transaction_session_timeout": "5s",
}

SERVICE_SETTINGS: Mapping[str, str] = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "jit": "off"}
"""Of the service login, whose statements are few, large, and made for their indexes: planning them anew each time costs
more than they do, and a table that was empty when they were planned must not be read whole when it no longer is."""

FENCED_SETTINGS: Mapping[str, str] = {"statement_timeout": "1s", "idle_in_transaction_session_timeout": "300ms"}
"""A fenced transaction that stalls gives up its locks by itself (design law 2). Needs a direct connection."""

_JSONB_VERSION = b"\x01"


class ConnectRetry(msgspec.Struct, frozen=True):
    """How often and how patiently a server that does not answer is tried. Doubles from the first delay to the cap."""

    attempts_max: int = 8
    first_delay_seconds: float = 0.1
    delay_seconds_max: float = 2.0

    def delays_seconds(self) -> Iterator[float]:
        """One delay per attempt but the last."""
        delay = self.first_delay_seconds
        for _ in range(self.attempts_max - 1):
            yield min(delay, self.delay_seconds_max)
            delay *= 2


class PoolOptions(msgspec.Struct, frozen=True):
    """Bounds and setting of one pool. `settings` are session settings beyond `SESSION_SETTINGS`; direct pools only.

    `answer_seconds_max`: a statement that is not answered by then has failed, and its session too unless the server
    acknowledges the cancelling within the same time again. So a network that swallows packets holds nobody for ever.
    """

    connections_min: int = 1
    connections_max: int = 10
    answer_seconds_max: float = 30.0
    pooled_by_transaction: bool = False
    settings: Mapping[str, str] = {}
    retry: ConnectRetry = ConnectRetry()


class _SessionWithoutState(asyncpg.Connection):
    """A pooled session: nothing to reset on release (see the module's docstring). Open transactions still end."""

    def get_reset_query(self) -> str:
        return ""


async def open_pool(
    dsn: str, login: Login, *, application_name: str, sleep: Sleep, options: PoolOptions | None = None
) -> Pool:
    """A ready pool of *login*; at least one session was opened and checked. Close it when done.

    *sleep* is the clock's, used between attempts. Raises Unavailable when the server cannot be reached within
    `options.retry`, and DomainError when it refuses the login or the login is unfit for its purpose.
    """
    options = options or PoolOptions()
    _refuse_settings_behind_a_pooler(options)

    async def attempt() -> Pool:
        return await _checked(await create(), login)

    async def create() -> Pool:
        return await DRIVER.create_pool(
            dsn,
            min_size=options.connections_min,
            max_size=options.connections_max,
            init=_exchange_json_as_values,
            connection_class=_SessionWithoutState,
            timeout=CONNECT_SECONDS_MAX,
            command_timeout=options.answer_seconds_max,
            statement_cache_size=0 if options.pooled_by_transaction else 256,
            server_settings=_server_settings(
                application_name, login, options.settings, pooled_by_transaction=options.pooled_by_transaction
            ),
        )

    return await _with_retries(attempt, login, options.retry, sleep)


async def _checked(pool: Pool, login: Login) -> Pool:
    """The same pool, if its sessions are fit for their purpose."""
    try:
        with translating_errors(f"checking the login {login}"):
            async with pool.acquire() as connection, connection.transaction(readonly=True):
                await _refuse_unexpected_session(connection)
                if login is Login.API:
                    await refuse_unsafe_api_login(connection)
    except BaseException:
        pool.terminate()
        raise
    return pool


async def open_connection(
    dsn: str,
    login: Login,
    *,
    application_name: str,
    sleep: Sleep,
    settings: Mapping[str, str] | None = None,
    retry: ConnectRetry | None = None,
) -> Connection:
    """One direct session outside any pool: for LISTEN, leases, session locks and migrations. Close it when done.

    Pass `FENCED_SETTINGS` for a connection that writes under a fence.
    """

    async def attempt() -> Connection:
        made = await DRIVER.connect(
            dsn,
            timeout=CONNECT_SECONDS_MAX,
            server_settings=_server_settings(application_name, login, settings or {}, pooled_by_transaction=False),
        )
        await _exchange_json_as_values(made)
        return made

    return await _with_retries(attempt, login, retry or ConnectRetry(), sleep)


@asynccontextmanager
async def tenant_transaction(pool: Pool, tenant_id: str, *, readonly: bool = False) -> AsyncGenerator[Connection]:
    """A transaction that sees the rows of *tenant_id* only, by row-level security. For the api login.

    The tenant is set for this transaction alone, so a connection never carries it to its next user.
    """
    if not tenant_id.strip():
        raise Bug("a tenant transaction needs a tenant")
    async with transaction(pool, readonly=readonly, doing="working for a tenant") as connection:
        await connection.execute("SELECT pg_catalog.set_config('rota.tenant', $1, true)", tenant_id)
        yield connection


@asynccontextmanager
async def transaction(
    pool: Pool, *, readonly: bool = False, doing: str = "working for the platform"
) -> AsyncGenerator[Connection]:
    """A transaction without a tenant: all of a service login's rows, none of an api login's."""
    with translating_errors(doing, writes_allowed=not readonly):
        async with pool.acquire() as connection, connection.transaction(readonly=readonly):
            yield connection


def _server_settings(
    application_name: str, login: Login, extra: Mapping[str, str], *, pooled_by_transaction: bool
) -> dict[str, str]:
    if pooled_by_transaction:
        return {"application_name": application_name}
    of_login: Mapping[str, str] = SERVICE_SETTINGS if login is Login.SERVICE else {}
    return {"application_name": application_name, **SESSION_SETTINGS, **of_login, **extra}


def _refuse_settings_behind_a_pooler(options: PoolOptions) -> None:
    if options.pooled_by_transaction and options.settings:
        raise Bug(f"session settings {sorted(options.settings)} need a direct connection")


async def _exchange_json_as_values(connection: Connection) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_encode_jsonb, decoder=_decode_jsonb, format="binary"
    )
    await connection.set_type_codec(
        "json", schema="pg_catalog", encoder=msgspec.json.encode, decoder=msgspec.json.decode, format="binary"
    )


def _encode_jsonb(value: object) -> bytes:
    return _JSONB_VERSION + msgspec.json.encode(value)


def _decode_jsonb(data: bytes) -> object:
    return msgspec.json.decode(data[1:])


async def _refuse_unexpected_session(connection: Connection) -> None:
    row = await connection.fetchrow(
        "SELECT pg_catalog.current_setting('search_path') AS search_path,"
        " pg_catalog.current_setting('TimeZone') AS zone, session_user::text AS login"
    )
    if row is None:
        raise Bug("a SELECT without FROM gave no row")
    if row["search_path"] in {"", '""'} and row["zone"] == "UTC":
        return
    login = row["login"]
    raise DomainError(
        "STATE_CONFLICT",
        f"login {login} has search_path {row['search_path']!r} and time zone {row['zone']!r} behind the pooler",
        [
            FieldProblem(
                "--database-url",
                "the login's session settings are not Rota's",
                f"Run: ALTER ROLE {login} SET search_path = ''; ALTER ROLE {login} SET timezone = 'UTC';",
            )
        ],
    )


async def _with_retries(
    attempt: Callable[[], Awaitable[Opened]], login: Login, retry: ConnectRetry, sleep: Sleep
) -> Opened:
    delays = retry.delays_seconds()
    while True:
        try:
            with translating_errors(f"connecting as {login}"):
                return await attempt()
        except Unavailable:
            delay = next(delays, None)
            if delay is None:
                raise
            await sleep(delay)
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
            raise _refused(login, error) from error


def _refused(login: Login, error: Exception) -> DomainError:
    remedy = (
        "Check user, password and database of the URL; where each login has its own URL, check"
        f" {login.option}. `rota migrate` with an administrator's URL creates the logins."
    )
    return DomainError(
        "STATE_CONFLICT",
        f"the database refused the login {login}: {error}",
        [FieldProblem(login.option, str(error), remedy)],
    )
