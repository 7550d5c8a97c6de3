"""`rota backup` and `rota restore`: the whole database as one file, and back."""

from pathlib import Path
from typing import Annotated

import typer

from rota.cli.process import DatabaseUrl, DataDir, DirectUrl, OwnerUrl
from rota.client.context import default_data_dir
from rota.composition.options import DatabaseFlags

BackupFile = Annotated[Path, typer.Argument(metavar="FILE", help="the backup")]


def backup(
    file: BackupFile,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    database_direct_url: DirectUrl = None,
    database_owner_url: OwnerUrl = None,
) -> None:
    """Write the whole database into FILE, as it is at this moment. Everything may go on running meanwhile.

    FILE holds what tenants stored and the hashes of tokens, so its owner alone may read it. An existing one is kept.
    """
    from rota.composition.backup import run_backup

    flags = _flags(database_url, database_direct_url, database_owner_url)
    run_backup(flags, _directory(flags, data_dir), file)


def restore(
    file: BackupFile,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    database_direct_url: DirectUrl = None,
    database_owner_url: OwnerUrl = None,
) -> None:
    """Make a database out of FILE, in a directory (or database) where there is none yet. Then start it as usual.

    What happened after the backup is forgotten. Servers and workers that still remember it are refused.
    """
    from rota.composition.backup import run_restore

    flags = _flags(database_url, database_direct_url, database_owner_url)
    run_restore(flags, _directory(flags, data_dir), file)


def _flags(url: str | None, direct_url: str | None, owner_url: str | None) -> DatabaseFlags:
    """A backup needs the owner's login alone: where that one is given, the others are not asked for."""
    unused = None if url else owner_url
    return DatabaseFlags(url, direct_url, owner_url, api_url=unused, service_url=unused)


def _directory(flags: DatabaseFlags, data_dir: Path | None) -> Path | None:
    return None if flags.url or flags.owner_url else (data_dir or default_data_dir()).expanduser().absolute()
