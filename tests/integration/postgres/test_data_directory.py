import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rota.domain.errors import DomainError
from rota.storage.postgres.data_directory import DataDirectoryLock, create_private_directory, write_private_file

HOLD = """
import pathlib, sys
from rota.storage.postgres.data_directory import DataDirectoryLock
DataDirectoryLock(pathlib.Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def holder_of(data_dir: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HOLD, str(data_dir)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_second_holder_is_refused_and_told_who_is_first(tmp_path: Path) -> None:
    holder = holder_of(tmp_path)

    with pytest.raises(DomainError) as caught:
        DataDirectoryLock(tmp_path).acquire()

    (problem,) = caught.value.problems
    assert problem.field == "--data-dir"
    assert problem.problem == f"{tmp_path} is in use by process {holder.pid}"
    holder.communicate()


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    holder = holder_of(tmp_path)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()

    with DataDirectoryLock(tmp_path):
        assert (tmp_path / "rota.lock").read_text() == f"{os.getpid()}\n"


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    first, second = DataDirectoryLock(tmp_path), DataDirectoryLock(tmp_path)
    first.acquire()
    with pytest.raises(DomainError):
        second.acquire()
    first.release()
    first.release()

    second.acquire()

    with pytest.raises(DomainError):
        first.acquire()
    second.release()


def test_the_directory_is_made_for_its_user_only(tmp_path: Path) -> None:
    with DataDirectoryLock(tmp_path / "new" / "data"):
        assert stat.S_IMODE((tmp_path / "new" / "data").stat().st_mode) == 0o700


def test_an_existing_directory_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    create_private_directory(tmp_path)

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_planted_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / "secret").symlink_to(victim)
    (tmp_path / "secret.new").symlink_to(victim)

    write_private_file(tmp_path / "secret", "text")

    assert victim.read_text() == "untouched"
    assert not (tmp_path / "secret").is_symlink()
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
