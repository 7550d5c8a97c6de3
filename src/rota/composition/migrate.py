"""`rota migrate`: the schema, on the database that is named or on the embedded one of a data directory."""

import asyncio
import sys
from pathlib import Path

from rota.adapters.system_clock import SystemClock
from rota.adapters.system_ids import SystemIds
from rota.composition.database import database_urls
from rota.composition.options import DatabaseFlags
from rota.storage.postgres.data_directory import DataDirectoryLock
from rota.storage.postgres.embedded import EmbeddedPostgres, running_postgres
from rota.storage.postgres.logins import DatabaseUrls
from rota.storage.postgres.migrator import MigrationStatus, Migrator


def run_migrate(flags: DatabaseFlags, data_dir: Path | None, *, check_only: bool) -> bool:
    """True where `check_only` found something pending. Prints what was done."""
    status = asyncio.run(_migrate(flags, data_dir, check_only=check_only))
    pending = ", ".join(status.pending) or "nothing"
    sys.stdout.write(f"pending: {pending}\n" if check_only else f"applied: {pending}\n")
    return check_only and not status.is_current


async def _migrate(flags: DatabaseFlags, data_dir: Path | None, *, check_only: bool) -> MigrationStatus:
    if data_dir is None:
        return await _on(database_urls(flags), check_only=check_only)
    lock = DataDirectoryLock(data_dir)
    lock.acquire()
    try:
        async with running_postgres(EmbeddedPostgres(data_dir, new_secret=SystemIds().new_secret)) as url:
            return await _on(database_urls(DatabaseFlags(url=url)), check_only=check_only)
    finally:
        lock.release()


async def _on(urls: DatabaseUrls, *, check_only: bool) -> MigrationStatus:
    migrator = Migrator(urls, sleep=SystemClock().sleep)
    return await (migrator.check() if check_only else migrator.migrate())
