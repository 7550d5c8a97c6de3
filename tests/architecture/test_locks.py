"""The check of the locks finds each thing that it promises to find."""

from pathlib import Path

import pytest

from scripts import check_locks

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = (ROOT / "pyproject.toml").read_text()
RUN = (ROOT / "requirements/run.txt").read_text()
DEV = (ROOT / "requirements/dev.txt").read_text()


def planted(lock: str, found: str, replacement: str) -> str:
    assert found in lock
    return lock.replace(found, replacement, 1)


def test_the_locks_are_sound() -> None:
    assert check_locks.check(PYPROJECT, RUN, DEV) == []
    assert check_locks.main() == 0


def test_a_planted_flaw_in_a_lock_apart_is_found() -> None:
    lock = (ROOT / "requirements/bench.txt").read_text()

    assert check_locks.check_apart(PYPROJECT, "bench", planted(lock, "pgqueuer==", "other==")) != []
    assert check_locks.check_apart(PYPROJECT, "bench", f"{lock}unhashed==1.0\n") != []


@pytest.mark.parametrize(
    ("run", "problem"),
    [
        (f"--index-url https://mirror.example/simple\n{RUN}", "names an address"),
        (f"-f ./wheels\n{RUN}", "names an address"),
        (RUN.replace("aiohttp==", "aiohttp @ https://files.example/a.whl # "), "names an address"),
        (f"{RUN}unhashed==1.0\n", "without a hash"),
        (f"{RUN}-e .\n", "is no pin"),
        (f"{RUN}only-here==1.0 \\\n    --hash=sha256:00\n", "dev.txt has not"),
        (planted(RUN, "asyncpg==", "asyncpg==0.0.1+"), "run.txt has asyncpg 0.0.1"),
        (planted(RUN, "asyncpg==", "other==").replace("asyncpg", "other"), "lacks asyncpg"),
    ],
)
def test_a_planted_flaw_is_found(run: str, problem: str) -> None:
    found = check_locks.check(PYPROJECT, run, DEV)

    assert any(problem in line for line in found), found
