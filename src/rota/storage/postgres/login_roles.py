"""Creates the three roles and lets them into one database, as an administrator. See `logins` for what they are.

Roles belong to the whole cluster: several replicas, and several databases, may do this at once, and no lock reaches
across databases. So each step looks first, tries, and takes "somebody else just did it" for success. Nothing is altered
that is already right, hence a start without changes writes nothing.
"""

import asyncpg

from rota.domain.errors import DomainError, Unavailable
from rota.domain.problems import FieldProblem
from rota.storage.postgres.connections import SERVICE_SETTINGS, ConnectRetry, Sleep, open_connection
from rota.storage.postgres.driver import Connection
from rota.storage.postgres.failures import translating_errors
from rota.storage.postgres.logins import DatabaseUrls, Login, password_in, user_in, with_user

ALTER_ATTEMPTS_MAX = 20

# Behind a pooler in transaction mode they reach a session in no other way (see `connections.SESSION_SETTINGS`).
_ROLE_SETTINGS = {"search_path": "''", "timezone": "'UTC'", "idle_in_transaction_session_timeout": "'5s'"}


async def ensure_logins(urls: DatabaseUrls, *, sleep: Sleep) -> None:
    """After it, each login whose URL names one of the three roles can log in and do its part in this database.

    Does nothing without a direct administrator's URL. Raises DomainError when the administrator may not create roles.
    """
    if urls.direct_admin is None:
        return
    connection = await open_connection(
        urls.direct_admin, Login.OWNER, application_name="rota migrate (admin)", sleep=sleep
    )
    try:
        with translating_errors("preparing the logins"):
            for login, url in ((Login.OWNER, urls.owner), (Login.API, urls.api), (Login.SERVICE, urls.service)):
                password = password_in(url) if user_in(url) == login else None
                probe_url = with_user(urls.direct_admin, login, password or "")
                await _ensure_login(connection, login, password, probe_url, sleep)
            await _grant_database(connection)
    except asyncpg.InsufficientPrivilegeError as error:
        raise DomainError(
            "STATE_CONFLICT",
            f"the administrator may not prepare Rota's logins: {error}",
            [
                FieldProblem(
                    "--database-url",
                    str(error),
                    "Give the URL of a login that has CREATEROLE and owns the database, or create the roles"
                    f" {', '.join(Login)} by hand and give their URLs.",
                )
            ],
        ) from error
    finally:
        await connection.close()


async def require_login(urls: DatabaseUrls, login: Login, *, sleep: Sleep) -> None:
    """Tells a login that was refused because nobody has made it yet (Unavailable) from one that is wrong.

    Raises DomainError where the administrator's own URL is refused. Can tell nothing without a direct one.
    """
    if urls.direct_admin is None:
        return
    connection = await open_connection(
        urls.direct_admin, Login.OWNER, application_name="rota (login check)", sleep=sleep
    )
    try:
        with translating_errors("looking for a login"):
            exists = await connection.fetchval(
                "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)", login
            )
    finally:
        await connection.close()
    if not exists:
        raise Unavailable(f"the login {login} does not exist yet: run `rota migrate`, or start a server")


async def _ensure_login(
    connection: Connection, login: Login, password: str | None, probe_url: str, sleep: Sleep
) -> None:
    row = await connection.fetchrow(
        "SELECT rolcanlogin, coalesce(rolconfig, '{}') AS settings FROM pg_catalog.pg_roles WHERE rolname = $1", login
    )
    if row is None:
        await _create_role(connection, login, password)
    elif password is not None and not (row["rolcanlogin"] and await _can_log_in(probe_url, login, sleep)):
        await _alter(connection, f"ALTER ROLE {login} LOGIN PASSWORD {_literal(password)}")
    settings: list[str] = [] if row is None else row["settings"]
    known = {setting.partition("=")[0].lower() for setting in settings}
    wanted = _ROLE_SETTINGS | ({} if login is not Login.SERVICE else {n: f"'{v}'" for n, v in SERVICE_SETTINGS.items()})
    for name, value in wanted.items():
        if name not in known:
            await _alter(connection, f"ALTER ROLE {login} SET {name} = {value}")


async def _create_role(connection: Connection, login: Login, password: str | None) -> None:
    rights = "NOLOGIN" if password is None else f"LOGIN PASSWORD {_literal(password)}"
    try:
        await connection.execute(f"CREATE ROLE {login} {rights}")
    except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
        # Another replica was first; it derives the same password.
        return


async def _can_log_in(url: str, login: Login, sleep: Sleep) -> bool:
    try:
        probe = await open_connection(
            url, login, application_name="rota migrate (login check)", sleep=sleep, retry=ConnectRetry(attempts_max=1)
        )
    except (DomainError, Unavailable):
        return False
    await probe.close()
    return True


async def _alter(connection: Connection, statement: str) -> None:
    """Runs a statement on a shared catalogue row.

    Of two at once one fails: with "tuple concurrently updated", or on a unique index when both insert the row.
    """
    for attempt in range(1, ALTER_ATTEMPTS_MAX + 1):
        try:
            await connection.execute(statement)
        except (asyncpg.InternalServerError, asyncpg.UniqueViolationError) as error:
            lost_race = isinstance(error, asyncpg.UniqueViolationError) or "concurrently" in str(error)
            if attempt == ALTER_ATTEMPTS_MAX or not lost_race:
                raise
        else:
            return


async def _grant_database(connection: Connection) -> None:
    for login, rights in (
        (Login.OWNER, ("CONNECT", "CREATE", "TEMPORARY")),
        (Login.API, ("CONNECT",)),
        (Login.SERVICE, ("CONNECT",)),
    ):
        missing = [right for right in rights if not await _has_right(connection, login, right)]
        if missing:
            database = await connection.fetchval("SELECT pg_catalog.quote_ident(current_database())")
            await _alter(connection, f"GRANT {', '.join(missing)} ON DATABASE {database} TO {login}")


async def _has_right(connection: Connection, login: Login, right: str) -> bool:
    return bool(
        await connection.fetchval("SELECT has_database_privilege($1, current_database(), $2)", login.value, right)
    )


def _literal(text: str) -> str:
    """A string constant for the two statements that take no parameters. Quotes and backslashes are doubled."""
    escaped = text.replace("'", "''").replace("\\", "\\\\")
    return f"E'{escaped}'"
