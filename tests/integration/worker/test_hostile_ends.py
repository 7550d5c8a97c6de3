"""Whatever a handler raises, returns or prints is the end of its own run, and of nothing else."""

import pytest

from rota.domain.policies import RetryPolicy
from rota.domain.run import Run
from tests.integration.worker.conftest import House
from tests.integration.worker.hostile import start, unharmed
from tests.integration.worker.hostile_ends import ERRORS, RESULTS

ONCE = RetryPolicy(attempts_max=1)

# A few of them have a type of their own.
ERROR_TYPES = {
    "bare": "tests.integration.worker.hostile_ends.Bare",
    "system_exit": "tests.integration.worker.hostile_ends.Exit",
    "cancelled_error": "CancelledError",
    "mute": "tests.integration.worker.hostile_ends.Mute",
    "masked": "Masked",
    "notes": "Notes",
    "unnamed": "Unnamed",
    "group": "BaseExceptionGroup",
    "odd_arguments": "FileNotFoundError",
    "odd_delay": "rota.worker.outcomes.Retry",
}
KEPT = {"not_a_number": None, "bytes": "/wA=", "nul": {"\ufffd": "\ufffd"}, "unkind": {"a": 1}}
SAID = {"odd_failure": "Failure", "odd_class": "Failure", "masquerade": "SystemExit"}


async def ends(house: House, task: str, kinds: list[str]) -> dict[str, Run]:
    """One run for each kind, all of them in one worker."""
    await start(house, "hostile_ends")
    run_ids = {kind: await house.one(task, args={"kind": kind}, retry=ONCE, timeout_seconds=30.0) for kind in kinds}
    return {kind: await house.ended(run_id, 25.0) for kind, run_id in run_ids.items()}


@pytest.mark.parametrize("task", ["raise_in_thread", "raise_on_loop"])
async def test_whatever_a_handler_raises_is_one_failure_of_its_own_run(house: House, task: str) -> None:
    runs = await ends(house, task, list(ERRORS))

    assert {kind: (run.state, run.attempts_count) for kind, run in runs.items()} == dict.fromkeys(ERRORS, ("failed", 1))
    errors = {kind: run.error for kind, run in runs.items() if run.error is not None}
    assert {kind: errors[kind].type for kind in ERROR_TYPES} == ERROR_TYPES
    assert max(len(error.message) for error in errors.values()) <= 2_000
    assert max(len(error.traceback) for error in errors.values()) <= 16_000
    assert {error.failure_class for error in errors.values()} <= {"unknown", "config"}
    await unharmed(house)


@pytest.mark.parametrize("task", ["return_from_thread", "return_from_loop"])
async def test_whatever_a_handler_returns_is_kept_or_refused_by_its_own_run(house: House, task: str) -> None:
    runs = await ends(house, task, list(RESULTS))

    assert {kind: runs[kind].result for kind in KEPT} == KEPT
    assert {runs[kind].state for kind in KEPT} == {"succeeded"}
    refused = {kind: run for kind, run in runs.items() if kind not in KEPT}
    assert {(run.state, run.attempts_count) for run in refused.values()} == {("failed", 1)}
    said = {kind: run.error.type for kind, run in refused.items() if run.error is not None}
    assert said == {kind: SAID.get(kind, "ResultNotStorable") for kind in refused}
    await unharmed(house)


async def test_output_that_is_no_text_costs_the_run_nothing(house: House) -> None:
    await start(house, "hostile_ends")
    run_id = await house.one("odd_lines", retry=ONCE, timeout_seconds=30.0)

    run = await house.ended(run_id)

    lines = [(line.stream, line.text) for line in await house.lines(run_id)]
    assert (run.state, run.attempts_count) == ("succeeded", 1)
    assert ("stderr", "--- Logging error ---") in lines
    assert [text for stream, text in lines if stream == "log"] == ["INFO one", "two", "three", "four"]
    assert lines[-1] == ("stdout", "\ufffd?")
    await unharmed(house)
