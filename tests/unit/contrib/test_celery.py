"""Real Celery tasks, through the code that a worker uses."""

from typing import Any

import pytest
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded

from rota.contrib.celery import adopt
from rota.domain.errors import DomainError
from rota.domain.policies import ATTEMPTS_MAX_LIMIT
from rota.worker.app import App
from rota.worker.testing import fake_context, run_task
from tests.unit.contrib.beat_project import app as celery_app

ADOPTED: App = adopt(celery_app, queue="shop")


async def ended(task: str, *args: object, attempt_no: int = 1, **kwargs: object) -> Any:
    given = {name: value for name, value in (("args", list(args)), ("kwargs", kwargs)) if value}
    return await run_task(ADOPTED, task, given, fake_context(run_id="run-7", attempt_no=attempt_no))


def test_the_tasks_keep_their_names_and_celerys_own_stay_out() -> None:
    assert set(ADOPTED.tasks) == {"shop.report", "shop.bound", "shop.flaky", "shop.limited"}
    assert {task.queue for task in ADOPTED.tasks.values()} == {"shop"}


def test_limits_become_time_outs_in_a_process_of_their_own_and_retries_a_bound() -> None:
    limited, bound = ADOPTED.tasks["shop.limited"], ADOPTED.tasks["shop.bound"]
    assert (limited.timeout_seconds, limited.soft_timeout_seconds, limited.kind) == (12.0, 10.0, "process")
    assert (bound.timeout_seconds, bound.soft_timeout_seconds, bound.kind) == (None, None, "thread")
    assert limited.soft_timeout_error is SoftTimeLimitExceeded
    assert limited.retry is not None
    assert bound.retry is not None
    assert (limited.retry.attempts_max, bound.retry.attempts_max) == (ATTEMPTS_MAX_LIMIT, 3)


async def test_arguments_arrive_and_the_result_is_kept() -> None:
    outcome = await ended("shop.report", 1, "two", days=3)
    assert (outcome.outcome, outcome.value) == ("succeeded", {"args": [1, "two"], "kwargs": {"days": 3}})


async def test_a_bound_task_sees_its_run_as_its_request() -> None:
    outcome = await ended("shop.bound", "tell", attempt_no=3)
    assert outcome.value == {"id": "run-7", "retries": 2, "args": ["tell"]}


@pytest.mark.parametrize(
    ("task", "mode", "attempt_no", "seconds"),
    [
        ("shop.bound", "retry", 1, 7),
        ("shop.bound", "retry at", 1, 50),
        ("shop.bound", "retry plainly", 1, 180),
        ("shop.bound", "raise retry", 1, 3),
        ("shop.flaky", "fail", 1, 4),
        ("shop.flaky", "fail", 3, 16),
        ("shop.flaky", "retry", 1, 1),
    ],
)
async def test_a_retry_is_the_runs_next_try_after_its_own_delay(
    task: str, mode: str, attempt_no: int, seconds: float
) -> None:
    outcome = await ended(task, mode, attempt_no=attempt_no)
    assert outcome.outcome == "failed"
    assert outcome.error.retryable
    assert outcome.error.retry_after_seconds == pytest.approx(seconds, abs=0.5)


@pytest.mark.parametrize(
    ("task", "mode", "attempt_no", "said"),
    [
        ("shop.bound", "fail", 1, "KeyError: 'broken'"),
        ("shop.bound", "reject", 1, "Reject"),
        ("shop.bound", "retry", 3, "ValueError: not yet"),
        ("shop.bound", "retry plainly", 3, "MaxRetriesExceededError"),
        ("shop.bound", "other arguments", 1, "enqueue another run instead"),
        ("shop.flaky", "fail", 4, "ConnectionError: away"),
    ],
)
async def test_what_is_not_to_be_retried_fails_the_run(task: str, mode: str, attempt_no: int, said: str) -> None:
    outcome = await ended(task, mode, attempt_no=attempt_no)
    assert (outcome.outcome, outcome.error.retryable) == ("failed", False)
    assert said in outcome.error.message


async def test_an_ignored_task_ends_without_a_result() -> None:
    outcome = await ended("shop.bound", "ignore")
    assert (outcome.outcome, outcome.value) == ("succeeded", None)


async def test_a_task_that_does_not_catch_its_soft_limit_fails_as_timed_out_and_is_not_tried_again() -> None:
    outcome = await ended("shop.bound", "soft limit")
    assert (outcome.outcome, outcome.error.retryable) == ("failed", False)
    assert "timed out at its soft limit" in outcome.error.message


def test_a_soft_limit_that_could_never_be_raised_is_refused_by_name() -> None:
    app: Any = Celery("odd")

    @app.task(name="odd.late", time_limit=10, soft_time_limit=10)
    def late() -> None: ...

    with pytest.raises(DomainError, match=r"'odd\.late' has 10 s, which is not before its time_limit of 10 s"):
        adopt(app)
