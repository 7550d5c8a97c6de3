"""The verbs of the Makefile say themselves what they do, and nothing in them is forgotten."""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROMISED = {"run", "test", "check", "bench", "chaos", "gates", "bless", "deps"}


def make(*arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_make_lists_every_verb_with_what_it_does() -> None:
    listed = dict(re.findall(r"^  make (\S+) +(\S.*)$", make(), re.MULTILINE))
    declared = set(re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert listed.keys() == declared
    assert declared >= PROMISED


def test_run_hands_its_arguments_to_rota_and_gets_out_of_the_way() -> None:
    assert "exec .venv/bin/rota up --port 9000" in make("--dry-run", "run", "ARGS=--port 9000")


def test_tests_install_what_only_they_need_first() -> None:
    planned = make("--dry-run", "test")

    assert planned.index("install_test_packages.sh") < planned.index("pytest")


def test_the_gate_of_a_change_is_check_and_test() -> None:
    script = ROOT / ".ci/run"

    assert os.access(script, os.X_OK)
    assert "make check test" in script.read_text()
    assert "CI=true" in script.read_text()
