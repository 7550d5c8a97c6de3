"""The three logins of the database, and how every process agrees on their passwords.

- `rota_owner` owns the schema and runs migrations.
- `rota_api` serves requests. Row-level security applies to it, so it must own no table and bypass nothing.
- `rota_service` serves the platform's own duties. Policies in the schema let it see every tenant's rows; it has no
  BYPASSRLS, so that no superuser is needed to create it.

The rule for passwords. Given one administrator's URL (`--database-url`), the password of each login is
HMAC-SHA256(key = the password in that URL, message = "rota/" + login), written in URL-safe base64 without padding. So
all processes that hold the URL agree, nothing more is stored, and a login's password does not reveal the
administrator's. The database's name is no part of the message: roles belong to the whole cluster, so two Rota databases
in one cluster share them and must be given the same password. When the administrator's password changes, the next
`rota migrate` sets the derived ones anew; a process that still runs with the old URL keeps its open sessions but gets
no new ones.

`--database-owner-url`, `--database-api-url` and `--database-service-url` each override what is derived. A login of
another name must then be a member of the role whose place it takes.
"""

import base64
import hashlib
import hmac
from enum import StrEnum
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

import msgspec

from rota.domain.errors import DomainError, invalid_input
from rota.domain.problems import FieldProblem
from rota.storage.postgres.driver import Connection


class Login(StrEnum):
    """A role of the database that processes log in as."""

    OWNER = "rota_owner"
    API = "rota_api"
    SERVICE = "rota_service"

    @property
    def option(self) -> str:
        """The command-line option that gives this login a URL of its own."""
        return f"--database-{self.removeprefix('rota_')}-url"


class DatabaseOptions(msgspec.Struct, frozen=True):
    """The database as the user named it. `url` is an administrator's, who can create roles and owns the database."""

    url: str | None = None
    direct_url: str | None = None
    owner_url: str | None = None
    api_url: str | None = None
    service_url: str | None = None
    pooled_by_transaction: bool = False


class DatabaseUrls(msgspec.Struct, frozen=True):
    """One URL per login, complete with password.

    `admin` is absent when nobody may create roles. The direct ones lead past a pooler and are absent when there is a
    pooler and no way past it: then nothing listens and nothing migrates.
    """

    admin: str | None
    owner: str
    api: str
    service: str
    direct_admin: str | None
    direct_owner: str | None
    direct_service: str | None
    pooled_by_transaction: bool


def resolve_urls(options: DatabaseOptions) -> DatabaseUrls:
    """The URL of each login by the rule above. Raises DomainError naming the option that is missing or wrong.

    A direct URL says that the other URLs lead through a pooler. Only its hosts are used; user and password stay each
    login's own.
    """
    _refuse_malformed(options)
    given = {Login.OWNER: options.owner_url, Login.API: options.api_url, Login.SERVICE: options.service_url}
    urls = {login: url or _derived_url(options.url, login) for login, url in given.items()}
    pooled = options.pooled_by_transaction or options.direct_url is not None

    def direct(url: str | None) -> str | None:
        if url is None or not pooled:
            return url
        return None if options.direct_url is None else _with_place_of(url, options.direct_url)

    return DatabaseUrls(
        admin=options.url,
        owner=urls[Login.OWNER],
        api=urls[Login.API],
        service=urls[Login.SERVICE],
        direct_admin=direct(options.url),
        direct_owner=direct(urls[Login.OWNER]),
        direct_service=direct(urls[Login.SERVICE]),
        pooled_by_transaction=pooled,
    )


def derive_password(admin_password: str, login: Login) -> str:
    """The login's password by the rule above. 43 characters of the URL-safe base64 alphabet."""
    digest = hmac.new(admin_password.encode(), f"rota/{login}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def password_in(url: str) -> str | None:
    """The password that a PostgreSQL URL carries, in its user part or its query."""
    _, separator, password = _user_info(url).partition(":")
    if separator and password:
        return unquote(password)
    return dict(parse_qsl(urlsplit(url).query)).get("password")


def user_in(url: str) -> str | None:
    """The user that a PostgreSQL URL names, in its user part or its query."""
    user = unquote(_user_info(url).partition(":")[0])
    return user or dict(parse_qsl(urlsplit(url).query)).get("user")


async def refuse_unsafe_api_login(connection: Connection) -> None:
    """Raises DomainError when this session's login could step around row-level security.

    It could as a superuser, with BYPASSRLS, as an owner of a table, or as a member (direct or not) of such a role or of
    `rota_service`: a member may `SET ROLE`.
    """
    rows = await connection.fetch(_UNSAFE_ROLES, Login.SERVICE.value)
    if not rows:
        return
    reasons = ", ".join(f"{row['role']} {row['reason']}" for row in rows)
    login = rows[0]["login"]
    raise DomainError(
        "STATE_CONFLICT",
        f"login {login} must not serve requests, since tenants would not be kept apart: {reasons}",
        [
            FieldProblem(
                Login.API.option,
                f"login {login} steps around row-level security: {reasons}",
                f"Use {Login.API}, or a login that is a member of {Login.API} only.",
            )
        ],
    )


_UNSAFE_ROLES = """
SELECT session_user::text AS login, role, reason
FROM (
    SELECT r.rolname::text AS role,
           CASE WHEN r.rolsuper THEN 'is a superuser'
                WHEN r.rolbypassrls THEN 'has BYPASSRLS'
                WHEN r.rolname = $1 THEN 'sees every tenant'
                WHEN EXISTS (SELECT FROM pg_catalog.pg_class AS c
                             JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                             WHERE n.nspname = 'scheduler' AND c.relkind IN ('r', 'p') AND c.relowner = r.oid)
                THEN 'owns tables of the schema' END AS reason
    FROM pg_catalog.pg_roles AS r
    WHERE pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')
) AS judged
WHERE reason IS NOT NULL
ORDER BY role = session_user DESC, role
LIMIT 5
"""


def _derived_url(admin_url: str | None, login: Login) -> str:
    if admin_url is None:
        raise invalid_input(
            [FieldProblem(login.option, "is missing", "Give it, or give --database-url of an administrator.")]
        )
    password = password_in(admin_url)
    if not password:
        raise invalid_input(
            [
                FieldProblem(
                    "--database-url",
                    f"carries no password, from which the password of {login} would be derived",
                    f"Put the administrator's password into the URL, or give {login.option}.",
                )
            ]
        )
    return with_user(admin_url, login, derive_password(password, login))


def with_user(url: str, user: str, password: str) -> str:
    """The same place, entered as *user*."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    query = urlencode([pair for pair in parse_qsl(parts.query) if pair[0] not in {"user", "password"}], safe="/:,")
    user_info = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return urlunsplit((parts.scheme, f"{user_info}@{place}", parts.path, query, ""))


def without_password(url: str) -> str:
    """The same URL for a command line, which others can read."""
    parts = urlsplit(url)
    user_info, separator, place = parts.netloc.rpartition("@")
    query = urlencode([pair for pair in parse_qsl(parts.query) if pair[0] != "password"], safe="/:,")
    return urlunsplit(parts._replace(netloc=f"{user_info.partition(':')[0]}{separator}{place}", query=query))


def _with_place_of(url: str, direct_url: str) -> str:
    user, password = user_in(url), password_in(url)
    return with_user(direct_url, user or "", password or "")


def _user_info(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[0]


def _refuse_malformed(options: DatabaseOptions) -> None:
    given = {
        "--database-url": options.url,
        "--database-direct-url": options.direct_url,
        Login.OWNER.option: options.owner_url,
        Login.API.option: options.api_url,
        Login.SERVICE.option: options.service_url,
    }
    problems = [
        FieldProblem(option, "is not a PostgreSQL URL", "Write postgresql://user:password@host:5432/database.")
        for option, url in given.items()
        if url is not None and not _is_postgres_url(url)
    ]
    if problems:
        raise invalid_input(problems)


def _is_postgres_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"postgres", "postgresql"} and (bool(parts.netloc) or "host=" in parts.query)
