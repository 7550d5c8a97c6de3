"""A real PostgreSQL server in the user's data directory: `DIR/postgres`.

It listens on a Unix socket only, asks every login for a SCRAM password from its first start on, and keeps its promises
to the disk (fsync on). The superuser `rota_admin` has a password that is made once and kept in `DIR/admin-password`
(mode 0600); delete that file while Rota is stopped, and the next start sets a new one.

A crash at any point leaves something that the next start can use: a new cluster appears under its name only when it is
complete, a server that outlived its `rota up` is taken over, a stale `postmaster.pid` is seen through.

It is for one user of one machine; who needs more gives `--database-url`. Only the holder of the directory's lock
(`data_directory.DataDirectoryLock`) may start or stop it.
"""

import asyncio
import hashlib
import os
import pwd
import shutil
import stat
import tempfile
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from rota.domain.errors import DomainError, Unavailable
from rota.domain.problems import FieldProblem
from rota.storage.postgres.data_directory import (
    create_private_directory,
    grant_passage,
    server_account,
    unusable,
    write_private_file,
)
from rota.storage.postgres.installation import Installation, embedded_installation
from rota.storage.postgres.postmaster import clear_after_crash, find_postmaster, wait_until_settled

SERVER_DIR_NAME = "postgres"
PASSWORD_FILE_NAME = "admin-password"  # noqa: S105 - the name of the file, not what is in it
ADMIN = "rota_admin"
DATABASE = "rota"

LOG_FILES_MAX = 10
LOG_FILE_MEGABYTES_MAX = 10

SOCKET_PATH_BYTES_MAX = 100
"""The systems' limits are 107 and 103 bytes, of which PostgreSQL's own check takes some."""

STOP_SECONDS_MAX = 30

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "max_locks_per_transaction": "256",
    "shared_buffers": "128MB",
    "effective_cache_size": "1GB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_level": "replica",
    "wal_compression": "on",
    "max_wal_size": "1GB",
    "min_wal_size": "512MB",
    "jit": "off",
    "autovacuum_naptime": "15s",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgres-%Y%m%d-%H%M%S.log",
    "log_rotation_age": "0",
    "log_rotation_size": f"{LOG_FILE_MEGABYTES_MAX}MB",
    "log_line_prefix": "%m [%p] %q%u@%d %a ",
    "log_checkpoints": "off",
}


class EmbeddedPostgres:
    """The server of one data directory. *settings* override the server settings of Rota."""

    def __init__(
        self,
        data_dir: Path,
        *,
        new_secret: Callable[[], str],
        installation: Installation | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._data_dir = data_dir.expanduser().resolve()
        self._new_secret = new_secret
        self._installation = installation
        self._settings = {**_SETTINGS, **(settings or {})}
        # One change of state at a time: a start that was cancelled goes on in its thread, and the stop waits for it.
        self._changing = threading.Lock()

    @property
    def server_dir(self) -> Path:
        """PostgreSQL's own data directory."""
        return self._data_dir / SERVER_DIR_NAME

    @property
    def log_dir(self) -> Path:
        """Where the server writes its log; bounded by `prune_logs`."""
        return self.server_dir / "log"

    def start(self) -> str:
        """Starts the server, or takes over the one that runs, and returns the administrator's URL.

        Blocks for about a second the first time. Raises DomainError when directory, user or version do not fit,
        Unavailable when the server does not come up.
        """
        with self._changing:
            installation = self._installation or embedded_installation()
            create_private_directory(self._data_dir)
            account = self._prepare_account(installation)
            password, is_new = self._password()
            if not self.server_dir.exists():
                self._create_cluster(installation, account, password)
                is_new = False
            self._refuse_other_version(installation)
            running = wait_until_settled(self.server_dir)
            if running is not None and is_new:
                self._stop(installation, account)
                running = None
            if running is None:
                self._start(installation, account, password if is_new else None)
                running = wait_until_settled(self.server_dir)
            if running is None:
                raise Unavailable(f"the PostgreSQL server stopped right after its start; see {self.log_dir}")
            return _url(password, running.socket_dir)

    def running_url(self) -> str | None:
        """The administrator's URL of the server that another process runs here, once it is ready; None without one."""
        running = wait_until_settled(self.server_dir)
        path = self._data_dir / PASSWORD_FILE_NAME
        if running is None or not path.exists():
            return None
        return _url(path.read_text(encoding="ascii").strip(), running.socket_dir)

    def stop(self) -> None:
        """Stops the server cleanly; sessions that are open are ended. Does nothing when none runs."""
        with self._changing:
            if find_postmaster(self.server_dir) is not None:
                installation = self._installation or embedded_installation()
                self._stop(installation, server_account(self.server_dir))

    def prune_logs(self) -> None:
        """Keeps the newest `LOG_FILES_MAX` log files. Called at each start; call it hourly."""
        if self.log_dir.is_dir():
            for old in sorted(self.log_dir.glob("postgres-*.log"), reverse=True)[LOG_FILES_MAX:]:
                old.unlink(missing_ok=True)

    def _prepare_account(self, installation: Installation) -> pwd.struct_passwd | None:
        account = server_account(self.server_dir)
        if account is not None:
            grant_passage(self._data_dir, account)
            installation.open_to(account)
        elif self.server_dir.exists() and self.server_dir.stat().st_uid != os.geteuid():
            raise unusable(self.server_dir, "belongs to another user")
        return account

    def _password(self) -> tuple[str, bool]:
        path = self._data_dir / PASSWORD_FILE_NAME
        if path.exists():
            return path.read_text(encoding="ascii").strip(), False
        password = self._new_secret()
        # A server that starts with a password nobody kept could not be entered: the file comes first.
        write_private_file(path, f"{password}\n")
        return password, True

    def _create_cluster(self, installation: Installation, account: pwd.struct_passwd | None, password: str) -> None:
        fresh = self._data_dir / f"{SERVER_DIR_NAME}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        _give(fresh, account)
        password_file = self._data_dir / "initial-password"
        try:
            write_private_file(password_file, f"{password}\n", account)
            locale = ["--locale=C"]
            # The provider came with version 17. It sorts by code point on every machine and knows all letters.
            if installation.major >= 17:
                locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            arguments = ["--auth=scram-sha-256", "--encoding=UTF8", *locale, f"--username={ADMIN}"]
            installation.run("initdb", *arguments, f"--pwfile={password_file}", "-D", str(fresh), account=account)
        finally:
            password_file.unlink(missing_ok=True)
        _single_user(installation, account, fresh, f"CREATE DATABASE {DATABASE}")
        with (fresh / "postgresql.conf").open("a", encoding="utf-8") as configuration:
            configuration.write("\n# Written anew by Rota at each start. Use ALTER SYSTEM to override.\n")
            configuration.write("include 'rota.conf'\n")
        fresh.rename(self.server_dir)

    def _refuse_other_version(self, installation: Installation) -> None:
        found = (self.server_dir / "PG_VERSION").read_text(encoding="ascii").strip()
        if found == str(installation.major):
            return
        raise DomainError(
            "STATE_CONFLICT",
            f"{self.server_dir} was written by PostgreSQL {found}; this Rota brings version {installation.major}",
            [
                FieldProblem(
                    "--data-dir",
                    f"holds the data of PostgreSQL {found}, not {installation.major}",
                    f"Use the Rota that brings PostgreSQL {found} to back it up and restore the backup with this one,"
                    " or choose another directory with --data-dir DIR.",
                )
            ],
        )

    def _start(
        self, installation: Installation, account: pwd.struct_passwd | None, password_to_set: str | None
    ) -> None:
        socket_dir = self._socket_dir(account)
        clear_after_crash(self.server_dir, socket_dir)
        self.prune_logs()
        lines = [f"{name} = {_quoted(value)}" for name, value in self._settings.items()]
        lines.append(f"unix_socket_directories = {_quoted(str(socket_dir))}")
        write_private_file(self.server_dir / "rota.conf", "\n".join(lines) + "\n", account)
        if password_to_set is not None:
            statement = f"ALTER ROLE {ADMIN} PASSWORD {_quoted(password_to_set)}"
            _single_user(installation, account, self.server_dir, statement)
        start_log = self.server_dir / "start.log"
        write_private_file(start_log, "", account)
        try:
            arguments = ["start", "-w", "-D", str(self.server_dir), "-l", str(start_log)]
            installation.run("pg_ctl", *arguments, account=account)
        except Unavailable as error:
            complaint = "\n".join(_tail(log) for log in (start_log, *sorted(self.log_dir.glob("*.log"))[-1:]))
            raise Unavailable(f"the PostgreSQL server on {self.server_dir} does not start: {complaint}") from error

    def _stop(self, installation: Installation, account: pwd.struct_passwd | None) -> None:
        arguments = ["stop", "-w", "-t", str(STOP_SECONDS_MAX), "-D", str(self.server_dir), "-m"]
        try:
            installation.run("pg_ctl", *arguments, "fast", account=account)
        except Unavailable:
            if find_postmaster(self.server_dir) is not None:
                installation.run("pg_ctl", *arguments, "immediate", account=account)
        if (socket_dir := self._short_socket_dir()) is not None:
            with suppress(OSError):
                socket_dir.rmdir()

    def _socket_dir(self, account: pwd.struct_passwd | None) -> Path:
        directory = self._short_socket_dir()
        if directory is None:
            return self.server_dir
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.lstat()
        owner = os.geteuid() if account is None else account.pw_uid
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), owner}:
            raise unusable(self.server_dir, f"is too long for a socket, and {directory} belongs to somebody else")
        _give(directory, account)
        return directory

    def _short_socket_dir(self) -> Path | None:
        """Where the socket goes when the server's own directory cannot hold it."""
        path = str(self.server_dir)
        if len(os.fsencode(f"{path}/.s.PGSQL.5432")) <= SOCKET_PATH_BYTES_MAX and "," not in path:
            return None
        name = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"rota-{name}"


@asynccontextmanager
async def running_postgres(server: EmbeddedPostgres) -> AsyncGenerator[str]:
    """Runs *server* for the length of the block, off the event loop, and gives the administrator's URL."""
    try:
        yield await asyncio.to_thread(server.start)
    finally:
        await asyncio.shield(asyncio.to_thread(server.stop))


def _single_user(
    installation: Installation, account: pwd.struct_passwd | None, server_dir: Path, statement: str
) -> None:
    """Runs one statement in a server that accepts nobody else, on a directory where none runs."""
    arguments = ["--single", "-D", str(server_dir), "-c", "log_min_messages=error", "-c", "logging_collector=off"]
    said = installation.run("postgres", *arguments, "postgres", account=account, stdin=f"{statement}\n")
    # It exits with success after an error in a statement.
    if "ERROR:" in said or "FATAL:" in said:
        raise Unavailable(f"the new PostgreSQL cluster refused its preparation: {said.strip()[-2000:]}")


def _url(password: str, socket_dir: str) -> str:
    return f"postgresql://{ADMIN}:{quote(password, safe='')}@/{DATABASE}?host={quote(socket_dir, safe='/')}"


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace").strip()[-2000:]


def _quoted(value: str) -> str:
    escaped = value.replace("'", "''")
    return f"'{escaped}'"


def _give(path: Path, account: pwd.struct_passwd | None) -> None:
    if account is not None:
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
