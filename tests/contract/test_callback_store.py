from dataclasses import dataclass
from datetime import timedelta

import pytest
from msgspec import json

from rota.core.callbacks import decide_wait_end
from rota.domain.callback import OpenedCallback
from rota.domain.limit import Limit
from rota.domain.policies import RetryPolicy, RunPolicy
from rota.domain.run import ClaimedRun, Run, RunError
from rota.domain.targets import HttpTarget
from rota.ports.callback_store import CallbackAnswers, CallbackKeeping, CallbackLook, CallbackWaits
from rota.storage.memory.callbacks import MemoryCallbacks
from rota.storage.postgres.callbacks import (
    PostgresCallbackAnswers,
    PostgresCallbackKeeping,
    PostgresCallbackWaits,
)
from tests.contract.records import ACME
from tests.contract.run_stores import AUDIT, RunStores, draft, retry, success
from tests.contract.stores import START, StoreClock
from tests.unit.core.values import LoadedDice

HTTP = HttpTarget("https://example.com/hook", accept_202="callback")
SECRET = b"s" * 32
WAIT_SECONDS = 60.0
DAY = 86_400.0


@dataclass(frozen=True)
class Callbacks:
    runs: RunStores
    waits: CallbackWaits
    answers: CallbackAnswers
    keeping: CallbackKeeping

    async def opened(self, secret: bytes = SECRET, policy: RunPolicy | None = None) -> ClaimedRun:
        """A run that a worker holds, with an address for its attempt."""
        _, claimed = await self.runs.claim_one(draft(target=HTTP, policy=policy or RunPolicy()))
        await self.open(claimed, secret)
        return claimed

    async def open(self, claimed: ClaimedRun, secret: bytes) -> None:
        one = OpenedCallback(secret, claimed.tenant_id, claimed.run_id, claimed.token, WAIT_SECONDS, DAY)
        await self.waits.open([one])

    async def await_answer(self, claimed: ClaimedRun) -> str:
        (outcome,) = await self.waits.await_answers([(claimed.run_id, claimed.token)])
        return outcome

    async def waiting(self, policy: RunPolicy | None = None) -> ClaimedRun:
        claimed = await self.opened(policy=policy)
        assert await self.await_answer(claimed) == "waiting"
        return claimed

    async def succeed(self, secret: bytes = SECRET, result: str = '{"rows":3}') -> str:
        return await self.answers.answer(secret, "succeeded", result, None)

    async def fail(self, error: RunError) -> str:
        return await self.answers.answer(SECRET, "failed", None, json.encode(error).decode())

    async def work_off(self) -> None:
        """What the leader does."""
        ended = await self.keeping.list_ended(10)
        live = [one for one in ended if one.claimed is not None]
        await self.runs.claims.settle_batch([decide_wait_end(one, LoadedDice(1.0)) for one in live])
        await self.keeping.close(ended)

    async def run(self, claimed: ClaimedRun) -> Run:
        return await self.runs.reader.get(ACME, claimed.run_id)


@pytest.fixture
def callbacks(backend: str, runs: RunStores, request: pytest.FixtureRequest) -> Callbacks:
    if backend == "memory":
        memory = MemoryCallbacks(request.getfixturevalue("memory_database"))
        return Callbacks(runs, memory, memory, memory)
    service = request.getfixturevalue("service_pool")
    return Callbacks(
        runs,
        PostgresCallbackWaits(service),
        PostgresCallbackAnswers(request.getfixturevalue("api_pool")),
        PostgresCallbackKeeping(service),
    )


NOTHING = CallbackLook(has_waiting=False, has_ended=False, has_aged=False)
WAITING = CallbackLook(has_waiting=True, has_ended=False, has_aged=False)
OVER = CallbackLook(has_waiting=True, has_ended=True, has_aged=False)


async def test_a_run_that_waits_is_held_by_nobody_and_ends_by_what_it_is_told(callbacks: Callbacks) -> None:
    claimed = await callbacks.waiting()

    assert ((await callbacks.run(claimed)).state, (await callbacks.run(claimed)).worker_id) == ("running", None)
    assert await callbacks.keeping.look() == WAITING
    assert await callbacks.succeed() == "accepted"
    assert await callbacks.keeping.look() == OVER
    await callbacks.work_off()

    ended = await callbacks.run(claimed)
    assert (ended.state, ended.result, ended.attempts_count) == ("succeeded", {"rows": 3}, 1)
    assert await callbacks.keeping.look() == NOTHING
    assert await callbacks.runs.event_types() == ["CallbackAwaited", "CallbackReceived"]


async def test_an_address_is_answered_once_and_another_ones_never(callbacks: Callbacks) -> None:
    claimed = await callbacks.waiting()

    assert await callbacks.succeed(b"x" * 32) == "unknown"
    assert [await callbacks.succeed(), await callbacks.fail(RunError("no")), await callbacks.succeed()] == [
        "accepted",
        "repeated",
        "repeated",
    ]
    await callbacks.work_off()
    assert await callbacks.succeed() == "repeated"
    assert (await callbacks.run(claimed)).state == "succeeded"


async def test_a_failure_that_is_told_follows_the_retry_policy(callbacks: Callbacks) -> None:
    policy = RunPolicy(retry=RetryPolicy(delays_seconds=(0.0,)))
    claimed = await callbacks.waiting(policy=policy)
    await callbacks.fail(RunError("disk full", "DiskFull", failure_class="unknown"))
    await callbacks.work_off()

    assert (await callbacks.run(claimed)).state == "queued"
    (again,) = await callbacks.runs.claim(await callbacks.runs.worker())
    await callbacks.open(again, b"t" * 32)
    assert await callbacks.await_answer(again) == "waiting"
    await callbacks.answers.answer(b"t" * 32, "failed", None, '{"message":"disk full","retryable":false}')
    await callbacks.work_off()

    ended = await callbacks.run(claimed)
    attempts = await callbacks.runs.reader.attempts(ACME, claimed.run_id)
    assert (ended.state, ended.attempts_count, ended.dead_lettered) == ("failed", 2, True)
    assert [one.error.message for one in attempts if one.error] == ["disk full", "disk full"]


async def test_the_callback_of_an_earlier_attempt_never_ends_a_newer_one(callbacks: Callbacks) -> None:
    claimed = await callbacks.opened()
    await callbacks.runs.claims.settle_batch([retry(claimed)])
    assert await callbacks.succeed() == "over"
    (again,) = await callbacks.runs.claim(await callbacks.runs.worker())
    assert await callbacks.succeed() == "over"
    await callbacks.open(again, b"t" * 32)
    await callbacks.await_answer(again)
    assert await callbacks.succeed() == "over"

    await callbacks.work_off()
    assert (await callbacks.run(claimed)).state == "running"
    assert await callbacks.succeed(b"t" * 32) == "accepted"


async def test_an_answer_that_overtakes_the_targets_own_is_not_lost_with_its_worker(
    callbacks: Callbacks, store_clock: StoreClock
) -> None:
    claimed = await callbacks.opened()
    assert await callbacks.succeed() == "accepted"
    await store_clock.set(START + timedelta(seconds=61))  # the lease of its worker has ended

    assert await callbacks.runs.claims.find_lost(0.0, 10) == ()
    (refused,) = await callbacks.runs.claims.settle_batch([retry(claimed)])
    assert not refused.accepted
    await callbacks.work_off()
    assert (await callbacks.run(claimed)).state == "succeeded"


async def test_a_worker_may_say_twice_that_its_attempt_waits_and_once_it_is_over_no_more(callbacks: Callbacks) -> None:
    claimed = await callbacks.waiting()
    waiting = await callbacks.run(claimed)
    assert await callbacks.await_answer(claimed) == "waiting"
    assert await callbacks.run(claimed) == waiting

    other = await callbacks.opened(b"o" * 32)
    await callbacks.runs.claims.settle_batch([success(other)])
    assert await callbacks.await_answer(other) == "stale"
    assert await callbacks.succeed(b"o" * 32) == "over"


async def test_who_was_not_called_back_in_time_is_timed_out_and_tried_again(
    callbacks: Callbacks, store_clock: StoreClock
) -> None:
    claimed = await callbacks.waiting(policy=RunPolicy(retry=RetryPolicy(delays_seconds=(5.0,))))
    await store_clock.set(START + timedelta(seconds=WAIT_SECONDS))
    assert await callbacks.succeed() == "over"
    assert await callbacks.keeping.look() == OVER
    await callbacks.work_off()

    (attempt, *_) = await callbacks.runs.reader.attempts(ACME, claimed.run_id)
    assert (attempt.outcome, attempt.error and attempt.error.type) == ("timed_out", "CallbackTimedOut")
    assert (await callbacks.run(claimed)).state == "queued"
    assert await callbacks.succeed() == "over"


async def test_cancelling_a_run_that_waits_ends_it(callbacks: Callbacks) -> None:
    claimed = await callbacks.waiting()
    await callbacks.runs.control.cancel_if_live(ACME, claimed.run_id, AUDIT)
    assert await callbacks.keeping.look() == OVER
    await callbacks.work_off()

    assert (await callbacks.run(claimed)).state == "cancelled"
    assert await callbacks.succeed() == "over"
    assert await callbacks.keeping.look() == NOTHING


async def test_a_run_that_was_cancelled_meanwhile_does_not_begin_to_wait(callbacks: Callbacks) -> None:
    claimed = await callbacks.opened()
    await callbacks.runs.control.cancel_if_live(ACME, claimed.run_id, AUDIT)
    assert await callbacks.await_answer(claimed) == "cancelled"
    assert await callbacks.keeping.look() == NOTHING


async def test_many_attempts_begin_to_wait_at_once_each_with_its_own_outcome(callbacks: Callbacks) -> None:
    claims = [await callbacks.opened(bytes([number]) * 32) for number in range(5)]
    await callbacks.runs.control.cancel_if_live(ACME, claims[1].run_id, AUDIT)
    await callbacks.runs.claims.settle_batch([success(claims[3])])
    asked = [(one.run_id, one.token) for one in reversed(claims)]

    outcomes = ("waiting", "stale", "waiting", "cancelled", "waiting")
    assert await callbacks.waits.await_answers(asked) == outcomes
    assert await callbacks.waits.await_answers(asked) == outcomes
    assert await callbacks.waits.await_answers([]) == ()
    assert [(await callbacks.run(one)).worker_id is None for one in claims] == [True, False, True, False, True]


async def test_a_leader_that_died_between_settling_and_closing_leaves_nothing_behind(callbacks: Callbacks) -> None:
    claimed = await callbacks.waiting()
    await callbacks.succeed()
    (ended,) = await callbacks.keeping.list_ended(10)
    await callbacks.runs.claims.settle_batch([decide_wait_end(ended, LoadedDice(1.0))])

    (left,) = await callbacks.keeping.list_ended(10)
    assert left.claimed is None
    await callbacks.work_off()
    assert (await callbacks.run(claimed)).state == "succeeded"
    assert await callbacks.keeping.list_ended(10) == ()


async def test_addresses_are_forgotten_when_nobody_could_be_late_any_more(
    callbacks: Callbacks, store_clock: StoreClock
) -> None:
    await callbacks.opened(b"o" * 32)
    waiting = await callbacks.waiting()
    await store_clock.set(START + timedelta(seconds=DAY))
    assert (await callbacks.keeping.look()).has_aged
    assert [await callbacks.keeping.forget_aged(10), await callbacks.keeping.forget_aged(10)] == [1, 0]
    assert await callbacks.succeed(b"o" * 32) == "unknown"

    await callbacks.work_off()
    assert (await callbacks.run(waiting)).state != "running"
    assert await callbacks.keeping.forget_aged(10) == 1
    assert await callbacks.succeed() == "unknown"


async def test_a_run_that_waits_takes_no_room_of_a_limit(callbacks: Callbacks) -> None:
    await callbacks.runs.limits.put(Limit("queue", "default", START, "ada", 1), AUDIT)
    await callbacks.waiting()
    await callbacks.runs.enqueue(draft())
    assert len(await callbacks.runs.claim(await callbacks.runs.worker())) == 1
