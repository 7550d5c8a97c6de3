"""A backup goes from any promised server to any other, complete or not at all."""

from collections.abc import AsyncGenerator
from pathlib import Path

import asyncpg
import pytest
from msgspec import structs

from rota.composition.backup import run_restore
from rota.composition.options import DatabaseFlags
from rota.domain.errors import DomainError, RotaError, Stale, Unavailable
from rota.domain.event import EventDraft
from rota.domain.ids import WorkerId
from rota.domain.run import ClaimedRun
from rota.domain.tenancy import AuditEntry, Tenant
from rota.domain.worker import WorkerSpec
from rota.ports.tenant_store import EventFilter
from rota.storage.postgres.backups import Backups
from rota.storage.postgres.connections import PoolOptions, open_pool, tenant_transaction
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.events import PostgresEventStore
from rota.storage.postgres.firing import PostgresFiringStore
from rota.storage.postgres.installation import Installation, embedded_installation
from rota.storage.postgres.leases import PostgresLeaseStore
from rota.storage.postgres.logins import Login
from rota.storage.postgres.migrator import Migrator
from rota.storage.postgres.run_claims import PostgresRunClaims
from rota.storage.postgres.run_intake import PostgresRunIntake
from rota.storage.postgres.tenants import PostgresTenantStore
from rota.storage.postgres.workers import PostgresWorkerStore
from tests.contract.records import ACME, new_id
from tests.contract.run_stores import AUDIT, draft, success
from tests.contract.stores import START
from tests.contract.test_firing_store import advance
from tests.integration.timelines.due import due_trigger
from tests.support.postgres import ENGINES, ClonedDatabase, TestServer
from tests.support.waiting import loop_sleep

BACKUPS = Backups(embedded_installation())


@pytest.fixture
async def filled(api_pool: Pool, service_pool: Pool) -> None:
    """A tenant whose schedule is due, and a leader."""
    tenants = PostgresTenantStore(service_pool)
    await tenants.create(Tenant(ACME, "Acme", START, "root"), AuditEntry("root", "create", "tenant", ACME))
    await due_trigger(api_pool, service_pool)
    await PostgresLeaseStore(service_pool).acquire_if_free("leader", "old", 3600)


@pytest.fixture(params=ENGINES)
async def elsewhere(request: pytest.FixtureRequest, servers: dict[str, TestServer]) -> AsyncGenerator[ClonedDatabase]:
    """An empty database on each engine in turn, with the logins."""
    if request.param not in servers:
        servers[request.param] = TestServer(request.param)
    server = servers[request.param]
    cloned = await server.clone("template1")
    yield cloned
    await server.drop(cloned)


async def has_schema(database: ClonedDatabase) -> bool:
    connection = await asyncpg.connect(database.urls.owner)
    try:
        return bool(await connection.fetchval("SELECT to_regnamespace('scheduler') IS NOT NULL"))
    finally:
        await connection.close()


async def pool_of(database: ClonedDatabase, login: Login) -> Pool:
    url = database.urls.api if login is Login.API else database.urls.service
    return await open_pool(
        url, login, application_name="test", sleep=loop_sleep, options=PoolOptions(connections_max=2)
    )


async def test_it_is_restored_with_rights_and_history_and_goes_on_in_a_new_timeline(
    any_database: ClonedDatabase,
    elsewhere: ClonedDatabase,
    filled: None,
    api_pool: Pool,
    service_pool: Pool,
    tmp_path: Path,
) -> None:
    file = tmp_path / "x.backup"
    BACKUPS.write(any_database.urls.owner, file)
    BACKUPS.load(elsewhere.urls.owner, file)

    assert (await Migrator(elsewhere.urls, sleep=loop_sleep).check()).is_current
    assert BACKUPS.read(file).migrations[0].name == "0001_expand_foundation"
    api, service = await pool_of(elsewhere, Login.API), await pool_of(elsewhere, Login.SERVICE)
    leases, firing = PostgresLeaseStore(service), PostgresFiringStore(service)
    leader = await leases.acquire_if_free("leader", "new", 3600)
    assert (leader.holder, leader.epoch > 1_000_000) == ("new", True)
    (due,) = (await firing.due_triggers(10)).triggers
    assert (await firing.apply(leader.fence, [advance(due)])).runs_created == 1
    # Each login sees what it saw: its own tenant's rows, and none without a tenant.
    assert await api.fetchval("SELECT count(*) FROM scheduler.schedules") == 0
    async with tenant_transaction(api, ACME) as connection:
        assert await connection.fetchval("SELECT count(*) FROM scheduler.schedules") == 1
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await api.execute("DELETE FROM scheduler.tenants")
    events = PostgresEventStore(api, service)
    await events.append((EventDraft("WorkerStopped"),))
    told = [event.type for event in await events.after(EventFilter(None), None, 100)]
    assert told[0] == "TenantCreated"
    assert told[-2:] == ["StoreRestored", "WorkerStopped"]
    await api.close()
    await service.close()


async def test_a_damaged_file_loads_nothing(
    database: ClonedDatabase, elsewhere: ClonedDatabase, filled: None, tmp_path: Path
) -> None:
    file, damaged = tmp_path / "x.backup", tmp_path / "damaged.backup"
    BACKUPS.write(database.urls.owner, file)
    content = file.read_bytes()
    for place in range(1, 8):
        cut = len(content) * place // 8
        for wrong in (content[:cut], content[:cut] + bytes(500) + content[cut + 500 :]):
            damaged.write_bytes(wrong)
            with pytest.raises(RotaError):
                BACKUPS.load(elsewhere.urls.owner, damaged)
            assert not await has_schema(elsewhere)


async def test_a_schema_that_is_there_is_left_as_it_is(
    database: ClonedDatabase, filled: None, service_pool: Pool, tmp_path: Path
) -> None:
    file = tmp_path / "x.backup"
    BACKUPS.write(database.urls.owner, file)
    with pytest.raises(DomainError, match="does not overwrite"):
        BACKUPS.load(database.urls.owner, file)

    lease = await PostgresLeaseStore(service_pool).read("leader")
    assert lease is not None
    assert (lease.epoch, lease.holder) == (1, "old")


async def test_a_dump_of_something_else_is_no_backup(database: ClonedDatabase, tmp_path: Path) -> None:
    """It is a good archive, but of a database without Rota."""
    file = tmp_path / "other.backup"
    connection = await asyncpg.connect(database.admin_url)
    await connection.execute("DROP SCHEMA scheduler CASCADE; CREATE SCHEMA scheduler; CREATE TABLE scheduler.x ()")
    await connection.execute("GRANT ALL ON SCHEMA scheduler TO rota_owner; ALTER TABLE scheduler.x OWNER TO rota_owner")
    await connection.close()
    BACKUPS.write(database.urls.owner, file)

    with pytest.raises(DomainError, match="does not hold Rota's schema"):
        BACKUPS.read(file)


def full_disk(bin_dir: Path, complaint: str) -> Installation:
    """Programs that meet the end of the disk."""
    for name in ("pg_dump", "pg_restore", "psql"):
        program = bin_dir / name
        program.write_text(f"#!/bin/sh\necho '{name}: error: {complaint}' >&2\nexit 1\n", encoding="utf-8")
        program.chmod(0o755)
    return Installation(bin_dir, 18)


@pytest.mark.parametrize("verb", ["write", "load"])
def test_a_full_disk_is_told_with_its_remedy_and_leaves_no_half_a_backup(tmp_path: Path, verb: str) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    backups = Backups(full_disk(programs, "could not write to file: No space left on device"))
    file = tmp_path / "x.backup"
    if verb == "load":
        file.write_bytes(b"anything")
    with pytest.raises(DomainError, match="too little room") as told:
        getattr(backups, verb)("postgresql://rota_owner@/rota?host=/nowhere", file)

    assert "No space left on device" in told.value.problems[0].problem
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".partial"] == []
    assert file.exists() == (verb == "load")


def test_the_password_stands_on_no_command_line(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    said = tmp_path / "said"
    program = programs / "pg_dump"
    program.write_text(f'#!/bin/sh\necho "$@" > {said}\necho "$PGPASSWORD" >> {said}\nexit 1\n', encoding="utf-8")
    program.chmod(0o755)
    with pytest.raises(Unavailable):
        Backups(Installation(programs, 18)).write("postgresql://rota_owner:secret@db:5432/rota", tmp_path / "x")

    arguments, password = said.read_text().splitlines()
    assert "secret" not in arguments
    assert "postgresql://rota_owner@db:5432/rota" in arguments
    assert password == "secret"


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("INSERT INTO scheduler.migrations VALUES (9999, '9999_expand_future', 'x')", "was written by a newer version"),
        ("UPDATE scheduler.migrations SET checksum = 'x' WHERE version = 6", "was written by another build"),
    ],
)
async def test_a_schema_that_this_version_does_not_know_is_refused_before_anything_is_made(
    database: ClonedDatabase, owner_pool: Pool, tmp_path: Path, statement: str, words: str
) -> None:
    file, data_dir = tmp_path / "x.backup", tmp_path / "data"
    await owner_pool.execute(statement)
    BACKUPS.write(database.urls.owner, file)
    with pytest.raises(DomainError) as told:
        run_restore(DatabaseFlags(), data_dir, file)

    assert words in told.value.problems[0].problem
    assert not data_dir.exists()


async def test_what_was_given_out_before_and_after_the_backup_is_worth_nothing_where_it_is_restored(
    database: ClonedDatabase,
    elsewhere: ClonedDatabase,
    filled: None,
    api_pool: Pool,
    service_pool: Pool,
    tmp_path: Path,
) -> None:
    """A leader and a worker of each side: their fences and tokens, although the store counts from there again."""
    leases, claims, workers = (
        PostgresLeaseStore(service_pool),
        PostgresRunClaims(service_pool),
        PostgresWorkerStore(service_pool),
    )
    await PostgresRunIntake(api_pool).enqueue(ACME, [draft(), draft()], AUDIT)
    fence_before = (await leases.acquire_if_free("leader", "old", 3600)).fence
    attempts = [await claim_one(workers, claims)]
    BACKUPS.write(database.urls.owner, tmp_path / "x.backup")
    attempts.append(await claim_one(workers, claims))
    await leases.release_if_held("leader", fence_before.epoch, "old")
    fence_after = (await leases.acquire_if_free("leader", "older", 3600)).fence
    BACKUPS.load(elsewhere.urls.owner, tmp_path / "x.backup")

    service = await pool_of(elsewhere, Login.SERVICE)
    restored, firing = PostgresRunClaims(service), PostgresFiringStore(service)
    new_leader = await PostgresLeaseStore(service).acquire_if_free("leader", "new", 3600)
    (due,) = (await firing.due_triggers(10)).triggers
    for fence in (fence_before, fence_after, structs.replace(fence_after, epoch=new_leader.epoch)):
        with pytest.raises(Stale):
            await firing.apply(fence, [advance(due)])
    held_again = await claim_one(PostgresWorkerStore(service), restored)
    assert held_again.run_id == attempts[1].run_id
    answers = await restored.settle_batch([success(attempt) for attempt in attempts])
    assert [answer.accepted for answer in answers] == [False, False]
    (accepted,) = await restored.settle_batch([success(held_again)])
    assert accepted.accepted
    # What was running at the backup is lost with its worker, and found at once.
    (lost,) = await restored.find_lost(0, 10)
    assert (lost.claimed.run_id, lost.outcome) == (attempts[0].run_id, "lost")
    await service.close()


async def claim_one(workers: PostgresWorkerStore, claims: PostgresRunClaims) -> ClaimedRun:
    """By a worker of its own."""
    worker_id = WorkerId(new_id())
    await workers.register(WorkerSpec(worker_id, "w", ("default",), 1, (), "host", 7, "0.1"), 3600)
    (claimed,) = await claims.claim_batch(worker_id, ["default"], 1)
    return claimed
