"""`rota lock …` against a real server: a command under a lock, and what becomes of it when the lock is lost."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.up_process import ROTA, Said, UpProcess, clean_environment, private_root, running_up
from tests.support.waiting import wait_until_blocking


@pytest.fixture(scope="module")
def up() -> Iterator[UpProcess]:
    with private_root() as root, running_up(root / "data", "--no-sample") as process:
        yield process


@pytest.fixture
def started(up: UpProcess) -> Iterator[list["subprocess.Popen[str]"]]:
    """Whatever is in it is killed at the end."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.communicate()


def rota_lock(up: UpProcess, *arguments: str) -> "subprocess.Popen[str]":
    environment = {**clean_environment(), "ROTA_CONTEXT": str(up.data_dir / "context.json")}
    command = [*ROTA, "lock", *arguments]
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: "subprocess.Popen[str]") -> Said:
    out, err = process.communicate(timeout=60)
    return Said(process.returncode, out, err)


def lock_of(up: UpProcess, name: str) -> Any:
    return up.ask("GET", f"/locks/{name}")


def is_held(up: UpProcess, name: str) -> bool:
    locks: list[dict[str, Any]] = up.ask("GET", "/locks?held=true")["items"]
    return name in {lock["name"] for lock in locks}


def test_a_command_runs_under_its_token_and_the_lock_is_free_afterwards(up: UpProcess) -> None:
    done = said(
        rota_lock(up, "run", "plain", "--ttl", "5", "--", "sh", "-c", "echo $ROTA_LOCK_NAME $ROTA_LOCK_TOKEN; exit 7")
    )

    assert (done.code, done.out) == (7, "plain 1\n"), done.err
    lock = lock_of(up, "plain")
    assert (lock["held"], lock["token"], lock["released_at"] is not None) == (False, 1, True)


def test_a_held_lock_is_refused_at_once_or_waited_for(up: UpProcess, started: list["subprocess.Popen[str]"]) -> None:
    holder = rota_lock(up, "run", "busy", "--ttl", "3", "--holder", "the first", "--", "sleep", "60")
    started.append(holder)
    wait_until_blocking(lambda: is_held(up, "busy"), 20)
    refused = said(rota_lock(up, "run", "busy", "--", "true"))
    waiting = rota_lock(up, "run", "busy", "--wait", "60", "--", "sh", "-c", "echo $ROTA_LOCK_TOKEN")
    started.append(waiting)
    shown = said(rota_lock(up, "show", "busy", "-o", "json")).json
    listed = said(rota_lock(up, "list", "--held")).out
    holder.send_signal(signal.SIGTERM)

    assert (refused.code, "'the first'" in refused.err) == (75, True)
    assert (shown["holder"], shown["held"]) == ("the first", True)
    assert "the first" in listed
    assert said(holder).code == 128 + signal.SIGTERM
    assert said(waiting).out == "2\n"


def test_renewals_keep_a_lock_for_longer_than_its_time(up: UpProcess) -> None:
    began = lock_held_for(up, "long", "1", "2.5")
    assert began["code"] == 0
    assert began["token_seen"] == 1


def lock_held_for(up: UpProcess, name: str, ttl: str, seconds: str) -> dict[str, int]:
    done = said(rota_lock(up, "run", name, "--ttl", ttl, "--", "sh", "-c", f"sleep {seconds}; echo $ROTA_LOCK_TOKEN"))
    return {"code": done.code, "token_seen": int(done.out)}


def test_a_broken_lock_ends_the_command_and_all_that_it_started(
    up: UpProcess, started: list["subprocess.Popen[str]"], tmp_path: Path
) -> None:
    file = tmp_path / "pids"
    script = f"setsid sleep 300 & echo $! >> {file}; trap '' TERM; echo $$ >> {file}; sleep 300; sleep 300"
    process = rota_lock(up, "run", "broken", "--ttl", "3", "--", "sh", "-c", script)
    started.append(process)
    wait_until_blocking(lambda: file.exists() and len(file.read_text().split()) == 2, 20)
    released = said(rota_lock(up, "release", "broken", "--force"))
    done = said(process)

    assert released.code == 0, released.err
    assert (done.code, "was lost; the command was killed" in done.err) == (76, True)
    assert [pid for pid in map(int, file.read_text().split()) if is_running(pid)] == []


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_killed_holder_takes_its_command_with_it(
    up: UpProcess, started: list["subprocess.Popen[str]"], tmp_path: Path
) -> None:
    file = tmp_path / "pid"
    process = rota_lock(up, "run", "killed", "--ttl", "2", "--", "sh", "-c", f"echo $$ > {file}; exec sleep 300")
    started.append(process)
    wait_until_blocking(lambda: file.exists() and file.read_text().strip() != "", 20)
    process.kill()
    wait_until_blocking(lambda: not is_running(int(file.read_text())), 10)
    follower = said(rota_lock(up, "run", "killed", "--wait", "30", "--", "sh", "-c", "echo $ROTA_LOCK_TOKEN"))
    assert follower.out == "2\n"


def test_without_a_server_the_command_has_ended_before_the_locks_time(
    started: list["subprocess.Popen[str]"], tmp_path: Path
) -> None:
    file = tmp_path / "pid"
    with private_root() as root, running_up(root / "data", "--no-sample") as lonely:
        process = rota_lock(
            lonely, "run", "cut-off", "--ttl", "4", "--", "sh", "-c", f"echo $$ > {file}; exec sleep 300"
        )
        started.append(process)
        wait_until_blocking(lambda: file.exists() and file.read_text().strip() != "", 20)
        lonely.process.suspend()
        done = said(process)
        lonely.process.resume()
        lock = lock_of(lonely, "cut-off")
    assert done.code == 76
    assert not is_running(int(file.read_text()))
    assert lock["token"] == 1


def test_wrong_input_is_told_and_leaves_no_lock(up: UpProcess) -> None:
    for arguments, word in (
        (("run", "no/slash", "--", "true"), "NAME"),
        (("run", "x", "--ttl", "0.1", "--", "true"), "--ttl"),
        (("run", "x", "--", "/no/such/program"), "/no/such/program"),
        (("release", "x"), "--token"),
    ):
        done = said(rota_lock(up, *arguments))
        assert done.code in {1, 2}, done
        assert word in done.err, done.err
    assert not is_held(up, "x")
