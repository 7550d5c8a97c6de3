"""Settling through `CallbackClaims`: what it asks of the store, in which order, and how often."""

from collections.abc import Sequence
from typing import Any, cast

import pytest

from rota.domain.callback import WaitOutcome
from rota.domain.errors import Unavailable
from rota.domain.ids import AttemptToken, RunId
from rota.domain.policies import RunPolicy
from rota.domain.run import ClaimedRun, Settlement
from rota.domain.targets import HttpTarget
from rota.ports.run_store import SettleResult
from rota.worker.callback_claims import CallbackClaims
from tests.contract.records import ACME
from tests.contract.stores import START, NumberedIds

HTTP = HttpTarget("https://example.com/hook", accept_202="callback")


def attempt(number: int) -> tuple[RunId, AttemptToken]:
    return RunId(f"run-{number}"), AttemptToken(number)


def ended(number: int, status: int) -> Settlement:
    return Settlement(*attempt(number), "succeed", "succeeded", "done", result_json=f'{{"status":{status}}}')


class Store:
    """Tells in `calls` what was asked of it; the numbers in `cancelled` are to be cancelled."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[RunId]]] = []
        self.cancelled: set[RunId] = set()
        self.is_away_for_waits = False

    async def claim_batch(self, *_: object) -> tuple[ClaimedRun, ...]:
        return tuple(
            ClaimedRun(*attempt(number)[:1], ACME, attempt(number)[1], 1, HTTP, RunPolicy(), "q", START)
            for number in range(600)
        )

    async def settle_batch(self, settlements: Sequence[Settlement]) -> tuple[SettleResult, ...]:
        self.calls.append(("settle", [one.run_id for one in settlements]))
        return tuple(SettleResult(one.run_id, accepted=True) for one in settlements)

    async def open(self, _: object) -> None: ...

    async def await_answers(self, attempts: Sequence[tuple[RunId, AttemptToken]]) -> tuple[WaitOutcome, ...]:
        self.calls.append(("wait", [run_id for run_id, _ in attempts]))
        if self.is_away_for_waits:
            raise Unavailable("the store does not answer")
        return tuple("cancelled" if run_id in self.cancelled else "waiting" for run_id, _ in attempts)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def claims(store: Store) -> CallbackClaims:
    made = CallbackClaims(cast("Any", store), cast("Any", store), NumberedIds(), "https://rota.example.org")
    await made.claim_batch(cast("Any", "w"), ["q"], 600)
    return made


async def test_hundreds_that_answered_202_are_one_statement_after_all_that_have_ended(
    store: Store, claims: CallbackClaims
) -> None:
    settlements = [ended(number, 202 if number < 500 else 200) for number in range(600)]
    results = await claims.settle_batch(settlements)

    assert [result.run_id for result in results] == [one.run_id for one in settlements]
    assert [(what, len(runs)) for what, runs in store.calls] == [("settle", 100), ("wait", 500)]


async def test_what_is_to_be_cancelled_instead_of_waiting_is_settled_so(store: Store, claims: CallbackClaims) -> None:
    store.cancelled = {RunId("run-1")}
    results = await claims.settle_batch([ended(number, 202) for number in range(3)])
    assert [result.startable_queues for result in results] == [("q",), (), ("q",)]
    assert store.calls[1:] == [("settle", [RunId("run-1")])]


async def test_what_was_settled_before_the_store_went_away_is_not_settled_again(
    store: Store, claims: CallbackClaims
) -> None:
    store.is_away_for_waits = True
    settlements = [ended(0, 202), ended(1, 200)]
    with pytest.raises(Unavailable):
        await claims.settle_batch(settlements)
    store.is_away_for_waits = False
    results = await claims.settle_batch(settlements)

    assert [result.accepted for result in results] == [True, True]
    assert [what for what, _ in store.calls] == ["settle", "wait", "wait"]
