"""The report says no more than what was proved."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from scripts.verification_report import HEADINGS, Heading, Proof, read_results, report

ROOT = Path(__file__).resolve().parents[3]
LOCKS = Heading("Locks", "One holder at a time.", ("tests/locks",))
PASSED = '<testcase classname="tests.locks.test_one" name="test_a" time="1.5"/>'
FAILED = '<testcase classname="tests.locks.test_one" name="test_b" time="0.5"><failure message="no\nlock"/></testcase>'
SKIPPED = '<testcase classname="tests.locks.test_two" name="test_c" time="0"><skipped message="no server"/></testcase>'
BROKEN = '<testcase classname="tests.locks.test_two" name="test_d" time="0"><error message="boom"/></testcase>'


def proof(*cases: str, exit_code: int = 0) -> Proof:
    return read_results(LOCKS, f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>", exit_code)


def page(*proofs: Proof) -> str:
    return report(proofs, {"Python": "3.11"}, datetime(2026, 11, 21, 6, tzinfo=UTC))


def test_what_passed_is_counted_by_file_and_proves_its_heading() -> None:
    made = proof(PASSED, PASSED)
    assert (made.holds, made.passed_count, made.seconds) == (True, 2, 3.0)
    assert "everything below was proved" in page(made)
    assert "| `tests/locks/test_one.py` | 2" in page(made)


@pytest.mark.parametrize(
    ("case", "why"), [(FAILED, "failure: no lock"), (SKIPPED, "skipped: no server"), (BROKEN, "error: boom")]
)
def test_one_test_without_a_pass_takes_the_heading_down(case: str, why: str) -> None:
    made = proof(PASSED, case)
    assert made.holds is False
    assert "NOT everything below was proved" in page(proof(PASSED), made)
    assert why in page(made)


def test_a_heading_that_selects_no_test_proves_nothing() -> None:
    made = read_results(LOCKS, "<testsuites/>", 5)
    assert made.holds is False
    assert "No test was selected" in page(made)


def test_a_run_that_broke_off_proves_nothing_though_tests_passed() -> None:
    made = proof(PASSED, exit_code=2)
    assert made.holds is False
    assert "pytest ended with 2" in page(made)


def test_no_heading_is_no_proof() -> None:
    assert "NOT everything" in page()


def test_every_selection_is_there() -> None:
    missing = [one for heading in HEADINGS for one in heading.selection if not (ROOT / one).exists()]
    assert missing == []
    assert {heading.title for heading in HEADINGS} >= {"State transitions", "Due calculation", "Locks", "End to end"}
