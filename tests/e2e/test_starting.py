"""`rota server` and `rota worker start` while their database is away, comes, or goes at that very moment."""

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from rota.storage.postgres.embedded import EmbeddedPostgres
from rota.storage.postgres.postmaster import find_postmaster
from tests.e2e.up_process import ROTA, clean_environment
from tests.support.postgres import ClonedDatabase, run_apart
from tests.support.waiting import wait_until_blocking

SERVER, WORKER = ("server", "--port", "0"), ("worker", "start")
GOES_AT = ("rota migrate", "rota api", "rota service", "rota leader", "rota wakeups")


class Fleet:
    """Processes on one database, which is the test's own to start and to end."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._database = EmbeddedPostgres(root / "data", new_secret=lambda: "only-for-tests")
        self.url = ""
        self._started: list[Started] = []

    def start_database(self) -> None:
        self.url = self._database.start()

    def stop_database(self) -> None:
        self._database.stop()

    def end_database(self) -> None:
        """At once, as a crash would, and all of its sessions with it."""
        found = find_postmaster(self._database.server_dir)
        assert found is not None
        os.kill(found.pid, signal.SIGQUIT)
        wait_until_blocking(lambda: find_postmaster(self._database.server_dir) is None, 10, "the database has ended")

    def start(self, *arguments: str) -> "Started":
        log = self._root / f"{len(self._started)}.log"
        self._started.append(Started(arguments, {"ROTA_DATABASE_URL": self.url}, log))
        return self._started[-1]

    def has_session(self, application_name: str) -> bool:
        return bool(run_apart(self._sessions(application_name)))

    async def _sessions(self, application_name: str) -> int:
        session = await asyncpg.connect(self.url)
        try:
            count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"
            return int(await session.fetchval(count, application_name))
        finally:
            await session.close()

    def close(self) -> None:
        for one in self._started:
            one.process.kill()
            one.process.wait()
        self.stop_database()


class Started:
    """One process and what it says."""

    def __init__(self, arguments: tuple[str, ...], environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*ROTA, *arguments], stdout=output, stderr=output, env={**clean_environment(), **environment}
            )

    def said(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def wait_for(self, event: str, deadline_seconds: float = 30.0) -> dict[str, Any]:
        def look() -> list[dict[str, Any]]:
            assert self.process.poll() is None, self.log.read_text()
            return self.said(event)

        return wait_until_blocking(look, deadline_seconds, f"{event} in {self.log.read_text()}")[-1]

    def stop(self, deadline_seconds: float = 20) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(deadline_seconds)


@pytest.fixture
def fleet(server_root: Path) -> Generator[Fleet]:
    made = Fleet(server_root)
    made.start_database()
    yield made
    made.close()


def test_a_server_and_a_worker_wait_for_a_database_that_is_away(fleet: Fleet) -> None:
    fleet.stop_database()
    server, worker = fleet.start(*SERVER), fleet.start(*WORKER)
    said = [one.wait_for("database_awaited") for one in (server, worker)]

    fleet.start_database()
    url = server.wait_for("ready")["url"]
    worker.wait_for("worker_registered")

    with urllib.request.urlopen(f"{url}/api/v1/health/live", timeout=10) as answer:
        assert answer.status == 200
    assert all("did not answer" in line["detail"] and line["remedy"] for line in said)
    assert (worker.stop(), server.stop()) == (0, 0)


@pytest.mark.parametrize("arguments", [SERVER, WORKER], ids=["server", "worker"])
def test_a_process_that_waits_for_its_database_ends_when_it_is_told_to(
    fleet: Fleet, arguments: tuple[str, ...]
) -> None:
    fleet.stop_database()
    waiting = fleet.start(*arguments)
    waiting.wait_for("database_awaited")

    assert waiting.stop(3) == 0
    assert "Traceback" not in waiting.log.read_text()


def test_a_worker_waits_until_somebody_has_migrated(fleet: Fleet) -> None:
    worker = fleet.start(*WORKER)
    assert "rota migrate" in worker.wait_for("database_awaited")["detail"]

    migrated = subprocess.run([*ROTA, "migrate", "--database-url", fleet.url], check=False, capture_output=True)

    assert migrated.returncode == 0
    worker.wait_for("worker_registered")


@pytest.mark.parametrize("application_name", GOES_AT)
def test_a_database_that_goes_while_a_server_starts_is_waited_for(fleet: Fleet, application_name: str) -> None:
    server = fleet.start(*SERVER)
    wait_until_blocking(lambda: fleet.has_session(application_name), 20, f"a session of {application_name}")

    fleet.end_database()
    fleet.start_database()

    server.wait_for("ready")
    assert server.stop() == 0


@pytest.mark.parametrize("arguments", [SERVER, WORKER], ids=["server", "worker"])
@pytest.mark.parametrize(
    ("netloc", "path", "word"),
    [("postgres:wrong@", "/postgres", "password"), ("nobody:x@", "/postgres", "nobody"), ("", "/nowhere", "nowhere")],
    ids=["password", "user", "database"],
)
def test_what_waiting_cannot_mend_ends_the_start(
    database: ClonedDatabase, tmp_path: Path, arguments: tuple[str, ...], netloc: str, path: str, word: str
) -> None:
    known = urlsplit(database.admin_url)
    wrong = urlunsplit(known._replace(netloc=netloc or known.netloc, path=path))

    refused = Started(arguments, {"ROTA_DATABASE_URL": wrong}, tmp_path / "log")

    assert refused.process.wait(20) != 0
    assert word in refused.log.read_text()
    assert not refused.said("database_awaited")
