"""Claims that are not answered: what is found again, and what must never be given back."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from rota.adapters.system_ids import SystemIds
from rota.adapters.system_rng import SystemRng
from rota.domain.errors import Stale, Unavailable
from rota.domain.ids import AttemptToken, RunId, WorkerId
from rota.domain.run import ClaimedRun
from rota.ports.fan_out_store import FanOutPlans
from rota.ports.run_store import HeldRun, RunClaims
from rota.ports.worker_store import WorkerStore
from rota.services.resting import REST_PER_SECOND
from rota.storage.memory.wakeups import MemoryWakeups
from rota.worker import answering
from rota.worker.claiming import Claiming
from rota.worker.forgotten import LOOK_SECONDS_MAX, LOOK_SECONDS_MIN, Hold, LookPace, forgotten
from rota.worker.session_words import Claimed, ClaimFailed
from rota.worker.worker_ports import WorkerPorts
from tests.support.waiting import wait_until
from tests.unit.worker.test_telling_the_store import FastClock, claimed

ME = WorkerId("me")


def held(number: int, token: int | None = None) -> HeldRun:
    return HeldRun(RunId(f"run-{number}"), AttemptToken(token or number), "default")


def test_what_is_held_under_another_token_is_forgotten() -> None:
    known = {(RunId("run-1"), AttemptToken(1)), (RunId("run-2"), AttemptToken(2))}
    assert forgotten([held(1), held(2, token=7), held(3)], known) == (held(2, token=7), held(3))


def test_looks_are_near_after_a_doubt_and_never_end() -> None:
    pace = LookPace()
    pace.doubt()
    waits: list[float] = []
    for _ in range(9):
        waits.append(pace.wait_seconds)
        pace.looked()
    assert waits == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, LOOK_SECONDS_MAX, LOOK_SECONDS_MAX, LOOK_SECONDS_MAX]
    pace.doubt()
    assert pace.wait_seconds == LOOK_SECONDS_MIN


def test_looks_that_take_long_are_far_apart_even_in_doubt() -> None:
    pace = LookPace()
    pace.looked(2.0)
    assert pace.wait_seconds == LOOK_SECONDS_MAX
    pace.looked(1.0)
    pace.doubt()
    assert pace.wait_seconds == REST_PER_SECOND
    pace.looked()
    pace.doubt()
    assert pace.wait_seconds == LOOK_SECONDS_MIN


class Store:
    """Answers claims with what the test lines up, when it says so, and lists what it is told to believe."""

    def __init__(self) -> None:
        self.claims: asyncio.Queue[tuple[ClaimedRun, ...] | Exception] = asyncio.Queue()
        self.believes: tuple[HeldRun, ...] = ()
        self.looks_count = 0
        self.claims_count = 0
        self.away = 0
        self.given_back: list[HeldRun] = []
        self.refuses = False

    async def claim_batch(self, *_: object) -> tuple[ClaimedRun, ...]:
        self.claims_count += 1
        answer = await self.claims.get()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def list_held(self, *_: object) -> tuple[HeldRun, ...]:
        self.looks_count += 1
        self._fail_while_away()
        return self.believes

    async def give_back_batch(self, claims: Sequence[HeldRun]) -> int:
        self._fail_while_away()
        self.given_back += claims
        return 0 if self.refuses else len(claims)

    def _fail_while_away(self) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable("away")


class Desk:
    """The claims of a worker that knows what it was told."""

    def __init__(self) -> None:
        self.store, self.wakeups = Store(), MemoryWakeups()
        self.events: list[Claimed | ClaimFailed] = []
        self.refused: list[str] = []
        self.clock = FastClock()
        ports = WorkerPorts(
            cast("RunClaims", self.store),
            cast("WorkerStore", None),
            self.wakeups,
            self.clock,
            SystemRng(1),
            SystemIds(),
            cast("FanOutPlans", None),
        )
        self.claiming = Claiming(ME, ("default",), ports, self._known)

    def claim(self) -> "asyncio.Task[None]":
        return asyncio.create_task(self.claiming.claim(5, self.events.append, self.refused.append))

    async def answer(self, answer: tuple[ClaimedRun, ...] | Exception) -> None:
        claim = self.claim()
        self.store.claims.put_nowait(answer)
        await claim

    def _known(self) -> set[Hold]:
        runs = [run for event in self.events if isinstance(event, Claimed) for run in event.runs]
        return {(run.run_id, run.token) for run in runs}


async def test_what_the_worker_was_told_of_is_not_given_back() -> None:
    desk = Desk()
    await desk.answer((claimed(1),))
    desk.store.believes = (held(1), held(2))

    await desk.claiming.give_back_forgotten()

    assert desk.store.given_back == [held(2)]


async def test_a_look_waits_for_the_claims_that_were_under_way_when_it_was_answered() -> None:
    desk = Desk()
    claim = desk.claim()
    desk.store.believes = (held(1),)
    look = asyncio.create_task(desk.claiming.give_back_forgotten())
    await wait_until(lambda: desk.store.looks_count == 1)
    assert not look.done()

    desk.store.claims.put_nowait((claimed(1),))
    await asyncio.gather(claim, look)

    assert desk.store.given_back == []


async def test_a_claim_that_begins_after_the_list_does_not_hold_the_look_up() -> None:
    desk = Desk()
    desk.store.believes = (held(1),)
    first = desk.claim()
    look = asyncio.create_task(desk.claiming.give_back_forgotten())
    await wait_until(lambda: desk.store.looks_count == 1)
    second = desk.claim()
    await wait_until(lambda: desk.store.claims_count == 2)

    desk.store.claims.put_nowait(Unavailable("cut"))
    await asyncio.gather(first, look)

    assert desk.store.given_back == [held(1)]
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)


@pytest.mark.parametrize("failures", [1, 2, 7])
async def test_looking_goes_on_until_the_store_has_answered(failures: int) -> None:
    desk = Desk()
    await desk.answer(Unavailable("cut"))
    desk.store.believes, desk.store.away = (held(1),), failures
    woken = desk.wakeups.subscribe("queue:default")

    looking = asyncio.create_task(desk.claiming.keep_looking())
    await wait_until(lambda: desk.store.given_back)
    looking.cancel()

    assert desk.store.given_back[0] == held(1)
    assert desk.events == [ClaimFailed(5)]
    await wait_until(woken.is_set)


async def test_what_the_store_refuses_to_take_back_is_not_announced() -> None:
    desk = Desk()
    desk.store.believes, desk.store.refuses = (held(1),), True
    woken = desk.wakeups.subscribe("queue:default")

    await desk.claiming.give_back_forgotten()

    assert not woken.is_set()


async def test_a_claim_without_an_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "ANSWER_SECONDS_MAX", 0.02)
    desk = Desk()

    await desk.claim()

    assert desk.events == [ClaimFailed(5)]


async def test_a_refused_claim_is_told() -> None:
    desk = Desk()
    await desk.answer(Stale("ended"))
    assert (desk.events, desk.refused) == ([], ["a claim was refused: ended"])
