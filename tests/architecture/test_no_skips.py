"""The plugin is tried in a pytest of its own, as CI would run it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PASSING = "def test_passes():\n    assert True\n"
UNPROVEN = {
    "test_skipped.py": "import pytest\n\n@pytest.mark.skip\ndef test_it():\n    raise AssertionError\n",
    "test_skipped_file.py": "import pytest\n\npytest.skip('not here', allow_module_level=True)\n",
    "test_expected_to_fail.py": "import pytest\n\n@pytest.mark.xfail\ndef test_it():\n    raise AssertionError\n",
    "test_wrongly_expected_to_fail.py": "import pytest\n\n@pytest.mark.xfail\ndef test_it():\n    pass\n",
}
WAYS = pytest.mark.parametrize("arguments", [(), ("-p", "xdist.plugin", "-n", "1")], ids=["alone", "with workers"])


def run_pytest(
    directory: Path, files: Mapping[str, str], *arguments: str, ci: str = "true"
) -> subprocess.CompletedProcess[str]:
    (directory / "pytest.ini").write_text("[pytest]\n")
    for name, source in {"test_passing.py": PASSING, **files}.items():
        (directory / name).write_text(source)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.plugins.no_skips", *arguments],
        cwd=directory,
        env=environment | {"CI": ci, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@WAYS
def test_ci_fails_when_a_test_gives_no_verdict(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run_pytest(tmp_path, UNPROVEN, *arguments)

    assert done.returncode == 1, done.stdout
    listed = done.stdout.partition("not proven")[2]
    assert [name for name in UNPROVEN if name not in listed] == []
    assert "test_passing.py" not in listed


@WAYS
def test_ci_passes_when_every_test_runs(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run_pytest(tmp_path, {}, *arguments)

    assert done.returncode == 0, done.stdout
    assert "not proven" not in done.stdout


def test_a_person_may_skip(tmp_path: Path) -> None:
    assert run_pytest(tmp_path, UNPROVEN, ci="").returncode == 0
