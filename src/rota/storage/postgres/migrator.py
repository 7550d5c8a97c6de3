"""Brings the schema of one database to this version of Rota.

A migration is a file `NNNN_{expand,migrate,contract}_name.sql`. They are applied in order, each in a transaction of its
own together with its row in `scheduler.migrations`, by `rota_owner`, while a lock of the database is held on a direct
connection: of several replicas that start at once one migrates and the others wait, then find nothing to do. The lock
is polled for, not waited on: a waiting statement holds a snapshot, and CREATE INDEX CONCURRENTLY waits for those.

A file whose first line contains `-- no-transaction` runs outside a transaction, statement by statement (for CREATE
INDEX CONCURRENTLY). When it breaks in the middle it runs again from its start, so each statement must be repeatable.

An applied file is never edited: its checksum is kept. A database that knows more than this version is left alone;
expand and contract keep it usable, but only the newer version may migrate it.
"""

import hashlib
import re
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from importlib.resources.abc import Traversable

import asyncpg
import msgspec

from rota.domain.errors import Bug, DomainError, Unavailable
from rota.domain.problems import FieldProblem
from rota.storage.postgres.connections import Sleep, open_connection
from rota.storage.postgres.driver import Connection
from rota.storage.postgres.failures import UNAVAILABLE_ERRORS, translating_errors
from rota.storage.postgres.login_roles import ensure_logins
from rota.storage.postgres.logins import DatabaseUrls, Login
from rota.storage.postgres.sql_statements import SqlStatement, split_statements

PACKAGED_MIGRATIONS: Traversable = files("rota.storage.postgres") / "migrations"

LOCK_KEY = int.from_bytes(hashlib.sha256(b"rota/migrations").digest()[:8], signed=True)
LOCK_POLL_SECONDS = 0.05
LOCK_WAIT_SECONDS_MAX = 600.0

STATEMENT_LOCK_SECONDS_MAX = 10
"""A statement that waits longer for a table lock gives up: behind it, the running version's queries would queue."""

NO_TRANSACTION_MARK = "-- no-transaction"

_FILE_NAME = re.compile(r"(?P<version>\d{4})_(?P<phase>expand|migrate|contract)_(?P<name>[a-z0-9_]+)\.sql")

_CREATE_SCHEMA = "CREATE SCHEMA IF NOT EXISTS scheduler"
_CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS scheduler.migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""


class Migration(msgspec.Struct, frozen=True):
    """One file. `checksum` is the SHA-256 of its text with Unix line ends."""

    version: int
    name: str
    checksum: str
    statements: tuple[SqlStatement, ...]
    in_transaction: bool


class AppliedMigration(msgspec.Struct, frozen=True):
    """One row of `scheduler.migrations`."""

    version: int
    name: str
    checksum: str


class MigrationStatus(msgspec.Struct, frozen=True):
    """How a database compares with this version's files; each list names migrations, oldest first.

    `changed`: applied from another text. `unknown`: applied, but this version has no such file. `overtaken`: not
    applied although a later one is.
    """

    applied: tuple[str, ...]
    pending: tuple[str, ...]
    changed: tuple[str, ...]
    unknown: tuple[str, ...]
    overtaken: tuple[str, ...]

    @property
    def is_current(self) -> bool:
        """Whether this version finds exactly its own schema."""
        return not (self.pending or self.changed or self.unknown)


class Migrator:
    """Applies the migrations of one directory to the database behind *urls*."""

    def __init__(self, urls: DatabaseUrls, *, sleep: Sleep, directory: Traversable = PACKAGED_MIGRATIONS) -> None:
        self._urls = urls
        self._sleep = sleep
        self._migrations = load_migrations(directory)

    async def check(self) -> MigrationStatus:
        """Compares without changing anything. Needs the logins to exist."""
        async with self._owner_connection() as connection:
            return compare(self._migrations, await _applied(connection))

    async def migrate(self) -> MigrationStatus:
        """Creates what is missing of logins and schema; afterwards nothing is pending.

        Returns what was found before. Raises DomainError when the database has other migrations than this version
        expects, Unavailable when a lock or the server cannot be had, Bug when a file's own SQL is wrong.
        """
        await ensure_logins(self._urls, sleep=self._sleep)
        async with self._owner_connection() as connection:
            await self._take_lock(connection)
            await _create_ledger(connection)
            found = compare(self._migrations, await _applied(connection))
            _refuse_foreign_history(found)
            pending = set(found.pending)
            for migration in self._migrations:
                if migration.name in pending:
                    await _apply(connection, migration)
            return found

    @asynccontextmanager
    async def _owner_connection(self) -> AsyncGenerator[Connection]:
        if self._urls.direct_owner is None:
            problem = FieldProblem(
                "--database-direct-url",
                "is missing, and the lock of migrations does not work through a pooler in transaction mode",
                "Give the URL of the database server itself.",
            )
            raise DomainError("STATE_CONFLICT", "cannot migrate through a pooler", [problem])
        connection = await open_connection(
            self._urls.direct_owner,
            Login.OWNER,
            application_name="rota migrate",
            sleep=self._sleep,
            settings={"lock_timeout": f"{STATEMENT_LOCK_SECONDS_MAX}s"},
        )
        try:
            with translating_errors("migrating"):
                yield connection
        finally:
            await connection.close()

    async def _take_lock(self, connection: Connection) -> None:
        """The lock ends with the connection."""
        for _ in range(int(LOCK_WAIT_SECONDS_MAX / LOCK_POLL_SECONDS)):
            if await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY):
                return
            await self._sleep(LOCK_POLL_SECONDS)
        raise Unavailable(f"another process has been migrating this database for {LOCK_WAIT_SECONDS_MAX:.0f} s")


def load_migrations(directory: Traversable) -> tuple[Migration, ...]:
    """The migrations of *directory* by version. Raises Bug when a name or a number is wrong."""
    found = sorted((file for file in directory.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    migrations = tuple(_load(file) for file in found)
    versions = [migration.version for migration in migrations]
    doubled = sorted({version for version in versions if versions.count(version) > 1})
    if doubled:
        raise Bug(f"migrations share a number: {doubled}")
    return migrations


def compare(migrations: Sequence[Migration], applied: Iterable[AppliedMigration]) -> MigrationStatus:
    """What of *migrations* has been applied, by version number."""
    by_version = {row.version: row for row in applied}
    known = {migration.version for migration in migrations}
    latest = max(by_version, default=0)
    pending = [migration for migration in migrations if migration.version not in by_version]
    return MigrationStatus(
        applied=tuple(row.name for _, row in sorted(by_version.items())),
        pending=tuple(migration.name for migration in pending),
        changed=tuple(
            migration.name
            for migration in migrations
            if (row := by_version.get(migration.version)) is not None and row.checksum != migration.checksum
        ),
        unknown=tuple(row.name for version, row in sorted(by_version.items()) if version not in known),
        overtaken=tuple(migration.name for migration in pending if migration.version < latest),
    )


def _load(file: Traversable) -> Migration:
    named = _FILE_NAME.fullmatch(file.name)
    if named is None:
        raise Bug(f"migration {file.name!r} is not named NNNN_expand|migrate|contract_name.sql")
    text = file.read_text(encoding="utf-8").replace("\r\n", "\n")
    return Migration(
        version=int(named["version"]),
        name=file.name.removesuffix(".sql"),
        checksum=hashlib.sha256(text.encode()).hexdigest(),
        statements=tuple(split_statements(text)),
        in_transaction=NO_TRANSACTION_MARK not in text.partition("\n")[0],
    )


async def _create_ledger(connection: Connection) -> None:
    if await _has_ledger(connection):
        return
    async with connection.transaction():
        await connection.execute(_CREATE_SCHEMA)
        await connection.execute(_CREATE_TABLE)


async def _has_ledger(connection: Connection) -> bool:
    return bool(await connection.fetchval("SELECT to_regclass('scheduler.migrations') IS NOT NULL"))


async def _applied(connection: Connection) -> list[AppliedMigration]:
    if not await _has_ledger(connection):
        return []
    rows = await connection.fetch("SELECT version, name, checksum FROM scheduler.migrations ORDER BY version")
    return [AppliedMigration(row["version"], row["name"], row["checksum"]) for row in rows]


async def _apply(connection: Connection, migration: Migration) -> None:
    if migration.in_transaction:
        async with connection.transaction():
            await _run(connection, migration)
    else:
        await _run(connection, migration)


async def _run(connection: Connection, migration: Migration) -> None:
    for number, statement in enumerate(migration.statements, start=1):
        try:
            await connection.execute(statement.text)
        except UNAVAILABLE_ERRORS as error:
            raise Unavailable(_failure(migration, number, statement, error)) from error
        except asyncpg.PostgresError as error:
            raise Bug(_failure(migration, number, statement, error)) from error
    await connection.execute(
        "INSERT INTO scheduler.migrations (version, name, checksum) VALUES ($1, $2, $3)",
        migration.version,
        migration.name,
        migration.checksum,
    )


def _failure(migration: Migration, number: int, statement: SqlStatement, error: Exception) -> str:
    start = statement.text.partition("\n")[0][:120]
    return f"migration {migration.name}.sql, statement {number} (line {statement.line}: {start}) failed: {error}"


def _refuse_foreign_history(status: MigrationStatus) -> None:
    problems = [
        FieldProblem(name, problem, remedy)
        for names, problem, remedy in (
            (
                status.changed,
                "was edited after it had been applied to this database",
                "Restore the file; write changes as a new migration.",
            ),
            (
                status.unknown,
                "was applied by a newer version of Rota",
                "Install the version that wrote it, or a later one.",
            ),
            (
                status.overtaken if not status.unknown else (),
                "was never applied, although a later migration was",
                "Give it a number after the latest applied one.",
            ),
        )
        for name in names
    ]
    if problems:
        named = ", ".join(problem.field for problem in problems)
        raise DomainError("STATE_CONFLICT", f"the database's history is not this version's: {named}", problems)
