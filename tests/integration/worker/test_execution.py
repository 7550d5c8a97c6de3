from collections.abc import Sequence
from typing import Any

import pytest

from rota.domain.errors import DomainError
from rota.domain.ids import WorkerId
from rota.domain.policies import RetryPolicy
from rota.domain.run import ClaimedRun
from rota.domain.worker import Renewal
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.run_claims import PostgresRunClaims
from rota.storage.postgres.workers import PostgresWorkerStore
from tests.integration.worker.conftest import ACME, AT_ONCE, House
from tests.support.waiting import wait_until


async def test_a_thousand_runs_complete_exactly_once(house: House) -> None:
    run_ids = [*await house.enqueue("noop", 500), *await house.enqueue("noop_thread", 500)]
    await house.start(slots=64, executors=2)

    await wait_until(lambda: _all_ended(house), 40)

    runs = [await house.run(run_id) for run_id in run_ids]
    assert {run.state for run in runs} == {"succeeded"}
    assert {run.attempts_count for run in runs} == {1}
    await house.stop()


async def _all_ended(house: House) -> bool:
    counts = await house.reader.count_by_state(ACME, 1)
    return counts.get("succeeded", 0) == 1000


async def test_a_result_and_the_context_reach_the_record(house: House) -> None:
    await house.start()

    run = await house.ended(await house.one("echo", args={"value": ["ü", 1.5, None]}))

    assert run.result == {"value": ["ü", 1.5, None], "attempt_no": 1, "tenant": "acme"}
    assert run.state == "succeeded"


async def test_output_of_a_handler_becomes_its_log_lines_before_its_end_is_seen(house: House) -> None:
    await house.start()
    run_id = await house.one("talk")

    await house.ended(run_id)

    assert [(line.stream, line.text) for line in await house.lines(run_id)] == [
        ("stdout", "printed"),
        ("stderr", "to stderr"),
        ("log", "INFO logged 7"),
        ("stdout", "unfinished"),
    ]


async def test_a_flood_of_lines_is_cut_with_a_last_line_that_says_so(house: House) -> None:
    await house.start(log_lines_max=700)
    run_id = await house.one("flood", args={"lines": 50_000})

    run = await house.ended(run_id)

    lines = await house.lines(run_id)
    assert run.result == 50_000
    assert len(lines) == 701
    assert lines[-1].text == "truncated: an attempt may log 700 lines and 1048576 bytes"


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("unstorable", "cannot be stored as JSON"),
        ("huge", "at most 262144 are kept"),
        ("refuse", "returned"),
        ("raise_non_retryable", "thrown"),
    ],
)
async def test_a_failure_that_no_retry_mends_fails_the_run_at_once(house: House, task: str, words: str) -> None:
    await house.start()

    run = await house.ended(await house.one(task, retry=AT_ONCE))

    assert (run.state, run.attempts_count, run.dead_lettered) == ("failed", 1, True)
    assert run.error is not None
    assert words in run.error.message


@pytest.mark.parametrize(
    ("task", "args", "words"),
    [
        ("echo", {}, "missing a required argument: 'value'; the task takes: value"),
        ("echo", {"value": 1, "more": 2}, "unexpected keyword argument 'more'"),
        ("flood", {"lines": "many"}, "the argument 'lines' does not fit: Expected `int`, got `str`"),
        ("echo", {"value": 1, "ctx": 2}, "'ctx' is the task's context"),
    ],
)
async def test_arguments_that_do_not_fit_are_named(house: House, task: str, args: dict[str, Any], words: str) -> None:
    await house.start()

    run = await house.ended(await house.one(task, args=args))

    assert (run.state, run.attempts_count) == ("failed", 1)
    assert run.error is not None
    assert words in run.error.message


async def test_an_unknown_task_says_which_ones_there_are(house: House) -> None:
    await house.start()

    run = await house.ended(await house.one("nowhere", retry=RetryPolicy(attempts_max=1)))

    assert run.error is not None
    assert "knows no task 'nowhere'; it knows: " in run.error.message
    assert run.error.failure_class == "config"


async def test_a_handler_may_ask_for_another_try_and_may_cancel_its_run(house: House) -> None:
    await house.start()

    retried = await house.ended(await house.one("retry_once", retry=AT_ONCE))
    cancelled = await house.ended(await house.one("give_up", retry=AT_ONCE))

    assert (retried.state, retried.result) == ("succeeded", 2)
    assert (cancelled.state, cancelled.attempts_count) == ("cancelled", 1)


async def test_sys_exit_in_a_handler_is_a_failure_and_not_the_end_of_its_process(house: House) -> None:
    await house.start()

    run = await house.ended(await house.one("system_exit", retry=RetryPolicy(attempts_max=1)))
    after = await house.ended(await house.one("noop"))

    assert run.error is not None
    assert (run.state, run.error.type) == ("failed", "SystemExit")
    assert after.state == "succeeded"


async def test_a_soft_time_out_only_raises_the_flag(house: House) -> None:
    await house.start()

    run = await house.ended(await house.one("soft", timeout_seconds=20.0, soft_timeout_seconds=0.2))

    assert run.result == "flag seen"


@pytest.mark.parametrize("task", ["soft_raised", "soft_raised_in_thread", "soft_raised_in_process"])
async def test_a_task_may_be_told_of_its_soft_time_out_by_an_exception_that_it_catches_or_not(
    house: House, task: str
) -> None:
    await house.start(slots=1)
    once = RetryPolicy(attempts_max=1)
    caught = await house.ended(await house.one(task, retry=once))
    uncaught = await house.ended(await house.one(task, args={"catches": False}, retry=once))
    after = await house.ended(await house.one("noop_thread"))

    assert (caught.state, caught.result) == ("succeeded", "saved what there was")
    (attempt,) = await house.attempts(uncaught.id)
    assert (uncaught.state, attempt.outcome) == ("failed", "timed_out")
    assert uncaught.error is not None
    assert (uncaught.error.type, uncaught.error.failure_class) == ("rota.worker.outcomes.SoftTimeout", "timeout")
    assert after.state == "succeeded"


async def test_a_run_that_comes_due_later_is_picked_up_without_a_wake_up(house: House) -> None:
    await house.start()
    await house.ended(await house.one("noop"))

    run = await house.ended(await house.one("noop", delay_seconds=1.5))

    assert run.started_at is not None
    assert (run.started_at - run.due_at).total_seconds() < 1.0


async def test_an_app_that_cannot_be_loaded_ends_the_worker_with_field_and_remedy(house: House) -> None:
    await house.start(app="tests.integration.worker.nothing:app")

    with pytest.raises(DomainError) as refused:
        await house.result()

    (problem,) = refused.value.problems
    assert problem.field == "app"
    assert "No module named 'tests.integration.worker.nothing'" in problem.problem
    assert "directory" in problem.remedy


async def test_a_worker_that_drained_leaves_its_lease_and_no_process(house: House) -> None:
    await house.start()
    await house.ended(await house.one("noop"))

    await house.stop()

    (worker,) = await house.workers.list_recent(10)
    assert (worker.state, worker.running_count) == ("stopped", 0)


class CountedClaims(PostgresRunClaims):
    """Counts how often the store is asked for runs."""

    asked_count = 0

    async def claim_batch(self, worker_id: WorkerId, queues: Sequence[str], limit: int) -> tuple[ClaimedRun, ...]:
        self.asked_count += 1
        return await super().claim_batch(worker_id, queues, limit)


class CountedWorkers(PostgresWorkerStore):
    """Counts renewals."""

    renewed_count = 0

    async def renew_if_live(self, worker_id: WorkerId, queues: Sequence[str], lease_seconds: float) -> Renewal | None:
        self.renewed_count += 1
        return await super().renew_if_live(worker_id, queues, lease_seconds)


async def test_an_idle_worker_asks_the_store_once_a_second_at_most(house: House, service_pool: Pool) -> None:
    claims, workers = CountedClaims(service_pool), CountedWorkers(service_pool)
    house.claims, house.workers = claims, workers
    await house.start()
    await wait_until(lambda: claims.asked_count == 1)
    began_at = house.clock.monotonic_seconds()

    await wait_until(lambda: workers.renewed_count == 3)

    assert claims.asked_count == 1
    assert house.clock.monotonic_seconds() - began_at > 3.0


async def test_a_run_is_picked_up_within_milliseconds_of_its_wake_up(house: House) -> None:
    await house.start()
    await house.ended(await house.one("noop"))

    delays = sorted([await _pick_up_seconds(house) for _ in range(20)])

    assert delays[10] < 0.05


async def _pick_up_seconds(house: House) -> float:
    run = await house.ended(await house.one("noop"))
    assert run.started_at is not None
    return (run.started_at - run.created_at).total_seconds()


async def test_samples_are_there_when_they_are_asked_for(house: House) -> None:
    await house.start(app=None, samples=True)

    run = await house.ended(await house.one("samples.slow_count", args={"steps": 2, "pause_seconds": 0.0}))

    assert run.result == {"counted": 2}


async def test_handlers_do_not_see_the_addresses_of_databases(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_DATABASE_SERVICE_URL", "postgresql://secret")
    await house.start()

    run = await house.ended(await house.one("environment"))

    assert "PATH" in run.result
    assert [name for name in run.result if name.startswith("ROTA_DATABASE")] == []
