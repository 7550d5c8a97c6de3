"""The import contracts and the banned calls of pyproject.toml hold, and each catches a planted violation."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = (ROOT / "pyproject.toml").read_text()
PACKAGES = (
    "domain",
    "core",
    "ports",
    "telemetry",
    "storage",
    "adapters",
    "services",
    "api",
    "dashboard",
    "worker",
    "cli",
)
BIN = Path(sys.executable).parent


def lint_imports(directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "lint-imports", "--no-logo", "--no-cache"],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(directory), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """An empty house with Rota's packages and Rota's contracts."""
    (tmp_path / "pyproject.toml").write_text(PYPROJECT[PYPROJECT.index("[tool.importlinter]") :])
    for package in ("", *PACKAGES, "composition"):
        folder = tmp_path / "rota" / package
        folder.mkdir()
        (folder / "__init__.py").touch()
        if package:
            (folder / "room.py").touch()
    return tmp_path


def test_imports_of_rota_keep_the_contracts() -> None:
    done = lint_imports(ROOT)

    assert done.returncode == 0, done.stdout


def test_an_empty_house_keeps_the_contracts(house: Path) -> None:
    done = lint_imports(house)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("importer", "imported", "contract"),
    [
        ("domain", "rota.core.room", "Imports go downward only"),
        ("core", "rota.ports.room", "Imports go downward only"),
        ("storage", "rota.services.room", "Imports go downward only"),
        ("services", "rota.api.room", "Imports go downward only"),
        ("api", "rota.dashboard.room", "Imports go downward only"),
        ("worker", "rota.api.room", "Imports go downward only"),
        ("core", "asyncio", "touch no clock, loop, dice or wire"),
        ("domain", "time", "touch no clock, loop, dice or wire"),
        ("services", "rota.storage.room", "Only composition picks a store"),
        ("worker", "rota.adapters.room", "Only composition picks a store"),
        ("cli", "rota.storage.room", "The command line talks to the API"),
    ],
)
def test_a_planted_import_breaks_its_contract(house: Path, importer: str, imported: str, contract: str) -> None:
    (house / "rota" / importer / "room.py").write_text(f"import {imported}\n")

    done = lint_imports(house)

    assert done.returncode != 0
    assert re.search(rf"{contract}.* BROKEN", done.stdout), done.stdout


def test_a_package_that_has_no_place_in_the_layers_is_found(house: Path) -> None:
    (house / "rota" / "attic").mkdir()
    (house / "rota" / "attic" / "__init__.py").touch()

    assert lint_imports(house).returncode != 0


def ruff_codes(path: str, source: str) -> str:
    done = subprocess.run(
        [BIN / "ruff", "check", "--output-format", "concise", "--stdin-filename", path, "-"],
        cwd=ROOT,
        input=source,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout


BANNED = """
import asyncio
import datetime
import os
import random
import secrets
import time
import uuid

READINGS = (
    datetime.datetime.now(tz=datetime.UTC),
    datetime.datetime.today(),
    time.time(),
    time.monotonic(),
    time.perf_counter(),
    time.sleep(1),
    asyncio.sleep(1),
    secrets.token_hex(),
    os.urandom(8),
    uuid.uuid4(),
    uuid.uuid1(),
)
"""


def test_the_clock_the_dice_and_names_come_in_by_ports_only() -> None:
    readings = [
        number for number, line in enumerate(BANNED.splitlines(), 1) if line.startswith(("    ", "import random"))
    ]

    found = ruff_codes("src/rota/services/firing.py", BANNED)
    flagged = {int(line.split(":")[1]) for line in found.splitlines() if "TID251" in line}

    assert [number for number in readings if number not in flagged] == [], found
    assert "rota.ports." in found


def test_adapters_may_touch_the_clock() -> None:
    assert "TID251" not in ruff_codes("src/rota/adapters/system_clock.py", BANNED)


def test_a_test_may_not_sleep() -> None:
    assert "TID251" in ruff_codes("tests/integration/test_firing.py", BANNED)
