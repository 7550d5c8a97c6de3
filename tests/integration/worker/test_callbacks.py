"""HTTP targets that answer 202 and call back, on real workers against a real server."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from rota.adapters.system_clock import SystemClock
from rota.adapters.system_rng import SystemRng
from rota.domain.callback import CALLBACK_PATH, CallbackAnswer, CallbackError
from rota.domain.errors import DomainError
from rota.domain.ids import RunId
from rota.domain.policies import RetryPolicy
from rota.domain.targets import HttpTarget
from rota.services.callback_verbs import CallbackVerbs
from rota.services.callback_watch import CallbackWatch
from tests.integration.worker.conftest import AT_ONCE, PUBLIC_URL, House
from tests.support.waiting import wait_until

ONCE = RetryPolicy(attempts_max=1)
LOOPBACK = ("127.0.0.0/8",)


class AlwaysLeads:
    def fence(self) -> object:
        return object()

    def subscribe(self) -> asyncio.Event:
        return asyncio.Event()


class Receiver:
    """A target that takes work on and keeps the addresses that it was given."""

    def __init__(self, house: House) -> None:
        self.status = 202
        self.given: list[str] = []
        self.answer_before_replying: CallbackAnswer | None = None
        self._verbs = CallbackVerbs(house.answers, house.wakeups, SystemClock())
        app = web.Application()
        app.router.add_post("/work", self._handle)
        self.server = TestServer(app)

    async def _handle(self, request: web.Request) -> web.Response:
        self.given.append(request.headers.get("Rota-Callback-Url", ""))
        if self.answer_before_replying is not None:
            await self.call_back(self.answer_before_replying)
        return web.Response(status=self.status, text="taken")

    def target(self, **fields: Any) -> HttpTarget:
        return HttpTarget(str(self.server.make_url("/work")), accept_202="callback", **fields)

    async def call_back(self, answer: CallbackAnswer, place: int = -1) -> None:
        await self._verbs.answer(self.given[place].removeprefix(f"{PUBLIC_URL}{CALLBACK_PATH}"), answer)

    async def was_asked(self, count: int = 1) -> None:
        await wait_until(lambda: len(self.given) >= count, 15.0, f"request {count}")


@pytest.fixture
async def receiver(house: House) -> AsyncGenerator[Receiver]:
    made = Receiver(house)
    await made.server.start_server()
    yield made
    await made.server.close()


@asynccontextmanager
async def leading(house: House) -> AsyncGenerator[None]:
    leader: Any = AlwaysLeads()
    watch = CallbackWatch(house.callbacks, house.claims, leader, house.wakeups, clock=SystemClock(), rng=SystemRng(1))
    task = asyncio.create_task(watch.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def waits(house: House, run_id: RunId) -> None:
    """Until no worker holds it any more, although it runs."""

    async def look() -> bool:
        run = await house.run(run_id)
        return run.state == "running" and run.worker_id is None

    await wait_until(look, 15.0, "the run to wait")


async def test_a_run_waits_without_a_slot_and_ends_as_it_is_told(house: House, receiver: Receiver) -> None:
    await house.start(slots=1, allow_targets=LOOPBACK)
    first = await house.one(receiver.target(), retry=ONCE)
    await waits(house, first)
    assert receiver.given[0].startswith(f"{PUBLIC_URL}{CALLBACK_PATH}")

    async with leading(house):
        second = await house.one(receiver.target(), retry=ONCE)
        await receiver.was_asked(2)
        assert len(set(receiver.given)) == 2
        await receiver.call_back(CallbackAnswer("succeeded", {"rows": 3}), 0)
        failed = CallbackError("disk full", "DiskFull", retryable=False)
        await waits(house, second)
        await receiver.call_back(CallbackAnswer("failed", error=failed), 1)
        ended = [await house.ended(first), await house.ended(second)]

    assert [(run.state, run.result) for run in ended] == [("succeeded", {"rows": 3}), ("failed", None)]
    assert ended[1].error is not None
    assert (ended[1].error.message, ended[1].error.type) == ("disk full", "DiskFull")


async def test_an_answer_that_needs_no_callback_ends_the_run_at_once(house: House, receiver: Receiver) -> None:
    receiver.status = 200
    await house.start(allow_targets=LOOPBACK)
    run = await house.ended(await house.one(receiver.target()))
    assert (run.state, run.result["status"]) == ("succeeded", 200)
    with pytest.raises(DomainError, match="nobody waits for it"):
        await receiver.call_back(CallbackAnswer("succeeded"))


async def test_a_202_of_a_target_that_does_not_call_back_is_a_success(house: House, receiver: Receiver) -> None:
    await house.start(allow_targets=LOOPBACK)
    run = await house.ended(await house.one(HttpTarget(receiver.target().url)))
    assert (run.state, run.result["status"], receiver.given) == ("succeeded", 202, [""])


async def test_a_callback_may_come_before_the_answer_to_the_request(house: House, receiver: Receiver) -> None:
    receiver.answer_before_replying = CallbackAnswer("succeeded", "quick")
    await house.start(allow_targets=LOOPBACK)
    async with leading(house):
        run = await house.ended(await house.one(receiver.target()))
    assert (run.state, run.result, run.attempts_count) == ("succeeded", "quick", 1)


async def test_a_run_outlives_its_worker_while_it_waits_and_a_lost_attempt_gets_a_new_address(
    house: House, receiver: Receiver
) -> None:
    process = house.start_process(allow_targets=LOOPBACK, public_url=PUBLIC_URL, lease_seconds=3.0)
    waiting = await house.one(receiver.target())
    await waits(house, waiting)
    process.signal(signal.SIGKILL)
    process.wait_ended()
    await wait_until(lambda: house.workers.mark_lost(10), 15.0, "the end of the lease")
    assert await house.rescue() == 0

    await house.start(allow_targets=LOOPBACK)
    again = await house.one(receiver.target(), retry=AT_ONCE)
    await receiver.was_asked(2)
    async with leading(house):
        await waits(house, again)
        await receiver.call_back(CallbackAnswer("failed", error=CallbackError("try again")), 1)
        await receiver.was_asked(3)
        with pytest.raises(DomainError, match="answered before"):
            await receiver.call_back(CallbackAnswer("succeeded", "of the first attempt"), 1)
        await receiver.call_back(CallbackAnswer("succeeded", "of the second"), 2)
        await receiver.call_back(CallbackAnswer("succeeded", "survived"), 0)
        ended = [await house.ended(waiting), await house.ended(again)]
    assert [(run.result, run.attempts_count) for run in ended] == [("survived", 1), ("of the second", 2)]


async def test_cancelling_and_waiting_too_long_end_a_run_that_waits(house: House, receiver: Receiver) -> None:
    await house.start(allow_targets=LOOPBACK)
    cancelled = await house.one(receiver.target())
    late = await house.one(receiver.target(callback_timeout_seconds=1.0), retry=ONCE)
    await waits(house, cancelled)
    async with leading(house):
        await house.cancel(cancelled)
        assert (await house.ended(cancelled)).state == "cancelled"
        run = await house.ended(late)
    (attempt,) = await house.attempts(late)
    assert (run.state, attempt.outcome) == ("failed", "timed_out")
    assert run.error is not None
    assert run.error.message == "202 was answered, but its callback did not come within 1 s"
