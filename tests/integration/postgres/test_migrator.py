import asyncio
import json
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from rota.domain.errors import Bug, DomainError, Unavailable
from rota.storage.postgres.connections import open_connection
from rota.storage.postgres.logins import DatabaseOptions, Login, resolve_urls
from rota.storage.postgres.migrator import LOCK_KEY, Migrator, load_migrations
from tests.support.postgres import ClonedDatabase
from tests.support.waiting import loop_sleep

MIGRATE = """
import asyncio, json, pathlib, sys
from rota.storage.postgres.logins import DatabaseOptions, resolve_urls
from rota.storage.postgres.migrator import Migrator
urls = resolve_urls(DatabaseOptions(url=sys.argv[1]))
sys.stdin.readline()
found = asyncio.run(Migrator(urls, sleep=asyncio.sleep, directory=pathlib.Path(sys.argv[2])).migrate())
print(json.dumps(found.pending))
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    add(
        tmp_path,
        "0001_expand_first.sql",
        "-- a\nCREATE TABLE scheduler.one (n int);\nINSERT INTO scheduler.one VALUES (1);",
    )
    add(tmp_path, "0002_migrate_second.sql", "-- b\nUPDATE scheduler.one SET n = n + 1;")
    return tmp_path


def add(directory: Path, name: str, sql: str) -> None:
    (directory / name).write_text(sql, encoding="utf-8")


def migrator(database: ClonedDatabase, directory: Path) -> Migrator:
    return Migrator(database.urls, sleep=loop_sleep, directory=directory)


async def value(database: ClonedDatabase, query: str) -> object:
    connection = await asyncpg.connect(database.urls.owner)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


@pytest.mark.both_engines
async def test_files_are_applied_in_order_and_once(empty_database: ClonedDatabase, directory: Path) -> None:
    before = await migrator(empty_database, directory).check()
    found = await migrator(empty_database, directory).migrate()
    again = await migrator(empty_database, directory).migrate()

    assert before == found
    assert found.pending == ("0001_expand_first", "0002_migrate_second")
    assert again.is_current
    assert again.applied == found.pending
    assert await value(empty_database, "SELECT n FROM scheduler.one") == 2


async def test_the_schema_belongs_to_the_owner_login(empty_database: ClonedDatabase, directory: Path) -> None:
    await migrator(empty_database, directory).migrate()

    assert await value(
        empty_database, "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'scheduler'"
    ) == ("rota_owner")


@pytest.mark.both_engines
async def test_the_packaged_migrations_leave_nothing_pending(database: ClonedDatabase) -> None:
    packaged = Migrator(database.urls, sleep=loop_sleep)

    assert (await packaged.check()).is_current
    assert (await packaged.migrate()).is_current


@pytest.mark.both_engines
async def test_replicas_that_start_at_once_migrate_once(empty_database: ClonedDatabase, directory: Path) -> None:
    found = await asyncio.gather(*(migrator(empty_database, directory).migrate() for _ in range(6)))

    assert sorted(len(status.pending) for status in found) == [0, 0, 0, 0, 0, 2]
    assert await value(empty_database, "SELECT n FROM scheduler.one") == 2


def test_processes_that_start_at_once_migrate_once(empty_database: ClonedDatabase, directory: Path) -> None:
    command = [sys.executable, "-c", MIGRATE, empty_database.admin_url, str(directory)]
    replicas = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for replica in replicas:
        assert replica.stdin is not None
        replica.stdin.write("go\n")
        replica.stdin.flush()

    pending = [json.loads(replica.communicate(timeout=60)[0]) for replica in replicas]

    assert sorted(map(len, pending)) == [0, 0, 2]


@pytest.mark.both_engines
async def test_an_index_is_built_concurrently_while_another_replica_waits(
    empty_database: ClonedDatabase, directory: Path
) -> None:
    add(directory, "0003_expand_index.sql", "-- no-transaction: keeps writers going\n"
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS by_n ON scheduler.one (n);")  # fmt: skip

    await asyncio.wait_for(
        asyncio.gather(*(migrator(empty_database, directory).migrate() for _ in range(3))), timeout=60
    )

    assert await value(empty_database, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'scheduler.by_n'::regclass")


async def test_a_failing_statement_is_named_and_its_file_undone(
    empty_database: ClonedDatabase, directory: Path
) -> None:
    add(directory, "0003_expand_third.sql", "-- c\nCREATE TABLE scheduler.two ();\n\nSELECT 1 / 0;\nSELECT 2;")

    with pytest.raises(Bug) as caught:
        await migrator(empty_database, directory).migrate()

    assert caught.value.detail == (
        "migration 0003_expand_third.sql, statement 2 (line 4: SELECT 1 / 0) failed: division by zero"
    )
    assert (await migrator(empty_database, directory).check()).pending == ("0003_expand_third",)
    assert await value(empty_database, "SELECT to_regclass('scheduler.two')") is None


async def test_a_file_outside_a_transaction_starts_again_after_a_failure(
    empty_database: ClonedDatabase, directory: Path
) -> None:
    name, create = "0003_expand_third.sql", "CREATE TABLE IF NOT EXISTS scheduler.two ();"
    add(directory, name, f"-- no-transaction: a test\n{create}\nSELECT 1 / 0;")
    with pytest.raises(Bug, match="division by zero"):
        await migrator(empty_database, directory).migrate()
    add(directory, name, f"-- no-transaction: a test\n{create}\nSELECT 1;")

    await migrator(empty_database, directory).migrate()

    assert (await migrator(empty_database, directory).check()).is_current


async def test_an_edited_file_is_refused(empty_database: ClonedDatabase, directory: Path) -> None:
    await migrator(empty_database, directory).migrate()
    add(directory, "0002_migrate_second.sql", "-- b\nUPDATE scheduler.one SET n = n + 2;")

    with pytest.raises(DomainError) as caught:
        await migrator(empty_database, directory).migrate()

    (problem,) = caught.value.problems
    assert (problem.field, problem.problem) == (
        "0002_migrate_second",
        "was edited after it had been applied to this database",
    )
    assert (await migrator(empty_database, directory).check()).changed == ("0002_migrate_second",)


async def test_line_ends_of_a_checkout_do_not_count_as_an_edit(empty_database: ClonedDatabase, directory: Path) -> None:
    await migrator(empty_database, directory).migrate()
    for file in directory.iterdir():
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))

    assert (await migrator(empty_database, directory).check()).is_current


async def test_a_database_of_a_newer_version_is_left_alone(empty_database: ClonedDatabase, directory: Path) -> None:
    await migrator(empty_database, directory).migrate()
    (directory / "0002_migrate_second.sql").unlink()

    with pytest.raises(DomainError) as caught:
        await migrator(empty_database, directory).migrate()

    (problem,) = caught.value.problems
    assert (problem.field, problem.problem) == ("0002_migrate_second", "was applied by a newer version of Rota")


async def test_a_file_that_was_overtaken_is_refused(empty_database: ClonedDatabase, directory: Path) -> None:
    first = (directory / "0001_expand_first.sql").rename(directory / "0003_expand_first.sql")
    (directory / "0002_migrate_second.sql").unlink()
    await migrator(empty_database, directory).migrate()
    add(directory, "0001_expand_late.sql", "-- late\nSELECT 1;")

    with pytest.raises(DomainError, match="0001_expand_late") as caught:
        await migrator(empty_database, directory).migrate()

    assert first.exists()
    assert caught.value.problems[0].problem == "was never applied, although a later migration was"


async def test_a_table_that_stays_locked_is_an_outage(empty_database: ClonedDatabase, directory: Path) -> None:
    await migrator(empty_database, directory).migrate()
    add(
        directory,
        "0003_expand_column.sql",
        "-- c\nSET LOCAL lock_timeout = '50ms';\nALTER TABLE scheduler.one ADD m int;",
    )
    holder = await asyncpg.connect(empty_database.urls.owner)
    try:
        async with holder.transaction():
            await holder.execute("LOCK TABLE scheduler.one")
            with pytest.raises(Unavailable, match=r"0003_expand_column\.sql, statement 2 .*lock timeout"):
                await migrator(empty_database, directory).migrate()
    finally:
        await holder.close()

    assert (await migrator(empty_database, directory).migrate()).pending == ("0003_expand_column",)


async def test_the_wait_for_another_replica_is_bounded(empty_database: ClonedDatabase, directory: Path) -> None:
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    holder = await open_connection(
        empty_database.urls.owner, Login.OWNER, application_name="test (holder)", sleep=loop_sleep
    )
    try:
        await holder.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
        with pytest.raises(Unavailable, match="has been migrating this database for 600 s"):
            await Migrator(empty_database.urls, sleep=note, directory=directory).migrate()
    finally:
        await holder.close()

    assert sum(waits) == pytest.approx(600)


async def test_nothing_migrates_through_a_pooler() -> None:
    urls = resolve_urls(DatabaseOptions(url="postgresql://boss:pw@pooler/rota", pooled_by_transaction=True))

    with pytest.raises(DomainError) as caught:
        await Migrator(urls, sleep=loop_sleep).migrate()

    assert caught.value.problems[0].field == "--database-direct-url"


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["0001_first.sql"], "'0001_first.sql' is not named"),
        (["1_expand_first.sql"], "is not named"),
        (["0001_expand_a.sql", "0001_contract_b.sql"], r"share a number: \[1\]"),
    ],
)
def test_a_wrong_file_name_is_a_bug(tmp_path: Path, names: list[str], complaint: str) -> None:
    for name in names:
        add(tmp_path, name, "SELECT 1;")

    with pytest.raises(Bug, match=complaint):
        load_migrations(tmp_path)
