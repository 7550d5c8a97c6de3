"""Backups of one database: written, looked into and loaded by PostgreSQL's own programs, as one file.

A backup holds the schema `scheduler` (tables, functions, rights, row-level security) as it was at one instant, whoever
works on it meanwhile. It holds no roles and no passwords: those are made where it is loaded. It is in the custom format
of `pg_dump`, so it can be loaded by a later major version of PostgreSQL than the one that it was taken from.

Loading is one transaction, which also begins a new timeline: either all of it is there, and nothing that was given out
before is worth anything, or nothing has changed. It creates the schema and so refuses to write over one.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from msgspec import Struct

from rota.domain.errors import DomainError, Unavailable, invalid_input
from rota.domain.problems import FieldProblem
from rota.storage.postgres.installation import Installation, program_environment
from rota.storage.postgres.logins import password_in, without_password
from rota.storage.postgres.migrator import AppliedMigration

_FINISH = b"""
SELECT scheduler.begin_timeline();
SET client_min_messages = error;
ANALYZE;
COMMIT;
"""
# Written by every pg_restore since 17, and unknown to servers before it. It stands in the head of the script.
_UNKNOWN_BEFORE_17 = b"SET transaction_timeout = 0;\n"
_HEAD_LINES_MAX = 50

_NO_SPACE = "No space left on device"
_TAKEN = 'schema "scheduler" already exists'


class BackupContent(Struct, frozen=True):
    """What a file says of itself, as far as it matters for loading it."""

    created_at: str
    server_version: str
    migrations: tuple[AppliedMigration, ...]


class Backups:
    """The programs of one installation at work. A URL is that of `rota_owner`, past any pooler."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def write(self, url: str, file: Path) -> None:
        """A new file that only its owner may read; it appears under its name when it is complete, or not at all.

        Raises DomainError where the file exists or has no room, Unavailable where the database does not answer.
        """
        if file.exists():
            problem = FieldProblem("FILE", f"{file} exists", "name another file, or remove this one")
            raise DomainError("STATE_CONFLICT", "a backup does not overwrite anything", [problem])
        with _errors_of_file_system(file), _partial(file) as partial:
            arguments = ["--format=custom", "--schema=scheduler", "--no-owner", "--no-tablespaces"]
            self._run("pg_dump", url, *arguments, f"--file={partial}", file=file)
            # Read to the end, as a load would: what cannot be read is no backup.
            self._run("pg_restore", None, "--file=/dev/null", str(partial), file=file)
            with partial.open("rb") as written:
                os.fsync(written.fileno())
            partial.rename(file)

    def read(self, file: Path) -> BackupContent:
        """Raises INVALID_INPUT for a file that is missing, or that `write` did not make."""
        if not file.is_file():
            raise _wrong_file(f"{file} is not there" if not file.exists() else f"{file} is no file")
        with _errors_of_file_system(file):
            try:
                listed = self._run("pg_restore", None, "--list", str(file), file=file)
                migrations = self._run(
                    *("pg_restore", None, "--data-only", "--schema=scheduler", "--table=migrations", "--file=-"),
                    *(str(file),),
                    file=file,
                )
            except Unavailable as refused:
                raise _wrong_file(f"{file} is not a backup of Rota: {refused.detail}") from refused
        applied = _copied_rows(migrations)
        if not applied:
            raise _wrong_file(f"{file} is a dump of something else: it does not hold Rota's schema")
        return BackupContent(
            created_at=_headline(listed, "Archive created at "),
            server_version=_headline(listed, "Dumped from database version: "),
            migrations=tuple(AppliedMigration(int(row[0]), row[1], row[2]) for row in applied),
        )

    def load(self, url: str, file: Path) -> None:
        """All of it, in a new timeline, or nothing. The roles exist, the schema does not."""
        with _errors_of_file_system(file), tempfile.TemporaryFile() as complaints:
            options = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1")
            with (
                self._running("psql", url, *options, errors=complaints) as psql,
                self._running("pg_restore", None, "--no-owner", "--file=-", str(file), errors=complaints) as archive,
            ):
                is_complete = _pass_on(archive, psql)
            if not is_complete:
                raise _failure("loading the backup", complaints, file)

    def _run(self, program: str, url: str | None, *arguments: str, file: Path) -> str:
        """What it printed."""
        with tempfile.TemporaryFile() as complaints:
            with self._running(program, url, *arguments, errors=complaints) as process:
                said, _ = process.communicate()
            if process.returncode != 0:
                raise _failure(program, complaints, file)
        return said.decode(errors="replace")

    @contextmanager
    def _running(
        self, program: str, url: str | None, *arguments: str, errors: IO[bytes]
    ) -> Generator["subprocess.Popen[bytes]"]:
        """Ended with the block, whatever happens in it."""
        place = [] if url is None else [f"--dbname={without_password(url)}"]
        process = subprocess.Popen(
            [str(self._installation.bin_dir / program), *place, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL if program == "psql" else subprocess.PIPE,
            stderr=errors,
            env=_environment(url),
            cwd="/",
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(BrokenPipeError):
                    if pipe is not None:
                        pipe.close()


def _environment(url: str | None) -> Mapping[str, str]:
    """Other users of the machine can read a command line, but not an environment."""
    password = None if url is None else password_in(url)
    return program_environment() | ({} if password is None else {"PGPASSWORD": password})


def _pass_on(archive: "subprocess.Popen[bytes]", psql: "subprocess.Popen[bytes]") -> bool:
    """The script from one to the other, as one transaction, which is committed only if both came to their end."""
    assert archive.stdout is not None
    assert psql.stdin is not None
    try:
        psql.stdin.write(b"BEGIN;\n")
        for _ in range(_HEAD_LINES_MAX):
            line = archive.stdout.readline()
            if line != _UNKNOWN_BEFORE_17:
                psql.stdin.write(line)
        shutil.copyfileobj(archive.stdout, psql.stdin)
        if archive.wait() == 0:
            psql.stdin.write(_FINISH)
        psql.stdin.close()
    except BrokenPipeError:
        pass  # psql has met an error, and tells it
    return psql.wait() == 0 and archive.poll() == 0


@contextmanager
def _partial(file: Path) -> Generator[Path]:
    """A file beside it for the owner's eyes alone, which is gone afterwards."""
    partial = file.with_name(f"{file.name}.partial")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        yield partial
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _errors_of_file_system(file: Path) -> Generator[None]:
    try:
        yield
    except OSError as refused:
        problem = FieldProblem(
            "FILE",
            f"{refused.filename or file}: {refused.strerror or refused}",
            "mend its permissions, or name another",
        )
        raise DomainError("STATE_CONFLICT", f"{file} cannot be worked with", [problem]) from refused


def _failure(doing: str, complaints: IO[bytes], file: Path) -> DomainError | Unavailable:
    complaints.seek(0)
    complaint = complaints.read().decode(errors="replace").strip()[-2000:]
    if _TAKEN in complaint:
        problem = FieldProblem("--database-url", "its database holds a Rota already", "name a new, empty database")
        return DomainError("STATE_CONFLICT", "a restore does not overwrite anything", [problem])
    if _NO_SPACE not in complaint:
        return Unavailable(f"{doing} failed: {complaint}")
    remedy = f"make room (beside {file}, and where the database lies), and repeat it; nothing was left behind"
    return DomainError("UNAVAILABLE", f"{doing} found too little room", [FieldProblem("FILE", complaint, remedy)])


def _wrong_file(problem: str) -> DomainError:
    return invalid_input([FieldProblem("FILE", problem, "name a file that `rota backup` has written")])


def _headline(listed: str, beginning: str) -> str:
    for line in listed.splitlines():
        text = line.lstrip("; ")
        if text.startswith(beginning):
            return text.removeprefix(beginning)
    return "unknown"


def _copied_rows(script: str) -> list[list[str]]:
    """The rows of the one COPY in *script*; none where there is no COPY."""
    lines = iter(script.splitlines())
    for line in lines:
        if line.startswith("COPY "):
            break
    rows: list[list[str]] = []
    for line in lines:
        if line == "\\.":
            break
        rows.append(line.split("\t"))
    return rows
