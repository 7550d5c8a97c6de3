"""The user's data directory: who holds it, and who may pass through it.

One process at a time holds it by a file lock, which the kernel lets go when the process dies, however it dies.

A server of PostgreSQL refuses to run as root. When Rota runs as root the server runs as the system user `pgserver`,
which must reach its own directory below one that is perhaps root's alone. Then that one user is granted passage (not
reading) through each closed ancestor, by an access-control list; only where the file system keeps none are all users
granted passage.
"""

import fcntl
import os
import pwd
import stat
import struct
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from rota.domain.errors import DomainError, invalid_input
from rota.domain.problems import FieldProblem

LOCK_FILE_NAME = "rota.lock"
SERVER_USER = "pgserver"

_ACL = "system.posix_acl_access"
_ACL_VERSION = struct.pack("<I", 2)
_ACL_ENTRY = struct.Struct("<HHI")
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_NO_ID = 0xFFFFFFFF
_PASS = 1


class DataDirectoryLock:
    """Held by the one `rota up` of a data directory; creates the directory (mode 0700) when it is missing."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / LOCK_FILE_NAME
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Takes the lock or raises DomainError that names the process which has it."""
        create_private_directory(self._path.parent)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise _in_use(self._path.parent, holder) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Lets go; a second call does nothing. The file stays: removing it would let two processes lock two files."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def create_private_directory(path: Path) -> None:
    """Creates *path* for its owner alone; one that exists keeps its mode. Raises DomainError when it cannot be used."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(path, f"cannot be created: {error.strerror}") from error
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise unusable(path, "is not writable for this user")


def unusable(path: Path, problem: str) -> DomainError:
    """The 422 of a data directory that cannot be used."""
    return invalid_input(
        [FieldProblem("--data-dir", f"{path} {problem}", "Choose a directory that you own, with --data-dir DIR.")]
    )


def write_private_file(path: Path, text: str, account: pwd.struct_passwd | None = None) -> None:
    """Writes *text* so that a crash leaves the old file or the new one, readable by its owner alone.

    The owner is *account*, else this process's user. A link planted at *path* is replaced, never followed.
    """
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        if account is not None:
            os.fchown(file.fileno(), account.pw_uid, account.pw_gid)
        os.fsync(file.fileno())
    fresh.replace(path)


def server_account(server_dir: Path) -> pwd.struct_passwd | None:
    """The system user that the server must run as; None for this process's own user.

    As root it is the owner of the data that is there already, else `pgserver`, which is created when it is missing.
    """
    if os.geteuid() != 0:
        return None
    owner = server_dir.stat().st_uid if server_dir.exists() else 0
    if owner != 0:
        return pwd.getpwuid(owner)
    return _pgserver()


def grant_passage(directory: Path, account: pwd.struct_passwd) -> None:
    """Lets *account* pass through *directory* and its ancestors, where it cannot yet."""
    for ancestor in (directory, *directory.parents):
        found = ancestor.stat()
        if found.st_mode & stat.S_IXOTH or (found.st_uid == account.pw_uid and found.st_mode & stat.S_IXUSR):
            continue
        if not _grant_by_acl(ancestor, account.pw_uid):
            ancestor.chmod(stat.S_IMODE(found.st_mode) | stat.S_IXOTH)


def _grant_by_acl(directory: Path, uid: int) -> bool:
    if not hasattr(os, "setxattr"):
        return False
    try:
        os.setxattr(directory, _ACL, _with_passage(_acl_of(directory), uid))
    except OSError:
        return False
    return True


def _acl_of(directory: Path) -> list[tuple[int, int, int]]:
    try:
        raw = os.getxattr(directory, _ACL)
    except OSError:
        mode = directory.stat().st_mode
        return [
            (_USER_OBJ, mode >> 6 & 7, _NO_ID),
            (_GROUP_OBJ, mode >> 3 & 7, _NO_ID),
            (_OTHER, mode & 7, _NO_ID),
        ]
    return [(tag, rights, holder) for tag, rights, holder in _ACL_ENTRY.iter_unpack(raw[len(_ACL_VERSION) :])]


def _with_passage(entries: list[tuple[int, int, int]], uid: int) -> bytes:
    rights_of = {(tag, holder): rights for tag, rights, holder in entries}
    # Without a mask, the group's own rights are the most that anybody listed has.
    mask = rights_of.get((_MASK, _NO_ID), rights_of[_GROUP_OBJ, _NO_ID])
    rights_of[_MASK, _NO_ID] = mask | _PASS
    rights_of[_USER, uid] = rights_of.get((_USER, uid), 0) | _PASS
    # The kernel wants the entries sorted by tag, then by holder.
    return _ACL_VERSION + b"".join(
        _ACL_ENTRY.pack(tag, rights, holder) for (tag, holder), rights in sorted(rights_of.items())
    )


def _pgserver() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SERVER_USER)
    except KeyError:
        pass
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SERVER_USER]
    try:
        subprocess.run(command, check=True, capture_output=True, start_new_session=True)
        return pwd.getpwnam(SERVER_USER)
    except (OSError, subprocess.CalledProcessError, KeyError) as error:
        raise DomainError(
            "STATE_CONFLICT",
            f"PostgreSQL refuses to run as root, and the system user {SERVER_USER} cannot be created: {error}",
            [
                FieldProblem(
                    "user",
                    "is root",
                    f"Run Rota as another user, create the user {SERVER_USER}, or give --database-url.",
                )
            ],
        ) from error


def _in_use(data_dir: Path, holder: str) -> DomainError:
    return DomainError(
        "STATE_CONFLICT",
        f"data directory {data_dir} is in use by process {holder}",
        [
            FieldProblem(
                "--data-dir",
                f"{data_dir} is in use by process {holder}",
                "Stop that process, or choose another directory with --data-dir DIR.",
            )
        ],
    )
