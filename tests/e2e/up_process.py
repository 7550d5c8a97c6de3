"""A real `rota up` for tests: in a terminal of its own, with a client for its API and the command line beside it."""

import contextlib
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil

from rota.adapters.system_clock import SystemClock
from tests.support.postgres import roomy_memory
from tests.support.waiting import wait_until_blocking

ROTA = (str(Path(sys.executable).with_name("rota")),)
START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 30
READ_SECONDS = 0.05
CLOCK = SystemClock()


class Said(msgspec.Struct, frozen=True):
    """What one call of the command line gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class UpProcess:
    """Started at construction; `wait_ready` returns when it serves."""

    def __init__(self, data_dir: Path, *flags: str, environment: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self._said = bytearray()
        arguments = [*ROTA, "up", "--data-dir", str(data_dir), "--port", "0", *flags]
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            # Where the tests run under nohup, it would stay ignored.
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            os.execve(arguments[0], arguments, {**clean_environment(), **(environment or {})})
        self.process = psutil.Process(self.pid)
        self._exit_code: int | None = None
        self._is_closing = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        """Until `close`: a thread that went on reading would steal from the next terminal with the same number."""
        while not self._is_closing:
            readable, _, _ = select.select([self._terminal], [], [], READ_SECONDS)
            if not readable:
                continue
            try:
                data = os.read(self._terminal, 65_536)
            except OSError:  # nobody holds the other end any more
                return
            self._said += data

    @property
    def said(self) -> str:
        return self._said.decode(errors="replace")

    @property
    def context(self) -> dict[str, str]:
        return json.loads((self.data_dir / "context.json").read_text())

    @property
    def postmaster_pid(self) -> int:
        return int((self.data_dir / "postgres/postmaster.pid").read_text().splitlines()[0])

    @property
    def worker(self) -> psutil.Process | None:
        return next((one for one in self.process.children() if "worker" in one.cmdline()), None)

    def wait_ready(self) -> None:
        wait_until_blocking(lambda: "data stays" in self.said or self._ended(), START_SECONDS_MAX, "rota up is ready")
        assert self._exit_code is None, self.said

    def type(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def wait_end(self) -> int:
        wait_until_blocking(self._ended, STOP_SECONDS_MAX, "rota up has ended")
        self._reader.join(1)
        assert self._exit_code is not None
        return self._exit_code

    def _ended(self) -> bool:
        if self._exit_code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._exit_code = os.waitstatus_to_exitcode(status)
        return self._exit_code is not None

    def close(self) -> None:
        """Whatever is left of it, at once."""
        for one in (*([] if self._ended() else [self.process]), *processes_in(self.data_dir)):
            with contextlib.suppress(psutil.Error):
                one.kill()
        wait_until_blocking(self._ended, STOP_SECONDS_MAX)
        self._is_closing = True
        self._reader.join()
        os.close(self._terminal)

    def ask(
        self, method: str, path: str, body: object = None, *, token: str = "", tenant: str = "", match: str = ""
    ) -> Any:
        """One request of the API; the decoded answer."""
        headers = {"Authorization": f"Bearer {token or self.context['token']}", "Content-Type": "application/json"}
        headers |= {"X-Rota-Tenant": tenant} if tenant else {}
        headers |= {"If-Match": match} if match else {}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.context['url']}/api/v1{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or "null")

    def ask_if_there(self, path: str) -> Any:
        """The answer of a GET, or None while the server cannot give one."""
        try:
            return self.ask("GET", path)
        except (OSError, urllib.error.HTTPError):
            return None

    def delete_schedules(self) -> None:
        """All that the default tenant has."""
        while page := self.ask("GET", "/schedules?limit=500")["items"]:
            for one in page:
                self._delete(one)

    def _delete(self, one: dict[str, Any]) -> None:
        self.ask("DELETE", f"/schedules/{one['id']}", match=f'"{one["version"]}"')

    def enqueue(self, command: str, **options: str) -> str:
        """The id of a run of a shell command."""
        return str(self.ask("POST", "/runs", {"task": "rota.exec", "args": {"command": command}}, **options)["id"])

    def wait_for_run(self, run_id: str, state: str, deadline_seconds: float = 15.0) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            run = self.ask_if_there(f"/runs/{run_id}")
            return run if run and run["state"] == state else None

        run = wait_until_blocking(reached, deadline_seconds, f"run {run_id} is {state}")
        assert run is not None
        return run

    def rota(self, *arguments: str, stdin: str = "") -> Said:
        """The command line, as a process of its own, on this server."""
        return rota(*arguments, "--data-dir", str(self.data_dir), stdin=stdin)


def rota(*arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None) -> Said:
    done = subprocess.run(
        [*ROTA, *arguments],
        input=stdin,
        env={**clean_environment(), **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("ROTA_", "PYTHON", "COLUMNS"))}


def processes_in(data_dir: Path) -> list[psutil.Process]:
    """Rota's and the database's processes of a data directory."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            named = str(data_dir) in process.cmdline()
            if process.pid != os.getpid() and (named or process.cwd().startswith(str(data_dir))):
                found.append(process)
        except psutil.Error:
            continue  # it has ended meanwhile
    return found


@contextmanager
def private_root() -> Generator[Path]:
    """A directory for data: not below pytest's, whose parent each start of pytest closes again."""
    root = Path(tempfile.mkdtemp(prefix="rota-up-", dir=roomy_memory()))
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def running_up(data_dir: Path, *flags: str, environment: Mapping[str, str] | None = None) -> Generator[UpProcess]:
    """Serving, for the length of the block; nothing of it is left behind."""
    up = UpProcess(data_dir, *flags, environment=environment)
    try:
        up.wait_ready()
        yield up
    finally:
        up.close()
