"""What handlers leak, their process lacks: a process that has run out of something is replaced in time."""

import pytest

from rota.domain.run import RunError
from rota.worker.session_words import KillExecutor, StartExecutor
from tests.unit.worker.test_session import Desk, claimed, ended, only


@pytest.mark.parametrize(
    ("kind", "message"),
    [("OSError", "[Errno 24] Too many open files: 'x'"), ("RuntimeError", "can't start new thread")],
)
def test_a_process_whose_files_or_threads_are_used_up_is_replaced_and_its_neighbours_may_finish(
    kind: str, message: str
) -> None:
    desk = Desk().holding(*(claimed(n) for n in range(4)))
    executor = desk.executor_of(1)
    (other,) = [key for key in (2, 3, 4) if desk.executor_of(key) == executor]
    effects = desk.tell(ended(executor, 1, "failed", error=RunError(message, type=kind)))
    assert only(StartExecutor, effects) == [StartExecutor(3)]
    assert only(KillExecutor, desk.wait(50.0)) == []
    assert only(KillExecutor, desk.tell(ended(executor, other, "succeeded"))) == [KillExecutor(executor, "retired")]


def test_any_other_failure_costs_its_process_nothing() -> None:
    desk = Desk().holding(claimed(1))
    error = RunError("[Errno 24] Too many open files", type="ValueError")
    assert only(StartExecutor, desk.tell(ended(desk.executor_of(1), 1, "failed", error=error))) == []
