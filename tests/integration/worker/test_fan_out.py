"""Fan-outs on real workers: resolvers, segments, kills."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from msgspec import json
from msgspec.structs import replace

from rota.adapters.system_clock import SystemClock
from rota.domain.fan_out import FanOut, HttpSelector, SegmentCounts, Selector, StaticSelector, TaskSelector
from rota.domain.ids import RunId
from rota.domain.page import PageRequest
from rota.domain.policies import RetryPolicy
from rota.domain.run import Run
from rota.domain.targets import HttpTarget, TaskTarget
from rota.services.fan_out_watch import FanOutWatch, SegmentFollower
from tests.integration.worker.conftest import ACME, AT_ONCE, AUDIT, House
from tests.support.waiting import wait_until

APP = "tests.integration.worker.item_handlers:app"
ONCE = RetryPolicy(attempts_max=1)
ALL = PageRequest(limit=500)


class AlwaysLeads:
    def fence(self) -> object:
        return object()

    def subscribe(self) -> asyncio.Event:
        return asyncio.Event()


@asynccontextmanager
async def leading(house: House) -> AsyncGenerator[None]:
    """What the leader does for fan-outs."""
    follower = SegmentFollower(house.keeping)
    leader: Any = AlwaysLeads()
    watch = FanOutWatch(house.keeping, house.claims, follower, leader, house.wakeups, clock=SystemClock())

    async def follow() -> None:
        while True:
            await follower.work_off()
            await SystemClock().sleep(0.02)

    tasks = [asyncio.create_task(watch.run()), asyncio.create_task(follow())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def scan(house: House, selector: Selector, task: str = "scan", **fields: Any) -> TaskTarget:
    args = {"marks": str(house.marks), **fields.pop("args", {})}
    return TaskTarget(task, args, replace(FanOut(selector, 4), **fields))


async def ended_after(house: House, target: TaskTarget | HttpTarget, retry: RetryPolicy = ONCE) -> Run:
    async with leading(house):
        return await house.ended(await house.one(target, retry=retry), 30)


async def segments(house: House, run_id: RunId) -> SegmentCounts:
    return (await house.impacts.get(ACME, run_id)).segments


RESOLVED: list[tuple[Selector, list[Any]]] = [
    (StaticSelector(["b", "a", "b"]), ["a", "b"]),
    (TaskSelector("listed", {"names": ["y", "x", "y"]}), ["x", "y"]),
    (TaskSelector("counted", {"count": 9}), [f"item-{n:06d}" for n in range(9)]),
    (TaskSelector("counted_async", {"count": 5}), [{"n": n} for n in range(5)]),
]


@pytest.mark.parametrize(("selector", "items"), RESOLVED, ids=["static", "list", "generator", "async generator"])
async def test_each_item_is_handled_once_in_a_segment_of_the_run(
    house: House, selector: Selector, items: list[Any]
) -> None:
    await house.start(app=APP)
    run = await ended_after(house, scan(house, selector))

    assert (run.state, run.result["items_total"], run.result["failed"]) == ("succeeded", len(items), 0)
    assert run.result["succeeded"] == -(-len(items) // 4)
    assert Counter(house.lines_of("scanned")) == Counter(str(item).replace(" ", "") for item in items)
    assert list((await house.impacts.page_items(ACME, run.id, ALL)).items) == items


@asynccontextmanager
async def serving(answer: Callable[[web.Request, bytes], web.Response]) -> AsyncGenerator[str]:
    async def handle(request: web.Request) -> web.Response:
        return answer(request, await request.read())

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_an_address_is_asked_page_by_page_and_segments_are_posted(house: House) -> None:
    asked, posted = list[str](), list[Any]()

    def answer(request: web.Request, body: bytes) -> web.Response:
        if request.method == "POST":
            posted.append(json.decode(body))
            return web.Response(status=204)
        asked.append(f"{request.path_qs} {request.headers['Authorization']}")
        if "page" in request.query:
            return web.json_response(["c"])
        return web.json_response({"items": ["b", "a"], "next": "?page=2"})

    async with serving(answer) as url:
        await house.start(app=APP, allow_targets=("127.0.0.0/8",))
        selector = HttpSelector(f"{url}/images", {"Authorization": "Bearer 1"})
        run = await ended_after(house, HttpTarget(f"{url}/scan", body={"depth": 1}, fan_out=FanOut(selector, 2)))

    assert (run.state, run.result["items_total"], run.result["succeeded"]) == ("succeeded", 3, 2)
    assert asked == ["/images Bearer 1", "/images?page=2 Bearer 1"]
    assert sorted(posted, key=str) == [{"depth": 1, "items": ["a", "b"]}, {"depth": 1, "items": ["c"]}]


async def test_an_address_that_is_not_allowed_is_not_asked(house: House) -> None:
    async with serving(lambda _, __: web.json_response(["a"])) as url:
        await house.start(app=APP)
        run = await ended_after(house, scan(house, HttpSelector(url)), AT_ONCE)

    assert (run.state, run.attempts_count) == ("failed", 1)
    assert run.error is not None
    assert "127.0.0.1" in run.error.message


@pytest.mark.parametrize(
    ("selector", "fields", "said"),
    [
        (TaskSelector("refusing"), {}, "the index is away"),
        (TaskSelector("wrong", {"value": "abc"}), {}, "returned a str"),
        (TaskSelector("wrong", {"value": ["x" * 3_000]}), {}, "at most 2000"),
        (TaskSelector("counted", {"count": 3_000}), {"segment_size": 1, "segments_max": 9}, "more than 9 segments"),
        (TaskSelector("unknown"), {}, "knows no task"),
    ],
    ids=["failure", "no items", "too large", "too many", "unknown"],
)
async def test_a_plan_that_fails_launches_nothing_and_says_why(
    house: House, selector: Selector, fields: dict[str, Any], said: str
) -> None:
    await house.start(app=APP)
    run = await ended_after(house, scan(house, selector, **fields))

    assert run.state == "failed"
    assert run.error is not None
    assert said in run.error.message
    assert house.lines_of("scanned") == []


async def test_no_items_are_no_work(house: House) -> None:
    await house.start(app=APP)
    run = await ended_after(house, scan(house, TaskSelector("listed", {"names": []})))
    assert (run.state, run.reason, run.result["segments_count"]) == (
        "succeeded",
        "no_work: the selector found no items",
        0,
    )


async def test_a_plan_alone_launches_nothing(house: House) -> None:
    await house.start(app=APP)
    run = await ended_after(house, scan(house, TaskSelector("counted", {"count": 9}), plan_only=True))
    assert (run.state, run.result) == ("succeeded", {"items_total": 9, "segments_count": 3})
    assert house.lines_of("scanned") == []


async def test_a_retry_does_the_failed_segments_only(house: House) -> None:
    await house.start(app=APP)
    broken = scan(house, TaskSelector("counted", {"count": 12}), args={"broken": "item-000005"})
    run = await ended_after(house, broken)
    assert (run.state, run.result["failed"], run.result["succeeded"]) == ("failed", 1, 2)

    async with leading(house):
        clone = await house.control.clone_if_terminal(ACME, run.id, AUDIT)
        house.wakeups.announce("queue:default")
        again = await house.ended(clone.id, 30)

    assert (again.state, again.retry_of, again.result["items_total"]) == ("failed", run.id, 4)
    counts = Counter(house.lines_of("scanned"))
    assert {item for item, count in counts.items() if count == 2} == {f"item-{n:06d}" for n in (4, 5, 6, 7)}


async def test_cancelling_reaches_the_running_segments(house: House) -> None:
    await house.start(app=APP)
    async with leading(house):
        run_id = await house.one(scan(house, TaskSelector("counted", {"count": 60}), "scan_slowly"))
        await house.began(count=8)
        await house.cancel(run_id)
        run = await house.ended(run_id, 20)
    assert (run.state, run.result["cancelled"]) == ("cancelled", 15)


async def test_a_planner_that_is_killed_midway_leaves_one_snapshot_of_one_resolution(house: House) -> None:
    first = house.start_process(app=APP)
    target = scan(house, TaskSelector("hesitant", {"marks": str(house.marks), "count": 4_000}), segment_size=500)
    run_id = await house.one(target, retry=AT_ONCE)
    await wait_until(lambda: house_items(house, run_id), 20, "items of the first attempt")
    first.end()
    house.start_process(app=APP)

    async def rescued() -> bool:
        return await house.rescue() > 0

    await wait_until(rescued, 15, "the rescue of the planner")
    async with leading(house):
        run = await house.ended(run_id, 30)

    assert (run.state, run.attempts_count, run.result["items_total"]) == ("succeeded", 2, 4_000)
    counts = Counter(house.lines_of("scanned"))
    assert (len(counts), set(counts.values())) == (4_000, {1})
    assert all(item.startswith("item-") for item in counts)
    assert await segments(house, run_id) == SegmentCounts(succeeded=8)


async def house_items(house: House, run_id: RunId) -> bool:
    return await house.staged_count(run_id) >= 3_000


async def test_a_hundred_thousand_items_are_planned_once_though_planners_die_while_finding_and_while_cutting(
    house: House,
) -> None:
    """The leader has no part in planning: chaos kills it while fan-outs are planned and ended."""
    target = scan(house, TaskSelector("counted", {"count": 100_000}), segment_size=50, segments_max=2_000)
    run_id = await house.one(target, retry=AT_ONCE)
    for has_come, what in ((house.staged_count, "items"), (house.cut_count, "segments")):
        planner = house.start_process(app=APP)

        async def midway(count_of: Callable[[RunId], Awaitable[int]] = has_come) -> bool:
            return await count_of(run_id) > 0

        await wait_until(midway, 60, f"{what} of a planner")
        planner.end()
        assert await house.children(run_id) == [], "the planner was faster than its death"

        async def rescued() -> bool:
            return await house.rescue() > 0

        await wait_until(rescued, 20, "the rescue of the planner")
    house.start_process(app=APP)

    async def launched() -> bool:
        return len(await house.children(run_id)) > 0

    await wait_until(launched, 60, "the plan")

    snapshot = (await house.impacts.get(ACME, run_id)).snapshot
    assert (snapshot.items_total, snapshot.segments_count) == (100_000, 2_000)
    assert [attempt.outcome for attempt in await house.attempts(run_id)] == ["lost", "lost", None]
    assert await house.covered_count(run_id) == 100_000
    assert await house.children(run_id) == list(range(1, 2_001))
