"""`rota backup` and `rota restore`: the embedded database of a data directory, or the one that is named.

A backup may be made while everything runs. A restore goes into a place where nothing is: a data directory without a
database, or a database without Rota's schema. It appears there complete, or not at all.
"""

import asyncio
import shutil
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from rota.adapters.system_clock import SystemClock
from rota.adapters.system_ids import SystemIds
from rota.composition.database import database_urls
from rota.composition.options import DatabaseFlags
from rota.domain.errors import DomainError, Unavailable
from rota.domain.problems import FieldProblem
from rota.storage.postgres.backups import BackupContent, Backups
from rota.storage.postgres.data_directory import DataDirectoryLock
from rota.storage.postgres.embedded import PASSWORD_FILE_NAME, SERVER_DIR_NAME, EmbeddedPostgres, running_postgres
from rota.storage.postgres.installation import embedded_installation
from rota.storage.postgres.login_roles import ensure_logins
from rota.storage.postgres.logins import DatabaseUrls
from rota.storage.postgres.migrator import PACKAGED_MIGRATIONS, Migrator, compare, load_migrations

WORKPLACE_NAME = "restoring"
KILOBYTE = 1024


def run_backup(flags: DatabaseFlags, data_dir: Path | None, file: Path) -> None:
    """Writes FILE and says so. `data_dir` is None where the flags name the database."""
    file = file.expanduser().absolute()
    asyncio.run(_backup(flags, data_dir, file))
    sys.stdout.write(f"backup written: {file} ({max(1, file.stat().st_size // KILOBYTE)} kB)\n")


def run_restore(flags: DatabaseFlags, data_dir: Path | None, file: Path) -> None:
    """Loads FILE and says what to do next."""
    file = file.expanduser().absolute()
    backups = Backups(embedded_installation())
    content = backups.read(file)
    _refuse_newer(content)
    if data_dir is None:
        asyncio.run(_restore_into(database_urls(flags), backups, file))
        following = "start `rota server` on it"
    else:
        _restore_directory(data_dir, backups, file)
        following = f"start it with `rota up --data-dir {data_dir}`"
    sys.stdout.write(f"restored: {file}, made on {content.created_at}\n")
    sys.stdout.write(
        f"next: {following}. What happened after the backup is forgotten: what fell due since, fires again\n"
    )


async def _backup(flags: DatabaseFlags, data_dir: Path | None, file: Path) -> None:
    async with _database(flags, data_dir) as urls:
        status = await Migrator(urls, sleep=SystemClock().sleep).check()
        if status.pending or status.changed:
            named = ", ".join(status.pending or status.changed)
            problem = FieldProblem(
                "--database-url" if data_dir is None else "--data-dir",
                f"its schema is not this version's: {named}",
                "run `rota migrate`, or back it up with the version of Rota that it belongs to",
            )
            raise DomainError("STATE_CONFLICT", "this database cannot be backed up as it is", [problem])
        url = _owner_url(urls)
        await asyncio.to_thread(Backups(embedded_installation()).write, url, file)


@asynccontextmanager
async def _database(flags: DatabaseFlags, data_dir: Path | None) -> AsyncGenerator[DatabaseUrls]:
    """The one that is named, or the embedded one: as it runs, or started for the length of the block."""
    if data_dir is None:
        yield database_urls(flags)
        return
    postgres = EmbeddedPostgres(data_dir, new_secret=SystemIds().new_secret)
    if not postgres.server_dir.exists():
        problem = FieldProblem("--data-dir", f"{data_dir} holds no database", "name the directory of a `rota up`")
        raise DomainError("STATE_CONFLICT", "there is nothing to be backed up", [problem])
    lock = DataDirectoryLock(data_dir)
    try:
        lock.acquire()
    except DomainError as in_use:
        url = await asyncio.to_thread(postgres.running_url)
        if url is None:
            raise Unavailable(
                f"{in_use.detail}, which is just starting or stopping its database; try again"
            ) from in_use
        yield database_urls(DatabaseFlags(url=url))
        return
    with lock_released(lock):
        async with running_postgres(postgres) as url:
            yield database_urls(DatabaseFlags(url=url))


@contextmanager
def lock_released(lock: DataDirectoryLock) -> Generator[None]:
    try:
        yield
    finally:
        lock.release()


def _refuse_newer(content: BackupContent) -> None:
    status = compare(load_migrations(PACKAGED_MIGRATIONS), content.migrations)
    for names, problem in ((status.unknown, "a newer version of Rota"), (status.changed, "another build of Rota")):
        if names:
            remedy = "restore it with that version, or with a later one"
            wrong = FieldProblem("FILE", f"was written by {problem}: it has {', '.join(names)}", remedy)
            raise DomainError("STATE_CONFLICT", "this version does not know the backup's schema", [wrong])


def _restore_directory(data_dir: Path, backups: Backups, file: Path) -> None:
    """Builds the whole database aside and moves it to its place in one step, the very last."""
    with DataDirectoryLock(data_dir):
        if (data_dir / SERVER_DIR_NAME).exists():
            problem = FieldProblem(
                "--data-dir",
                f"{data_dir} holds a database already",
                "choose another directory with --data-dir DIR, or move that one away first",
            )
            raise DomainError("STATE_CONFLICT", "a restore does not overwrite anything", [problem])
        workplace = data_dir / WORKPLACE_NAME
        with _emptied(workplace):
            asyncio.run(_restore_embedded(workplace, backups, file))
            # The password first: a database without its password could not be entered.
            (workplace / PASSWORD_FILE_NAME).replace(data_dir / PASSWORD_FILE_NAME)
            (workplace / SERVER_DIR_NAME).rename(data_dir / SERVER_DIR_NAME)


@contextmanager
def _emptied(workplace: Path) -> Generator[None]:
    """Before, of what a restore that was killed has left behind, and afterwards."""
    postgres = EmbeddedPostgres(workplace, new_secret=SystemIds().new_secret)
    postgres.stop()
    shutil.rmtree(workplace, ignore_errors=True)
    try:
        yield
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


async def _restore_embedded(workplace: Path, backups: Backups, file: Path) -> None:
    async with running_postgres(EmbeddedPostgres(workplace, new_secret=SystemIds().new_secret)) as url:
        await _restore_into(database_urls(DatabaseFlags(url=url)), backups, file)


async def _restore_into(urls: DatabaseUrls, backups: Backups, file: Path) -> None:
    sleep = SystemClock().sleep
    url = _owner_url(urls)
    await ensure_logins(urls, sleep=sleep)
    await asyncio.to_thread(backups.load, url, file)
    await Migrator(urls, sleep=sleep).migrate()


def _owner_url(urls: DatabaseUrls) -> str:
    if urls.direct_owner is None:
        remedy = "give the URL of the database server itself"
        problem = FieldProblem("--database-direct-url", "is missing; a pooler cannot carry a backup", remedy)
        raise DomainError("STATE_CONFLICT", "no way to the database itself", [problem])
    return urls.direct_owner
