from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

import rota
from rota import App, Cancel, Context, Failure, NonRetryable, Retry, RetryPolicy
from rota.domain.errors import DomainError
from rota.domain.targets import TaskTarget
from rota.domain.triggers import CronTrigger, IntervalTrigger
from rota.worker.testing import RecordedLines, SettableClock, fake_context, run_task


def test_a_decorated_function_stays_what_it_was() -> None:
    app = App()

    @app.task
    def double(number: int) -> int:
        return 2 * number

    assert double(4) == 8
    assert list(app.tasks) == [f"{__name__}.test_a_decorated_function_stays_what_it_was.double"]


@pytest.mark.parametrize("name", ["", " spaces", "a" * 201, "rota.mine", "9lives", "a..b", "a."])
def test_a_name_that_cannot_be_is_refused_with_a_remedy(name: str) -> None:
    with pytest.raises(DomainError) as refused:
        App().task(name=name or "é")(print)
    (problem,) = refused.value.problems
    assert problem.field == "name"
    assert problem.remedy


def test_two_tasks_cannot_have_one_name() -> None:
    app = App()
    app.task(name="once")(print)
    with pytest.raises(DomainError, match="registered twice"):
        app.task(name="once")(len)


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan")])
def test_a_time_out_must_be_positive(seconds: float) -> None:
    with pytest.raises(DomainError, match="timeout_seconds"):
        App().task(name="quick", timeout_seconds=seconds)(print)


def test_schedules_are_declared_as_data_with_the_tasks_own_policies() -> None:
    app = App()

    @app.schedule(cron="0 2 * * *", timezone="Europe/Paris", name="nightly", args={"depth": 3}, overlap="queue_one")
    @app.schedule(every_seconds=60)
    @app.task(name="report", queue="slow", timeout_seconds=30, retry=RetryPolicy(attempts_max=2))
    def report(depth: int = 1) -> int:
        return depth

    every, nightly = app.schedules
    assert every.name == "report"
    assert every.triggers == (IntervalTrigger(every_seconds=60),)
    assert nightly.triggers == (CronTrigger(expression="0 2 * * *", timezone="Europe/Paris"),)
    assert nightly.target == TaskTarget("report", {"depth": 3})
    assert nightly.policies.overlap == "queue_one"
    assert (nightly.policies.queue, nightly.policies.timeout_seconds) == ("slow", 30)
    assert nightly.policies.retry.attempts_max == 2


def test_a_scheduled_function_becomes_a_task() -> None:
    app = App()
    app.schedule(every_seconds=5, name="beat")(test_two_tasks_cannot_have_one_name)
    assert [task.function for task in app.tasks.values()] == [test_two_tasks_cannot_have_one_name]


@pytest.mark.parametrize(
    ("whens", "words"),
    [
        ([{}], "exactly one of"),
        ([{"cron": "* * * * *", "every_seconds": 1}], "exactly one of"),
        ([{"every_seconds": 0}], "not an interval"),
        ([{"every_seconds": 1, "name": "x"}, {"every_seconds": 2, "name": "x"}], "twice"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(whens: list[dict[str, Any]], words: str) -> None:
    app = App()
    for when in whens[:-1]:
        app.schedule(**when)(len)
    with pytest.raises(DomainError, match=words):
        app.schedule(**whens[-1])(len)


def test_the_package_has_the_sdks_names_and_no_others() -> None:
    assert rota.testing.run_task is run_task
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = rota.nonsense  # pyright: ignore[reportAttributeAccessIssue]


def sdk_app() -> App:
    app = App()

    @app.task(name="typed")
    async def typed(ctx: Context, at: datetime, sizes: list[int]) -> dict[str, object]:
        ctx.log.warning("at %s", at)
        return {"year": at.year, "sum": sum(sizes), "run": ctx.run_id}

    @app.task(name="untypable")
    def untypable(thing: "Nowhere", other: Callable[[], int] = int) -> str:  # noqa: F821  # pyright: ignore[reportUndefinedVariable, reportUnknownParameterType]
        return f"{thing}{other()}"

    @app.task(name="patient")
    async def patient(ctx: Context) -> float:
        await ctx.sleep(3600)
        return ctx.remaining_seconds

    @app.task(name="ends")
    def ends(ctx: Context, how: str) -> object:
        verdicts: dict[str, object] = {
            "cancel": Cancel(),
            "retry": Retry(delay_seconds=7.0),
            "final": NonRetryable("no"),
            "raise": KeyError("k"),
            "surrogate": ValueError("\ud800\0"),
        }
        if how == "check":
            ctx.check_cancelled()
            return "not cancelled"
        if how == "failure":
            return Failure("full", retry_after_seconds=3.0, failure_class="api_limit")
        found = verdicts[how]
        assert isinstance(found, Exception)
        raise found

    return app


async def test_arguments_are_converted_to_what_the_handler_asks_for() -> None:
    args = {"at": "2026-03-01T12:00:00Z", "sizes": [1, 2]}
    outcome = await run_task(sdk_app(), "typed", args, fake_context(run_id="r-1"))
    assert outcome.value == {"year": 2026, "sum": 3, "run": "r-1"}
    assert outcome.lines == ("WARNING at 2026-03-01 12:00:00+00:00",)


async def test_types_that_cannot_be_known_leave_the_argument_as_it_came() -> None:
    assert (await run_task(sdk_app(), "untypable", {"thing": "x"})).value == "x0"


async def test_a_test_sleeps_in_no_time_and_the_deadline_sees_it() -> None:
    clock = SettableClock()
    outcome = await run_task(sdk_app(), "patient", context=fake_context(timeout_seconds=4000, clock=clock))
    assert clock.now == 3600
    assert outcome.value == 400


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("cancel", ("cancelled", "rota.worker.outcomes.Cancel", False, None)),
        ("retry", ("failed", "rota.worker.outcomes.Retry", True, 7.0)),
        ("final", ("failed", "rota.worker.outcomes.NonRetryable", False, None)),
        ("raise", ("failed", "KeyError", True, None)),
        ("failure", ("failed", "Failure", True, 3.0)),
        ("surrogate", ("failed", "ValueError", True, None)),
    ],
)
async def test_each_way_of_ending_has_its_outcome(how: str, expected: tuple[str, str, bool, float | None]) -> None:
    found = await run_task(sdk_app(), "ends", {"how": how})
    assert found.error is not None
    error = found.error
    assert (found.outcome, error.type, error.retryable, error.retry_after_seconds) == expected
    assert error.message.encode().count(b"\0") == 0


async def test_a_handler_sees_that_it_was_cancelled() -> None:
    context = fake_context(lines=RecordedLines(), fire_at=datetime(2026, 3, 1, tzinfo=UTC))
    assert (await run_task(sdk_app(), "ends", {"how": "check"}, context)).value == "not cancelled"
    context.cancelled.set()
    assert (await run_task(sdk_app(), "ends", {"how": "check"}, context)).outcome == "cancelled"


async def test_a_task_that_the_app_lacks_is_named_with_those_that_it_has() -> None:
    with pytest.raises(DomainError, match="has no task 'missing'") as refused:
        await run_task(sdk_app(), "missing")
    assert "ends, patient, typed, untypable" in refused.value.problems[0].remedy
