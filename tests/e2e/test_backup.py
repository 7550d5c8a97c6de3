"""`rota backup` and `rota restore` as their users meet them: while everything runs, and in each way that goes wrong."""

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.up_process import Said, UpProcess, private_root, processes_in, rota, running_up
from tests.support.waiting import wait_until_blocking


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    with private_root() as made:
        yield made


@pytest.fixture(scope="module")
def up(root: Path) -> Iterator[UpProcess]:
    with running_up(root / "first", "--no-sample") as process:
        ticking = {
            "name": "ticking",
            "triggers": [{"kind": "interval", "every_seconds": 1}],
            "target": {"kind": "task", "task": "rota.exec", "args": {"command": "echo tick"}},
            "policies": {"overlap": "allow", "misfire": "fire_once"},
        }
        process.ask("POST", "/schedules", ticking)
        wait_until_blocking(lambda: succeeded(process) >= 2, 30, "two runs have succeeded")
        yield process


@pytest.fixture(scope="module")
def backup(root: Path, up: UpProcess) -> Path:
    """Made while it fires."""
    file = root / "rota.backup"
    said = up.rota("backup", str(file))
    assert (said.code, said.err) == (0, "")
    assert "backup written" in said.out
    return file


def succeeded(up: UpProcess) -> int:
    return int(up.ask("GET", "/runs?state=succeeded&limit=1")["total_count"])


def fire_times(up: UpProcess) -> list[str]:
    return [run["fire_at"] for run in up.ask("GET", "/runs?limit=500")["items"]]


def refused(said: Said, *words: str) -> None:
    """In words, with the flag or the argument that is at fault; no traceback."""
    assert said.code in {1, 2}, said
    assert "Traceback" not in said.err
    assert [word for word in words if word not in said.err] == [], said.err


def test_a_backup_made_while_it_fires_comes_up_elsewhere_and_goes_on(root: Path, up: UpProcess, backup: Path) -> None:
    before = succeeded(up)
    wait_until_blocking(lambda: succeeded(up) >= before + 2, 30, "it goes on firing after the backup")
    known, token = fire_times(up), up.context["token"]

    elsewhere = root / "second"
    said = rota("restore", str(backup), "--data-dir", str(elsewhere))
    assert (said.code, said.err) == (0, "")
    assert f"rota up --data-dir {elsewhere}" in said.out
    with running_up(elsewhere) as restored:
        assert [one["name"] for one in restored.ask("GET", "/schedules")["items"]] == ["ticking"]
        # What it did before is there, by the token of before; what was due meanwhile is caught up, and it goes on.
        history = set(fire_times(restored))
        assert len(history & set(known)) >= 2
        done = int(restored.ask("GET", "/runs?state=succeeded&limit=1", token=token)["total_count"])
        wait_until_blocking(lambda: succeeded(restored) >= done + 2, 30, "it goes on firing after the restore")
        assert len(fire_times(restored)) == len(set(fire_times(restored)))
        told = [event["type"] for event in restored.ask("GET", "/events?limit=500")["items"]]
        assert "TenantCreated" in told

        # The one that was backed up has not noticed.
        before = succeeded(up)
        wait_until_blocking(lambda: succeeded(up) >= before + 2, 30, "the first one goes on, too")


def test_a_resting_directory_is_backed_up_and_rests_again(root: Path, backup: Path) -> None:
    resting = root / "resting"
    assert rota("restore", str(backup), "--data-dir", str(resting)).code == 0
    assert processes_in(resting) == []

    again = root / "again.backup"
    assert rota("backup", str(again), "--data-dir", str(resting)).code == 0
    assert processes_in(resting) == []
    assert stat.S_IMODE(again.stat().st_mode) == 0o600
    assert rota("restore", str(again), "--data-dir", str(root / "third")).code == 0


def test_nothing_is_overwritten(root: Path, up: UpProcess, backup: Path) -> None:
    refused(up.rota("backup", str(backup)), "does not overwrite", str(backup))
    refused(up.rota("restore", str(backup)), "in use by process", "--data-dir")
    occupied = root / "occupied"
    assert rota("restore", str(backup), "--data-dir", str(occupied)).code == 0
    refused(rota("restore", str(backup), "--data-dir", str(occupied)), "holds a database already", "--data-dir")


def test_a_file_that_is_no_backup_is_told_and_leaves_nothing(root: Path, backup: Path) -> None:
    text, cut, elsewhere = root / "notes.txt", root / "cut.backup", root / "untouched"
    text.write_text("SELECT 1;\n" * 100)
    whole = backup.read_bytes()
    cut.write_bytes(whole[: len(whole) * 3 // 4])
    for file, words in (
        (root / "missing", "is not there"),
        (root, "is no file"),
        (text, "is not a backup of Rota"),
        (cut, "end of file"),
    ):
        refused(rota("restore", str(file), "--data-dir", str(elsewhere)), "FILE", str(file), words)
    assert not (elsewhere / "postgres").exists()


def test_a_place_without_a_database_cannot_be_backed_up(root: Path) -> None:
    refused(rota("backup", str(root / "x"), "--data-dir", str(root / "nothing")), "--data-dir", "holds no database")
    assert not (root / "nothing").exists()


def test_a_directory_that_is_not_there_is_named(root: Path, up: UpProcess) -> None:
    said = up.rota("backup", str(root / "no" / "such" / "x"))
    refused(said, "FILE", "No such file or directory")
    assert not (root / "no").exists()


def test_an_interrupted_restore_can_be_repeated(root: Path, backup: Path) -> None:
    """What a killed one left aside is cleared, its server ended."""
    elsewhere = root / "interrupted"
    assert rota("restore", str(backup), "--data-dir", str(elsewhere / "restoring")).code == 0
    with running_up(elsewhere / "restoring", "--no-sample") as left:
        os.kill(left.process.pid, signal.SIGKILL)
        assert processes_in(elsewhere)
        assert rota("restore", str(backup), "--data-dir", str(elsewhere)).code == 0
        assert (elsewhere / "postgres").is_dir()
        assert not (elsewhere / "restoring").exists()
