"""`rota up` as its users meet it: in a terminal, killed, started twice, started wrongly."""

import os
import signal
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.up_process import CLOCK, UpProcess, private_root, processes_in, rota, running_up
from tests.support.postgres import ClonedDatabase
from tests.support.waiting import wait_until_blocking


@pytest.fixture(scope="module")
def up() -> Iterator[UpProcess]:
    """One that all gentle tests share, at its very first start."""
    with private_root() as root, running_up(root / "data") as process:
        yield process


@pytest.fixture(scope="module")
def resting() -> Iterator[Path]:
    """A data directory that has been used before, and on which nothing runs; nor will: the sample is deleted, part of
    which runs for as long as a stop may take.
    """
    with private_root() as root:
        with running_up(root / "data") as process:
            process.delete_schedules()
            process.process.send_signal(signal.SIGTERM)
            assert process.wait_end() == 0
        yield root / "data"


def assert_nothing_is_left(data_dir: Path) -> None:
    assert processes_in(data_dir) == []
    assert not (data_dir / "postgres/postmaster.pid").exists()


def test_the_first_start_fires_at_once(up: UpProcess) -> None:
    heartbeat = up.ask("GET", "/schedules?name=heartbeat")["items"][0]
    runs = f"/runs?schedule_id={heartbeat['id']}&state=succeeded"

    first = wait_until_blocking(lambda: up.ask("GET", runs)["items"], 20, "a sample schedule has fired")[-1]

    waited = datetime.fromisoformat(first["fire_at"]) - datetime.fromisoformat(heartbeat["created_at"])
    assert waited.total_seconds() <= 2


def test_a_terminal_shows_where_things_are_and_no_request(up: UpProcess) -> None:
    up.ask("GET", "/schedules")

    assert f"Rota is up at   {up.context['url']}" in up.said
    assert str(up.data_dir) in up.said
    assert "7 schedules to watch" in up.said
    assert "request_id" not in up.said
    assert up.context["token"] not in up.said


def test_the_context_is_for_its_owner_alone(up: UpProcess) -> None:
    assert (up.data_dir / "context.json").stat().st_mode & 0o777 == 0o600
    assert up.context["tenant"] == "default"


def test_no_secret_stands_on_a_command_line(up: UpProcess) -> None:
    secrets = [up.context["token"], (up.data_dir / "admin-password").read_text().strip()]

    lines = [" ".join(one.cmdline()) for one in (up.process, *up.process.children(recursive=True))]

    assert any("worker start" in line for line in lines)
    assert [line for line in lines for secret in (*secrets, "postgresql://") if secret in line] == []


def test_the_leader_tells_of_its_term_and_of_its_check_cycles(up: UpProcess) -> None:
    def told(event_type: str) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = up.ask("GET", f"/platform/events?type={event_type}&limit=500")["items"]
        return events

    wait_until_blocking(lambda: told("CheckCycleCompleted"), 20)
    cycle = told("CheckCycleCompleted")[-1]
    (term,) = [one for one in told("LeaderElected") if one["data"]["epoch"] == cycle["data"]["epoch"]]
    assert (cycle["tenant_id"], cycle["actor"]) == (None, term["actor"])
    assert cycle["data"]["found"] == cycle["data"]["executed"] + cycle["data"]["skipped"] + cycle["data"]["refused"] > 0
    totals = up.ask("GET", "/stats/cycles")
    assert totals["reports_count"] >= cycle["data"]["number"]
    assert sum(counts["found"] for counts in totals["sums"]["by_kind"].values()) >= cycle["data"]["found"]


def test_a_second_start_on_the_same_directory_is_refused(up: UpProcess) -> None:
    said = rota("up", "--data-dir", str(up.data_dir), "--port", "0")

    assert said.code == 1
    assert f"in use by process {up.pid}" in said.err
    assert "remedy:" in said.err


def test_a_port_in_use_is_refused(up: UpProcess, tmp_path: Path) -> None:
    port = up.context["url"].rpartition(":")[2]

    said = rota("up", "--data-dir", str(tmp_path / "data"), "--port", port)

    assert said.code == 2
    assert "--port" in said.err
    assert not (tmp_path / "data/postgres").exists()


def test_a_killed_worker_is_replaced_and_its_runs_are_rescued(up: UpProcess) -> None:
    flag = up.data_dir / "rescued"
    run_id = up.enqueue(f"test -e {flag} || {{ touch {flag}; exec sleep 60; }}; echo again")
    wait_until_blocking(flag.exists, 10)
    worker = up.worker
    assert worker is not None

    worker.kill()

    killed_at = CLOCK.monotonic_seconds()
    up.wait_for_run(run_id, "succeeded")
    assert CLOCK.monotonic_seconds() - killed_at <= 10
    attempts = up.ask("GET", f"/runs/{run_id}/attempts")["items"]
    assert [one["outcome"] for one in attempts] == ["lost", "succeeded"]


def test_a_killed_database_is_started_again_and_everything_goes_on(up: UpProcess) -> None:
    before = up.postmaster_pid

    os.kill(before, signal.SIGKILL)

    wait_until_blocking(lambda: up.ask_if_there("/schedules") and up.postmaster_pid != before, 20)
    seen = up.ask("GET", "/runs?limit=1")["items"][0]["id"]
    up.wait_for_run(up.enqueue("echo after the crash"), "succeeded")
    heartbeat = up.ask("GET", "/schedules?name=heartbeat")["items"][0]["id"]
    wait_until_blocking(
        lambda: up.ask("GET", f"/runs?schedule_id={heartbeat}&limit=1")["items"][0]["id"] > seen, 20, "it fires again"
    )
    assert up.process.is_running()


def test_commands_are_run_for_the_default_tenant_alone(up: UpProcess) -> None:
    up.ask("POST", "/tenants", {"id": "guests"})
    guest = up.ask("POST", "/tokens", {"name": "guest", "role": "operator"}, tenant="guests")["secret"]

    run_id = up.enqueue(f"cat {up.data_dir}/context.json", token=guest)

    def ended() -> bool:
        return up.ask("GET", f"/runs/{run_id}", token=guest)["state"] == "failed"

    wait_until_blocking(ended)
    run = up.ask("GET", f"/runs/{run_id}", token=guest)
    assert run["attempts_count"] == 1
    assert "--allow-exec-for guests" in run["error"]["message"]
    up.wait_for_run(up.enqueue("true"), "succeeded")


def test_ctrl_c_in_the_terminal_stops_everything_cleanly(resting: Path) -> None:
    with running_up(resting) as up:
        begun = resting.parent / "begun"
        run_id = up.enqueue(f"touch {begun}; sleep 0.5")
        wait_until_blocking(begun.exists)

        up.type("\x03")

        assert up.wait_end() == 0
        assert "Traceback" not in up.said
        assert_nothing_is_left(resting)

    with running_up(resting) as again:
        assert again.ask("GET", f"/runs/{run_id}")["state"] == "succeeded"


def test_the_next_start_keeps_token_and_data_and_brings_no_sample_back(resting: Path) -> None:
    with running_up(resting) as up:
        token = up.context["token"]
        up.process.send_signal(signal.SIGINT)
        assert up.wait_end() == 0

    with running_up(resting) as again:
        assert again.context["token"] == token
        assert again.ask("GET", "/schedules")["items"] == []


def test_a_second_ctrl_c_leaves_at_once(resting: Path) -> None:
    with running_up(resting) as up:
        up.wait_for_run(up.enqueue("sleep 60"), "running")
        others = up.process.children(recursive=True)
        up.type("\x03")
        wait_until_blocking(lambda: "stopping" in up.said)

        up.type("\x03")

        asked_at = CLOCK.monotonic_seconds()
        assert up.wait_end() == 130
        assert CLOCK.monotonic_seconds() - asked_at < 2
        _, alive = psutil.wait_procs(others, timeout=10)
        assert alive == []
        wait_until_blocking(lambda: processes_in(resting) == [])


def test_a_killed_up_takes_its_worker_along_and_the_next_one_takes_over(resting: Path) -> None:
    with running_up(resting) as up:
        database, children = up.postmaster_pid, up.process.children(recursive=True)

        up.process.kill()

        assert up.wait_end() == -signal.SIGKILL
        assert psutil.wait_procs(children, timeout=10)[1] == []
        assert psutil.pid_exists(database)
        with running_up(resting) as again:
            assert again.postmaster_pid == database
            again.wait_for_run(again.enqueue("true"), "succeeded")


def test_a_terminal_that_closes_stops_everything(resting: Path) -> None:
    with running_up(resting) as up:
        up.process.send_signal(signal.SIGHUP)

        assert up.wait_end() == 0
        assert_nothing_is_left(resting)


def test_ctrl_c_during_the_start_leaves_nothing(resting: Path) -> None:
    up = UpProcess(resting)
    try:
        wait_until_blocking((resting / "postgres/postmaster.pid").exists)

        up.process.send_signal(signal.SIGINT)

        assert up.wait_end() == 0
        assert "Traceback" not in up.said
        assert_nothing_is_left(resting)
    finally:
        up.close()


def test_tasks_that_cannot_be_loaded_stop_the_start(resting: Path) -> None:
    up = UpProcess(resting, "--app", "nowhere:app")
    try:
        assert up.wait_end() == 2
        assert "--app" in up.said
        assert "No module named 'nowhere'" in up.said
        assert_nothing_is_left(resting)
    finally:
        up.close()


@pytest.mark.parametrize("engine", ["pg15"], indirect=True)
def test_a_database_of_ones_own_serves_as_well(empty_database: ClonedDatabase) -> None:
    environment = {"ROTA_DATABASE_URL": empty_database.admin_url}
    with private_root() as root, running_up(root, "--no-sample", "--host", "::1", environment=environment) as up:
        assert up.context["url"].startswith("http://[::1]:")
        assert up.ask("GET", "/schedules")["items"] == []
        assert not (root / "postgres").exists()
        up.wait_for_run(up.enqueue("true"), "succeeded")
        up.process.send_signal(signal.SIGTERM)
        assert up.wait_end() == 0
        assert "Traceback" not in up.said


@pytest.mark.parametrize("engine", ["pg15"], indirect=True)
def test_a_wrong_password_is_told_without_showing_any(empty_database: ClonedDatabase, tmp_path: Path) -> None:
    wrong = empty_database.admin_url.replace("only-for-tests", "not-this-one")

    said = rota("up", "--data-dir", str(tmp_path), "--port", "0", environment={"ROTA_DATABASE_URL": wrong})

    assert said.code == 1
    assert "password authentication failed" in said.err
    assert "remedy:" in said.err
    assert "not-this-one" not in said.err + said.out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--data-dir", "/etc/passwd"), "--data-dir"),
        (("--data-dir", "/proc/nowhere"), "--data-dir"),
        (("--host", "nowhere.invalid"), "--host"),
        (("--port", "70000"), "--port"),
        (("--slots", "0"), "--slots"),
        (("--database-url", "mysql://x"), "--database-url"),
        (("--database-url", "postgresql://localhost/x"), "--database-url"),
    ],
)
def test_a_wrong_flag_is_named_and_nothing_is_made(flags: tuple[str, str], words: str, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"

    said = rota("up", "--data-dir", str(data_dir), "--port", "0", *flags)

    assert said.code == 2
    assert words in said.err
    assert "Traceback" not in said.err
    assert not (data_dir / "postgres").exists()


def test_a_port_that_is_bound_but_silent_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        said = rota("up", "--data-dir", str(tmp_path / "data"), "--port", port)

    assert (said.code, "Address already in use" in said.err) == (2, True)
