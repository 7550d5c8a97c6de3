"""What a server's `postmaster.pid` says, and whether it is true.

After a crash the file names a process that is gone, or (in a container nearly always) one that has got the same number
and is something else. The server itself cannot tell the second case and would refuse to start. A process of this server
is recognised by its working directory, which PostgreSQL sets to the data directory in each of its processes.
"""

import threading
from pathlib import Path

import msgspec
import psutil

from rota.domain.errors import Unavailable

POLL_SECONDS = 0.02
STATE_SECONDS_MAX = 60.0
ORPHANS_SECONDS_MAX = 20.0

PID_FILE_NAME = "postmaster.pid"
_SOCKET_FILE_NAMES = (".s.PGSQL.5432", ".s.PGSQL.5432.lock")


class Postmaster(msgspec.Struct, frozen=True):
    """A server that runs. `status` is starting, ready, standby or stopping."""

    pid: int
    socket_dir: str
    status: str


def find_postmaster(server_dir: Path) -> Postmaster | None:
    """The server that runs on *server_dir*, if any."""
    try:
        lines = (server_dir / PID_FILE_NAME).read_text(encoding="utf-8").splitlines()
        pid = int(lines[0])
    except (FileNotFoundError, NotADirectoryError, IndexError, ValueError):
        return None
    if not _works_in(pid, server_dir):
        return None
    padded = [*lines, *[""] * 8]
    return Postmaster(pid=pid, socket_dir=padded[4].strip(), status=padded[7].strip() or "starting")


def wait_until_settled(server_dir: Path) -> Postmaster | None:
    """The running server once it is ready, or None once it has stopped. Raises Unavailable when it does neither."""
    pause = threading.Event()
    for _ in range(int(STATE_SECONDS_MAX / POLL_SECONDS)):
        found = find_postmaster(server_dir)
        if found is None or found.status in {"ready", "standby"}:
            return found
        pause.wait(POLL_SECONDS)
    raise Unavailable(f"the PostgreSQL server on {server_dir} neither becomes ready nor stops; see its log directory")


def clear_after_crash(server_dir: Path, socket_dir: Path) -> None:
    """Makes *server_dir* startable when no postmaster runs on it. *socket_dir* is this server's alone.

    Sessions outlive a killed postmaster for a moment and still write: they are waited for. Only when none is left may
    the files go that would make the server refuse.
    """
    orphans = [process for process in psutil.process_iter() if _process_works_in(process, server_dir)]
    _, alive = psutil.wait_procs(orphans, timeout=ORPHANS_SECONDS_MAX)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=ORPHANS_SECONDS_MAX)
    for stale in (server_dir / PID_FILE_NAME, *(socket_dir / name for name in _SOCKET_FILE_NAMES)):
        stale.unlink(missing_ok=True)


def _works_in(pid: int, server_dir: Path) -> bool:
    try:
        return _process_works_in(psutil.Process(pid), server_dir)
    except psutil.NoSuchProcess:
        return False


def _process_works_in(process: psutil.Process, server_dir: Path) -> bool:
    try:
        return process.name().startswith("postgres") and Path(process.cwd()) == server_dir
    except psutil.Error:
        return False
