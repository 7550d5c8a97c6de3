import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from rota.core.fan_out import canonical_item, decide_end, distinct_items, fan_out_of, first_slice
from rota.domain.errors import DomainError, Stale
from rota.domain.fan_out import (
    SEGMENT_BYTES_MAX,
    FanOut,
    SegmentCounts,
    SegmentRef,
    TaskSelector,
)
from rota.domain.ids import RunId
from rota.domain.limit import Limit
from rota.domain.page import PageRequest
from rota.domain.policies import RunPolicy
from rota.domain.run import AWAITING_SEGMENTS, ClaimedRun, Settlement
from rota.domain.targets import SegmentTarget, TaskTarget
from rota.ports.fan_out_store import FanOutKeeping, FanOutLook, FanOutPlans, ImpactReader, Launch, PlanningAttempt
from rota.storage.memory.fan_outs import MemoryFanOutKeeping, MemoryFanOutPlans, MemoryImpactReader
from rota.storage.postgres.fan_outs import PostgresFanOutKeeping, PostgresFanOutPlans, PostgresImpactReader
from tests.contract.records import ACME, GLOBEX
from tests.contract.run_stores import AUDIT, RunStores, draft, retry, success
from tests.contract.stores import START

ALL = PageRequest(limit=500)


@dataclass(frozen=True)
class FanOuts:
    runs: RunStores
    plans: FanOutPlans
    keeping: FanOutKeeping
    impacts: ImpactReader

    async def claim_planner(self, fan_out: FanOut, **fields: object) -> tuple[PlanningAttempt, ClaimedRun]:
        target = TaskTarget("scan", {"depth": 2}, fan_out)
        _, claimed = await self.runs.claim_one(replace(draft(target=target), **fields))
        return attempt_of(claimed), claimed

    async def plan(self, attempt: PlanningAttempt, fan_out: FanOut, items: Sequence[str]) -> Launch:
        await self.plans.stage_items(attempt, items)
        while not (await self.plans.cut_segments(attempt, fan_out.segment_size, 2)).is_all:
            pass
        return await self.plans.launch(attempt, fan_out)

    async def launched(self, fan_out: FanOut, count: int, **fields: object) -> RunId:
        attempt, _ = await self.claim_planner(fan_out, **fields)
        assert (await self.plan(attempt, fan_out, texts(count))).outcome == "launched"
        return attempt.run_id

    async def children(self, run_id: RunId) -> list[RunId]:
        page = await self.impacts.page_segments(ACME, run_id, ALL)
        return [segment.child_run_id for segment in page.items if segment.child_run_id is not None]

    async def counts(self, run_id: RunId) -> SegmentCounts:
        return (await self.impacts.get(ACME, run_id)).segments

    async def work_off(self) -> None:
        """What the leader does, until nothing is left to be done."""
        while await self.keeping.stop_segments(2) or await self.keeping.end_segments(2):
            pass
        ended = await self.keeping.list_ended(10)
        await self.runs.claims.settle_batch([decide_end(one) for one in ended])
        await self.keeping.close(ended)


def attempt_of(claimed: ClaimedRun) -> PlanningAttempt:
    return PlanningAttempt(claimed.tenant_id, claimed.run_id, claimed.token)


def texts(count: int) -> list[str]:
    return [canonical_item(f"image-{n:03d}") for n in range(count)]


def failure(claimed: ClaimedRun) -> Settlement:
    return Settlement(claimed.run_id, claimed.token, "fail", "failed", "broken", dead_letter=True)


SELECTOR = TaskSelector("images.of", {"namespaces": [], "labels": {}})
FAN_OUT = FanOut(SELECTOR, segment_size=3)


@pytest.fixture
def fan_outs(backend: str, runs: RunStores, request: pytest.FixtureRequest) -> FanOuts:
    if backend == "memory":
        database = request.getfixturevalue("memory_database")
        return FanOuts(runs, MemoryFanOutPlans(database), MemoryFanOutKeeping(database), MemoryImpactReader(database))
    service, api = request.getfixturevalue("service_pool"), request.getfixturevalue("api_pool")
    return FanOuts(runs, PostgresFanOutPlans(service), PostgresFanOutKeeping(service), PostgresImpactReader(api))


async def test_a_plan_becomes_one_snapshot_sorted_and_distinct_with_its_selector_as_given(fan_outs: FanOuts) -> None:
    attempt, _ = await fan_outs.claim_planner(FAN_OUT)
    await fan_outs.plans.stage_items(attempt, [canonical_item(one) for one in ("b", "a", "é", "B", {"k": 1})])
    launch = await fan_outs.plan(attempt, FAN_OUT, [canonical_item("a"), canonical_item(10)])
    impact = await fan_outs.impacts.get(ACME, attempt.run_id)

    assert launch == Launch("launched", 6, 2)
    assert impact.snapshot.selector == SELECTOR
    assert (impact.snapshot.items_total, impact.snapshot.segments_count) == (6, 2)
    assert impact.segments == SegmentCounts(queued=2)
    found = await fan_outs.impacts.page_items(ACME, attempt.run_id, ALL)
    assert [canonical_item(one) for one in found.items] == sorted(canonical_item(one) for one in found.items)
    assert set(map(canonical_item, found.items)) == set(map(canonical_item, ("b", "a", "é", "B", {"k": 1}, 10)))
    first, last = (await fan_outs.impacts.page_segments(ACME, attempt.run_id, ALL)).items
    assert (first.items_count, last.items_count, first.first_item, last.last_item) == (3, 3, "B", {"k": 1})
    assert (first.state, last.state) == ("queued", "queued")


async def test_items_and_segments_are_paged_by_cursor_and_by_offset(fan_outs: FanOuts) -> None:
    run_id = await fan_outs.launched(FAN_OUT, 10)
    for read in (fan_outs.impacts.page_items, fan_outs.impacts.page_segments):
        every: Any = (await read(ACME, run_id, ALL)).items
        walked, cursor = list[Any](), None
        while True:
            page: Any = await read(ACME, run_id, PageRequest(limit=3, cursor=cursor))
            walked, cursor = [*walked, *page.items], page.next_cursor
            assert page.total_count == len(every)
            if cursor is None:
                break
        assert tuple(walked) == tuple(every)
        assert (await read(ACME, run_id, PageRequest(limit=2, offset=1))).items == every[1:3]
        with pytest.raises(DomainError, match="cursor"):
            await read(ACME, run_id, PageRequest(cursor="nonsense"))


async def test_the_run_waits_held_by_nobody_and_its_children_are_claimed(fan_outs: FanOuts) -> None:
    run_id = await fan_outs.launched(FAN_OUT, 7, priority=4, policy=RunPolicy(timeout_seconds=9.0))
    parent = await fan_outs.runs.reader.get(ACME, run_id)
    worker = await fan_outs.runs.worker()
    claimed = await fan_outs.runs.claim(worker)

    assert (parent.state, parent.worker_id) == ("running", None)
    assert [one.target for one in claimed] == [SegmentTarget(run_id, n, "scan") for n in (1, 2, 3)]
    assert {one.policy.timeout_seconds for one in claimed} == {9.0}
    assert await fan_outs.runs.claims.list_held(AWAITING_SEGMENTS, 10) != ()
    assert await fan_outs.counts(run_id) == SegmentCounts(running=3)
    child = await fan_outs.runs.reader.get(ACME, claimed[0].run_id)
    assert (child.priority, child.reason) == (4, f"segment 1 of 3 of run {run_id}")


@pytest.mark.parametrize("is_set_later", [False, True])
async def test_a_waiting_run_does_not_take_the_room_of_its_segments(fan_outs: FanOuts, *, is_set_later: bool) -> None:
    runs = fan_outs.runs
    one = Limit("queue", "default", START, "root", 1)
    if not is_set_later:
        await runs.limits.put(one, AUDIT)
    run_id = await fan_outs.launched(FanOut(TaskSelector("find"), 1), 2)
    if is_set_later:
        await runs.limits.put(one, AUDIT)
    assert (await runs.limits.get("queue", "default")).room == 1
    worker_id = await runs.worker()
    (first,) = await runs.claim(worker_id)
    assert await runs.claim(worker_id) == []
    await runs.claims.settle_batch([success(first)])
    (second,) = await runs.claim(worker_id)
    assert {first.run_id, second.run_id} == set(await fan_outs.children(run_id))


async def test_a_waiting_run_is_neither_lost_nor_overdue(fan_outs: FanOuts) -> None:
    run_id = await fan_outs.launched(FAN_OUT, 3, policy=RunPolicy(timeout_seconds=1.0))
    await fan_outs.runs.base.clock.advance(3_600)

    lost = [one.claimed.run_id for one in await fan_outs.runs.claims.find_lost(0.0, 10)]
    since = await fan_outs.runs.claims.find_lost(0.0, 10, overdue_since=(await fan_outs.runs.base.clock.now()))

    assert lost == []
    assert since == ()
    assert (await fan_outs.runs.reader.get(ACME, run_id)).state == "running"


async def test_a_segment_is_read_with_its_items_for_its_own_tenant_only(fan_outs: FanOuts) -> None:
    run_id = await fan_outs.launched(FAN_OUT, 5)
    second, missing = SegmentRef(run_id, 2), SegmentRef(run_id, 9)

    assert await fan_outs.plans.read_slices([(ACME, second), (ACME, missing)]) == {
        second: TaskTarget("scan", {"depth": 2, "items": ["image-003", "image-004"]})
    }
    assert await fan_outs.plans.read_slices([(GLOBEX, second)]) == {}
    assert await fan_outs.plans.has_snapshot(ACME, run_id)
    assert not await fan_outs.plans.has_snapshot(GLOBEX, run_id)


async def test_the_impact_of_another_tenant_reads_as_unknown(fan_outs: FanOuts) -> None:
    run_id = await fan_outs.launched(FAN_OUT, 5)
    for name in (run_id, RunId("nonsense"), RunId("00000000-0000-7000-8000-000000000000")):
        for read in (fan_outs.impacts.page_items, fan_outs.impacts.page_segments):
            with pytest.raises(DomainError, match="there is no impact"):
                await read(GLOBEX, name, ALL)
        with pytest.raises(DomainError, match="there is no impact"):
            await fan_outs.impacts.get(GLOBEX, name)


async def test_a_stale_attempt_plans_nothing_and_what_it_left_is_in_no_snapshot(fan_outs: FanOuts) -> None:
    old, claimed = await fan_outs.claim_planner(FAN_OUT)
    await fan_outs.plans.stage_items(old, texts(9)[4:])
    await fan_outs.runs.claims.settle_batch([retry(claimed)])
    (again,) = await fan_outs.runs.claim(await fan_outs.runs.worker())

    with pytest.raises(Stale):
        await fan_outs.plans.stage_items(old, texts(1))
    assert (await fan_outs.plans.launch(old, FAN_OUT)).outcome == "stale"
    assert await fan_outs.plan(attempt_of(again), FAN_OUT, texts(3)) == Launch("launched", 3, 1)
    assert (await fan_outs.impacts.page_items(ACME, old.run_id, ALL)).total_count == 3


async def test_launching_twice_makes_no_child_twice(fan_outs: FanOuts) -> None:
    attempt, claimed = await fan_outs.claim_planner(FAN_OUT)
    first = await fan_outs.plan(attempt, FAN_OUT, texts(7))
    children = await fan_outs.children(attempt.run_id)

    assert await asyncio.gather(*[fan_outs.plans.launch(attempt, FAN_OUT) for _ in range(3)]) == [first] * 3
    assert await fan_outs.children(attempt.run_id) == children
    (result,) = await fan_outs.runs.claims.settle_batch([success(claimed)])
    assert not result.accepted


async def test_a_run_ends_with_its_last_segment(fan_outs: FanOuts) -> None:
    run_id = await fan_outs.launched(FAN_OUT, 7)
    assert await fan_outs.keeping.look() == FanOutLook(has_open=True, must_stop=False, has_ended=False)
    claimed = await fan_outs.runs.claim(await fan_outs.runs.worker())
    await fan_outs.runs.claims.settle_batch([success(claimed[0]), success(claimed[1])])
    await fan_outs.work_off()
    assert (await fan_outs.runs.reader.get(ACME, run_id)).state == "running"
    assert await fan_outs.counts(run_id) == SegmentCounts(running=1, succeeded=2)

    await fan_outs.runs.claims.settle_batch([success(claimed[2], result_json="1")])
    await fan_outs.keeping.end_segments(10)
    assert (await fan_outs.keeping.look()).has_ended
    await fan_outs.work_off()

    ended = await fan_outs.runs.reader.get(ACME, run_id)
    assert (ended.state, ended.worker_id, ended.attempts_count) == ("succeeded", None, 1)
    assert ended.result == {"items_total": 7, "segments_count": 3, "succeeded": 3, "failed": 0, "cancelled": 0}
    assert await fan_outs.keeping.look() == FanOutLook(has_open=False, must_stop=False, has_ended=False)
    assert "FanOutLaunched" in await fan_outs.runs.event_types()


async def test_an_end_is_counted_once_however_many_leaders_count(fan_outs: FanOuts) -> None:
    run_id = await fan_outs.launched(FAN_OUT, 30)
    claimed = await fan_outs.runs.claim(await fan_outs.runs.worker())
    await fan_outs.runs.claims.settle_batch([success(one, result_json=str(n)) for n, one in enumerate(claimed)])

    taken = await asyncio.gather(*[fan_outs.keeping.end_segments(4) for _ in range(8)])
    await fan_outs.work_off()

    assert sum(taken) <= 10
    assert await fan_outs.counts(run_id) == SegmentCounts(succeeded=10)
    assert (await fan_outs.runs.reader.get(ACME, run_id)).state == "succeeded"


@pytest.mark.parametrize(("tolerated", "state"), [(0, "failed"), (1, "succeeded")])
async def test_segments_without_success_fail_the_run_beyond_the_tolerance(
    fan_outs: FanOuts, tolerated: int, state: str
) -> None:
    run_id = await fan_outs.launched(replace(FAN_OUT, tolerated_failures=tolerated), 6)
    first, second = await fan_outs.runs.claim(await fan_outs.runs.worker())
    await fan_outs.runs.claims.settle_batch([failure(first), success(second)])
    await fan_outs.work_off()

    run = await fan_outs.runs.reader.get(ACME, run_id)
    assert (run.state, run.dead_lettered) == (state, state == "failed")
    assert run.result["failed"] == 1


async def test_too_many_failures_cancel_the_others_where_that_is_asked_for(fan_outs: FanOuts) -> None:
    run_id = await fan_outs.launched(replace(FAN_OUT, on_segment_failure="cancel_others"), 15)
    first, second = await fan_outs.runs.claim(await fan_outs.runs.worker(), 2)
    await fan_outs.runs.claims.settle_batch([failure(first)])
    await fan_outs.work_off()
    assert await fan_outs.counts(run_id) == SegmentCounts(running=1, failed=1, cancelled=3)

    await fan_outs.runs.claims.settle_batch([success(second)])
    await fan_outs.work_off()
    run = await fan_outs.runs.reader.get(ACME, run_id)
    assert (run.state, run.result["succeeded"]) == ("failed", 1)


async def test_cancelling_a_waiting_run_cancels_its_children(fan_outs: FanOuts) -> None:
    run_id = await fan_outs.launched(FAN_OUT, 9)
    worker = await fan_outs.runs.worker()
    (running,) = await fan_outs.runs.claim(worker, 1)
    await fan_outs.runs.control.cancel_if_live(ACME, run_id, AUDIT)
    assert (await fan_outs.keeping.look()).must_stop
    await fan_outs.work_off()

    assert await fan_outs.counts(run_id) == SegmentCounts(running=1, cancelled=2)
    renewal = await fan_outs.runs.workers.renew_if_live(worker, ("default",), 60.0)
    assert renewal is not None
    assert running.run_id in renewal.cancel_run_ids
    cancelled = Settlement(running.run_id, running.token, "cancel", "cancelled", "asked")
    await fan_outs.runs.claims.settle_batch([cancelled])
    await fan_outs.work_off()
    run = await fan_outs.runs.reader.get(ACME, run_id)
    assert (run.state, run.result["cancelled"]) == ("cancelled", 3)


async def test_a_run_that_was_cancelled_while_it_was_planned_is_not_launched(fan_outs: FanOuts) -> None:
    attempt, _ = await fan_outs.claim_planner(FAN_OUT)
    await fan_outs.runs.control.cancel_if_live(ACME, attempt.run_id, AUDIT)
    assert (await fan_outs.plan(attempt, FAN_OUT, texts(3))).outcome == "cancelled"
    assert not await fan_outs.plans.has_snapshot(ACME, attempt.run_id)


async def test_a_waiting_run_times_out_by_the_fan_outs_own_time(fan_outs: FanOuts) -> None:
    run_id = await fan_outs.launched(replace(FAN_OUT, timeout_seconds=50.0), 6)
    await fan_outs.runs.base.clock.advance(49)
    assert not (await fan_outs.keeping.look()).must_stop
    await fan_outs.runs.base.clock.advance(1)
    await fan_outs.work_off()

    run = await fan_outs.runs.reader.get(ACME, run_id)
    assert (run.state, run.dead_lettered, run.result["cancelled"]) == ("failed", True, 2)
    (attempt,) = await fan_outs.runs.reader.attempts(ACME, run_id)
    assert (attempt.outcome, attempt.worker_id) == ("timed_out", None)


@pytest.mark.parametrize("only", [True, False], ids=["plan_only", "no_work"])
async def test_a_plan_without_anything_to_launch_is_left_to_be_settled(fan_outs: FanOuts, *, only: bool) -> None:
    fan_out = replace(FAN_OUT, plan_only=only)
    attempt, claimed = await fan_outs.claim_planner(fan_out)
    launch = await fan_outs.plan(attempt, fan_out, texts(4) if only else [])

    assert launch == (Launch("planned", 4, 2) if only else Launch("planned", 0, 0))
    assert (await fan_outs.counts(attempt.run_id)).total == 0
    (result,) = await fan_outs.runs.claims.settle_batch([success(claimed)])
    assert result.accepted


async def test_a_retry_covers_what_did_not_succeed(fan_outs: FanOuts) -> None:
    run_id = await fan_outs.launched(FAN_OUT, 9)
    first, second, third = await fan_outs.runs.claim(await fan_outs.runs.worker())
    await fan_outs.runs.claims.settle_batch([failure(first), success(second), failure(third)])
    await fan_outs.work_off()

    clone = await fan_outs.runs.control.clone_if_terminal(ACME, run_id, AUDIT)
    again = fan_out_of(clone.target)
    assert again is not None
    assert (again.again_for, again.selector) == (run_id, SELECTOR)
    (claimed,) = await fan_outs.runs.claim(await fan_outs.runs.worker())
    attempt, after = attempt_of(claimed), 0
    while (last := await fan_outs.plans.stage_unsuccessful(attempt, run_id, after, 1)) is not None:
        after = last
    assert await fan_outs.plan(attempt, again, []) == Launch("launched", 6, 2)
    items = (await fan_outs.impacts.page_items(ACME, clone.id, ALL)).items
    assert items == tuple(f"image-{n:03d}" for n in (0, 1, 2, 6, 7, 8))
    foreign = PlanningAttempt(GLOBEX, attempt.run_id, attempt.token)
    assert await fan_outs.plans.stage_unsuccessful(foreign, run_id, 0, 5) is None


async def test_segments_are_bounded_by_their_bytes(fan_outs: FanOuts) -> None:
    fan_out = replace(FAN_OUT, segment_size=1_000)
    items = distinct_items(f"{n:04d}" + "é" * 900 for n in range(300))
    attempt, _ = await fan_outs.claim_planner(fan_out)
    launch = await fan_outs.plan(attempt, fan_out, items)

    rest, expected = items, list[int]()
    while rest:
        expected.append(len(first_slice(rest, 1_000, SEGMENT_BYTES_MAX)))
        rest = rest[expected[-1] :]
    segments = (await fan_outs.impacts.page_segments(ACME, attempt.run_id, ALL)).items
    assert [segment.items_count for segment in segments] == expected
    assert launch.segments_count == len(expected) > 1
