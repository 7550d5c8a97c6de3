"""A real `rota up` and a real Chromium for the tests of the pages.

Every page is watched: what it writes to the console, what breaks in it, what it asks of whom.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.support.postgres import roomy_memory
from tests.support.waiting import wait_until_blocking

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 30.0
SHOWN_MS_MAX = 10_000
_SIGN_IN_LINK = re.compile(r"http://\S+/login\?code=[A-Za-z0-9_-]+")
# Chromium reports an answer of this kind as a failure to load; the page that it carries is what is tested.
_REFUSED_PAGE = re.compile(r"Failed to load resource: the server responded with a status of 40[134] ")


class RunningRota(msgspec.Struct, frozen=True):
    """`url` and `token` are those of context.json, `sign_in_link` the one that `rota up` prints."""

    url: str
    token: str
    sign_in_link: str
    directory: Path

    def ask(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Any:
        """The API's answer, as the platform's administrator."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **(headers or {})},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def make_schedule(self, name: str, command: str, every_seconds: float = 3_600.0, **fields: object) -> str:
        """The id of a new schedule of a command."""
        draft = {
            "name": name,
            "triggers": [{"kind": "interval", "every_seconds": every_seconds}],
            "target": {"kind": "task", "task": "rota.exec", "args": {"command": command}},
            "policies": {"retry": {"attempts_max": 1}},
        }
        return str(self.ask("POST", "/api/v1/schedules", {**draft, **fields})["id"])

    def make_run(self, command: str) -> str:
        """The id of a new run of a command."""
        return str(self.ask("POST", "/api/v1/runs", {"task": "rota.exec", "args": {"command": command}})["id"])

    def make_tenant(self, tenant_id: str) -> str:
        """A token of a new tenant's own administrator."""
        self.ask("POST", "/api/v1/tenants", {"id": tenant_id, "name": tenant_id})
        return str(self.make_token("admin", tenant_id)["secret"])

    def make_token(self, role: str, tenant_id: str = "default") -> Any:
        body = {"name": f"{tenant_id} {role}", "role": role}
        return self.ask("POST", "/api/v1/tokens", body, {"X-Rota-Tenant": tenant_id})

    def wait_ended(self, run_id: str) -> Any:
        def ended() -> Any:
            run = self.ask("GET", f"/api/v1/runs/{run_id}")
            return run if run["state"] in {"succeeded", "failed", "cancelled"} else None

        return wait_until_blocking(ended, 20, f"{run_id} has ended")


@contextmanager
def running_rota() -> Generator[RunningRota]:
    """`rota up` without samples, on a free port, in a directory of its own outside pytest's."""
    with tempfile.TemporaryDirectory(prefix="rota-test-", dir=roomy_memory(), ignore_cleanup_errors=True) as root:
        directory, log = Path(root) / "data", Path(root) / "log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ROTA_")}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "rota", "up", "--data-dir", str(directory), "--port", "0", "--no-sample"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        try:
            wait_until_blocking(
                lambda: _SIGN_IN_LINK.search(log.read_text()) or process.poll() is not None, START_SECONDS_MAX
            )
            link = _SIGN_IN_LINK.search(log.read_text())
            assert link is not None, log.read_text()
            context = json.loads((directory / "context.json").read_bytes())
            yield RunningRota(context["url"], context["token"], link[0], Path(root))
        finally:
            _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    finally:
        for left in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()


@contextmanager
def running_chromium() -> Generator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_FLAGS))
        yield browser
        browser.close()


class Visitor:
    """Opens pages, each in a profile of its own, and keeps what is wrong with them."""

    def __init__(self, browser: Browser, rota: RunningRota) -> None:
        self._browser = browser
        self._rota = rota
        self.wrongs: list[str] = []

    def come(self, token: str | None = None, **options: Any) -> Page:
        """A new page; with a token, signed in and on the overview."""
        page = self._browser.new_context(**options).new_page()
        page.set_default_timeout(SHOWN_MS_MAX)
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.wrongs.append(f"{page.url}: {error}"))
        page.on("request", lambda request: self._note_request(request.url))
        if token is not None:
            page.request.post(self._rota.url + "/login", form={"token": token})
            page.goto(self._rota.url + "/")
        return page

    def leave(self) -> None:
        for context in self._browser.contexts:
            context.close()

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not _REFUSED_PAGE.match(message.text):
            self.wrongs.append(message.text)

    def _note_request(self, url: str) -> None:
        if not url.startswith(self._rota.url + "/"):
            self.wrongs.append(f"asked elsewhere: {url}")
