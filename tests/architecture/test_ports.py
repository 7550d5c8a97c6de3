"""Every port of a store is answered by one PostgreSQL class, and a full run of tests shows that each method works."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ports import OF_THE_MACHINE, answering, every_method, store_ports, unexercised

ROOT = Path(__file__).resolve().parents[2]
METHODS_MAX = 8
REPOSITORIES = {
    "ScheduleStore", "FiringStore", "RunIntake", "RunReader", "RunClaims", "RunControl", "WorkerStore", "LockStore",
}  # fmt: skip

CONFTEST = """
import sys
sys.path.insert(0, {root!r})
pytest_plugins = ["tests.plugins.port_coverage"]
"""

# Exercises everything but what is named; the stores are never opened.
TESTS = """
import asyncio
import pytest
from tests.support.ports import answering, store_ports, every_method

LEFT_OUT = {left_out!r}

@pytest.mark.parametrize("label", sorted(every_method() - set(LEFT_OUT)))
def test_it(label, request):
    plugin = request.config.pluginmanager.getplugin("rota-port-coverage")
    plugin.exercised.add(label)
"""


def test_every_port_of_the_store_has_one_class_that_answers_it() -> None:
    assert {port: len(answering(port)) for port in store_ports()} == dict.fromkeys(store_ports(), 1)
    assert set(store_ports()).isdisjoint(OF_THE_MACHINE)
    assert len(every_method()) >= 50


def test_a_port_has_at_most_eight_methods() -> None:
    assert [port for port, names in store_ports().items() if len(names) > METHODS_MAX] == []


def test_the_page_of_repositories_names_every_method_of_its_ports_and_none_that_is_not_there() -> None:
    page = (ROOT / "docs/repositories.md").read_text()
    named = {found for found in re.findall(r"`([A-Z]\w+\.\w+)`", page) if found.split(".")[0] in store_ports()}
    assert named - every_method() == set()
    assert {one for one in every_method() if one.split(".")[0] in REPOSITORIES} - named == set()


def run_of(directory: Path, left_out: list[str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A small run of pytest with the plugin alone."""
    (directory / "tests").mkdir()
    (directory / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n")
    (directory / "conftest.py").write_text(CONFTEST.format(root=str(ROOT)))
    (directory / "tests/test_ports_of_a_store.py").write_text(TESTS.format(left_out=left_out))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("processes", [(), ("-n", "2")])
def test_a_whole_run_that_leaves_a_method_out_fails_and_names_it(tmp_path: Path, processes: tuple[str, ...]) -> None:
    done = run_of(tmp_path, ["LockStore.page", "RunClaims.give_back_batch"], *processes)
    assert done.returncode == 1, done.stdout
    assert "\nLockStore.page\nRunClaims.give_back_batch\n" in done.stdout


@pytest.mark.parametrize("processes", [(), ("-n", "2")])
def test_a_whole_run_that_leaves_nothing_out_passes(tmp_path: Path, processes: tuple[str, ...]) -> None:
    done = run_of(tmp_path, [], *processes)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "selection", [("-k", "LeaseStore"), ("tests/test_ports_of_a_store.py",), ("-n", "2", "-k", "page")]
)
def test_a_selection_of_tests_is_not_judged(tmp_path: Path, selection: tuple[str, ...]) -> None:
    done = run_of(tmp_path, ["LockStore.break_if_held"], *selection)
    assert done.returncode == 0, done.stdout


def test_a_call_that_raised_shows_nothing() -> None:
    script = """
import asyncio, json
from tests.support.ports import Recorder
from rota.storage.postgres.locks import PostgresLockStore

recorder = Recorder()
recorder.watch()
store = PostgresLockStore(None)
try:
    asyncio.run(store.get("acme", "nightly"))
except AttributeError:
    pass
print(json.dumps(sorted(recorder.exercised)))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_what_is_missing_is_told_by_name() -> None:
    assert unexercised(every_method() - {"LeaseStore.read"}) == ["LeaseStore.read"]
