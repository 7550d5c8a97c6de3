from datetime import timedelta

import pytest

from rota.domain.errors import DomainError
from rota.domain.ids import RunId, ScheduleId
from rota.domain.page import PageRequest
from rota.domain.run import LogLine, Run
from rota.ports.run_store import RunFilter
from tests.contract.records import ACME, GLOBEX, new_id
from tests.contract.run_stores import AUDIT, RunStores, draft, retry, success
from tests.contract.stores import START

EVERYTHING = RunFilter()
SCHEDULE = ScheduleId(new_id())


async def one_of_each(runs: RunStores) -> dict[str, RunId]:
    """A run in each state that workers and callers bring about, by state; two belong to `SCHEDULE`."""
    ended = await runs.enqueue(draft("a"), draft("b", schedule_id=SCHEDULE), draft("c"))
    worker_id = await runs.worker()
    one, two, three = await runs.claim(worker_id)
    await runs.claims.settle_batch(
        [
            success(one),
            success(two, verb="fail", outcome="failed", error_json='{"message":"no"}'),
            success(three, verb="cancel", outcome="cancelled"),
        ]
    )
    await runs.base.clock.advance(1)
    await runs.enqueue(draft("d"))
    (running,) = await runs.claim(worker_id)
    await runs.base.clock.advance(1)
    queued, scheduled = await runs.enqueue(draft("e", queue="slow"), draft("f", delay_seconds=9, schedule_id=SCHEDULE))
    await runs.enqueue(draft(tenant_id=GLOBEX))
    names = ("succeeded", "failed", "cancelled", "running", "queued", "scheduled")
    return dict(zip(names, (*ended, running.run_id, queued, scheduled), strict=True))


async def ids(runs: RunStores, where: RunFilter) -> list[RunId]:
    page = await runs.reader.page(ACME, where, PageRequest())
    assert page.total_count == len(page.items)
    return [run.id for run in page.items]


async def test_each_state_is_found_by_its_filter(runs: RunStores) -> None:
    by_state = await one_of_each(runs)

    for state, run_id in by_state.items():
        assert await ids(runs, RunFilter(state=(await runs.reader.get(ACME, run_id)).state)) == [run_id], state
        assert (await runs.reader.get(ACME, run_id)).state == state
    assert await ids(runs, RunFilter(state="skipped")) == []
    assert await ids(runs, EVERYTHING) == sorted(by_state.values(), reverse=True)


async def test_other_filters_hold_together_with_the_state(runs: RunStores) -> None:
    by_state = await one_of_each(runs)

    assert await ids(runs, RunFilter(schedule_id=SCHEDULE)) == [by_state["scheduled"], by_state["failed"]]
    assert await ids(runs, RunFilter(schedule_id=SCHEDULE, state="failed")) == [by_state["failed"]]
    assert await ids(runs, RunFilter(schedule_id=SCHEDULE, state="scheduled")) == [by_state["scheduled"]]
    assert await ids(runs, RunFilter(schedule_id=SCHEDULE, state="running")) == []
    assert await ids(runs, RunFilter(task="a")) == [by_state["succeeded"]]
    assert await ids(runs, RunFilter(task="d", state="running")) == [by_state["running"]]
    assert await ids(runs, RunFilter(queue="slow")) == [by_state["queued"]]
    assert await ids(runs, RunFilter(queue="slow", state="failed")) == []
    assert await ids(runs, RunFilter(schedule_id=ScheduleId("no uuid"))) == []
    assert await ids(runs, RunFilter(created_after=START + timedelta(seconds=2))) == []
    assert await ids(runs, RunFilter(created_after=START)) == [
        by_state[state] for state in ("scheduled", "queued", "running")
    ]


@pytest.mark.parametrize(
    "where", [EVERYTHING, RunFilter(state="queued"), RunFilter(schedule_id=SCHEDULE), RunFilter(state="cancelled")]
)
async def test_cursor_and_offset_walk_the_same_list_newest_first(runs: RunStores, where: RunFilter) -> None:
    made = await runs.enqueue(*(draft(schedule_id=SCHEDULE) for _ in range(7)))
    if where.state == "cancelled":
        for run_id in made:
            await runs.control.cancel_if_live(ACME, run_id, AUDIT)

    by_cursor: list[Run] = []
    cursor: str | None = None
    while True:
        page = await runs.reader.page(ACME, where, PageRequest(3, 0, cursor))
        assert page.total_count == 7
        by_cursor += page.items
        if (cursor := page.next_cursor) is None:
            break
    by_offset = [run for n in (0, 3, 6) for run in (await runs.reader.page(ACME, where, PageRequest(3, n))).items]

    assert [run.id for run in by_cursor] == made[::-1]
    assert by_offset == by_cursor


@pytest.mark.parametrize("cursor", ["x", "WyJ4Il0"])
async def test_a_foreign_cursor_is_refused_by_name(runs: RunStores, cursor: str) -> None:
    with pytest.raises(DomainError) as refused:
        await runs.reader.page(ACME, EVERYTHING, PageRequest(cursor=cursor))

    assert [problem.field for problem in refused.value.problems] == ["cursor"]


async def test_another_tenants_run_answers_as_one_that_does_not_exist(runs: RunStores) -> None:
    (run_id,) = await runs.enqueue(draft())

    for name in (run_id, RunId(new_id()), RunId("no uuid")):
        for ask in (
            runs.reader.get(GLOBEX, name),
            runs.reader.attempts(GLOBEX, name),
            runs.reader.log_lines(GLOBEX, name, (0, 0), 10),
        ):
            with pytest.raises(DomainError) as refused:
                await ask
            assert refused.value.code == "NOT_FOUND"


async def test_attempts_are_told_in_order_with_the_open_or_successful_one_last(runs: RunStores) -> None:
    worker_id, first = await runs.claim_one()
    await runs.base.clock.advance(1)
    failed = retry(first, error_json='{"message":"boom","type":"ValueError"}')
    await runs.claims.settle_batch([failed])
    (second,) = await runs.claim(worker_id)
    opened = await runs.reader.attempts(ACME, first.run_id)
    await runs.base.clock.advance(2)
    await runs.claims.settle_batch([success(second)])
    closed = await runs.reader.attempts(ACME, first.run_id)

    assert [(a.attempt_no, a.outcome, a.worker_id) for a in opened] == [(1, "failed", worker_id), (2, None, worker_id)]
    assert [(a.attempt_no, a.outcome, a.worker_id) for a in closed] == [
        (1, "failed", worker_id),
        (2, "succeeded", worker_id),
    ]
    assert opened[0] == closed[0]
    assert opened[0].error is not None
    assert opened[0].error.type == "ValueError"
    assert (closed[1].started_at, closed[1].finished_at) == (
        START + timedelta(seconds=1),
        START + timedelta(seconds=3),
    )


async def test_log_lines_are_read_behind_a_place_and_a_repeated_flush_changes_nothing(runs: RunStores) -> None:
    _, claimed = await runs.claim_one()
    lines = [LogLine(claimed.run_id, no, seq, START, "stdout", f"{no}.{seq}") for no in (1, 2) for seq in (1, 2, 3)]
    await runs.claims.append_log_lines(lines[::-1], [ACME] * 6)
    await runs.claims.append_log_lines([LogLine(claimed.run_id, 1, 1, START, "stderr", "other")], [ACME])
    await runs.claims.append_log_lines([], [])

    assert list(await runs.reader.log_lines(ACME, claimed.run_id, (0, 0), 100)) == lines
    assert list(await runs.reader.log_lines(ACME, claimed.run_id, (1, 2), 2)) == lines[2:4]


async def test_tails_are_the_last_lines_of_each_run_of_the_tenant(runs: RunStores) -> None:
    silent, talking, foreign = (
        *await runs.enqueue(draft(), draft()),
        *await runs.enqueue(draft(tenant_id=GLOBEX)),
    )
    lines = [LogLine(talking, no, seq, START, "stdout", f"{no}.{seq}") for no in (1, 2) for seq in (1, 2, 10)]
    await runs.claims.append_log_lines(lines, [ACME] * 6)
    await runs.claims.append_log_lines([LogLine(foreign, 1, 1, START, "stdout", "secret")], [GLOBEX])
    wanted = [silent, talking, foreign, RunId(new_id()), RunId("no uuid")]

    assert await runs.reader.log_tails(ACME, wanted, 1) == {talking: (lines[-1],)}
    assert await runs.reader.log_tails(ACME, wanted, 4) == {talking: tuple(lines[-4:])}
    assert await runs.reader.log_tails(ACME, [], 4) == {}


async def test_the_latest_runs_of_each_schedule_are_found_beside_a_frequent_one(runs: RunStores) -> None:
    often, rarely, never = SCHEDULE, ScheduleId(new_id()), ScheduleId(new_id())
    (rare,) = await runs.enqueue(draft(schedule_id=rarely))
    worker_id = await runs.worker()
    await runs.claims.settle_batch([success(claimed) for claimed in await runs.claim(worker_id)])
    frequent = await runs.enqueue(*(draft(schedule_id=often) for _ in range(5)))
    await runs.claim(worker_id, 4)
    await runs.enqueue(draft(schedule_id=rarely, tenant_id=GLOBEX))
    wanted = [often, rarely, never, ScheduleId("no uuid")]

    latest = await runs.reader.latest_of_schedules(ACME, wanted, 3)

    assert {schedule: [mark.id for mark in marks] for schedule, marks in latest.items()} == {
        often: frequent[:1:-1],
        rarely: [rare],
    }
    for marks in latest.values():
        for mark in marks:
            run = await runs.reader.get(ACME, mark.id)
            assert (mark.state, mark.due_at) == (run.state, run.due_at)


async def test_a_line_with_a_nul_is_stored_with_a_mark_in_its_place(runs: RunStores) -> None:
    _, claimed = await runs.claim_one()
    await runs.claims.append_log_lines([LogLine(claimed.run_id, 1, 1, START, "stdout", "a\x00b")], [ACME])

    (line,) = await runs.reader.log_lines(ACME, claimed.run_id, (0, 0), 10)
    assert line.text == "a\ufffdb"


async def test_counts_by_state_cover_live_runs_and_those_that_ended_lately(runs: RunStores) -> None:
    await one_of_each(runs)
    now = await runs.reader.count_by_state(ACME, 1)
    # The window begins with an hour: with the one that an hour ago was part of.
    await runs.base.clock.set(START + timedelta(seconds=2 * 3600 - 1))
    still = await runs.reader.count_by_state(ACME, 1)
    await runs.base.clock.advance(1)
    later = await runs.reader.count_by_state(ACME, 1)

    ended = dict.fromkeys(("succeeded", "failed", "cancelled"), 1)
    assert now == ended | dict.fromkeys(("running", "queued", "scheduled"), 1)
    assert still == ended | {"running": 1, "queued": 2}
    assert later == {"running": 1, "queued": 2}


async def test_a_run_that_waits_for_its_next_try_shows_its_last_error(runs: RunStores) -> None:
    worker_id, claimed = await runs.claim_one()
    await runs.claims.settle_batch([retry(claimed, error_json='{"message": "first", "type": "E"}')])
    (again,) = await runs.claim(worker_id)
    running = await runs.reader.get(ACME, claimed.run_id)
    await runs.claims.settle_batch([retry(again, 30, error_json='{"message": "second", "type": "E"}')])
    waiting = await runs.reader.get(ACME, claimed.run_id)
    await runs.base.clock.advance(30)
    (last,) = await runs.claim(worker_id)
    await runs.claims.give_back_batch([last])
    given_back = await runs.reader.get(ACME, claimed.run_id)
    (last,) = await runs.claim(worker_id)
    await runs.claims.settle_batch([success(last)])
    ended = await runs.reader.get(ACME, claimed.run_id)

    assert [run.error and run.error.message for run in (running, waiting, given_back, ended)] == [
        None,
        "second",
        "second",
        None,
    ]
