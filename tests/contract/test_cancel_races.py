"""Firings that cancel what is live, while workers claim and end that very work: nobody waits for ever, nothing is lost.

A firing locks its schedules' runs schedule by schedule, an end its runs by id. The runs' ids are made to run against
the schedules', so that the two meet head on; the database may end one of them then, and whoever was ended tries again.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from rota.domain.errors import Unavailable
from rota.domain.ids import WorkerId
from rota.domain.page import PageRequest
from rota.domain.run import ClaimedRun, Settlement
from rota.ports.run_store import RunFilter
from tests.contract.records import ACME
from tests.contract.run_stores import RunStores, retry, success
from tests.contract.stores import START
from tests.contract.test_firing_store import FENCE, advance, due_schedule, firing_draft
from tests.support.waiting import loop_sleep

SCHEDULES_COUNT, ROUNDS, WORKERS = 24, 12, 3

Answer = TypeVar("Answer")


async def until_answered(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """As firing and workers do: what the database broke off is said again."""
    while True:
        try:
            return await call()
        except Unavailable:
            await loop_sleep(0)


async def fire(runs: RunStores, round_no: int) -> None:
    """All schedules in one statement, those with the greatest ids first."""
    at = START + timedelta(hours=round_no)
    due = sorted((await runs.firing.due_triggers(100)).triggers, key=lambda one: one.schedule_id, reverse=True)
    await runs.firing.apply(
        FENCE,
        [
            advance(
                one,
                cancel_live=True,
                fired_through=at,
                next_fire_at=at + timedelta(hours=1),
                runs=(firing_draft(one, at),),
            )
            for one in due
        ],
    )


async def work(runs: RunStores, worker_id: WorkerId, done: asyncio.Event) -> None:
    """Claims, and ends in every way, what was claimed last first."""
    number = 0
    while not done.is_set():
        claimed = await until_answered(lambda: runs.claims.claim_batch(worker_id, ["default"], 10))
        number += 1
        await until_answered(lambda: runs.claims.settle_batch(ends(claimed[::-1], number)))  # noqa: B023 - awaited at once
        await until_answered(lambda: runs.claims.give_back_batch(claimed))  # noqa: B023 - awaited at once
        await loop_sleep(0)


def ends(claimed: tuple[ClaimedRun, ...], number: int) -> list[Settlement]:
    """Some succeed, some are tried again, and every third batch is given back whole."""
    if number % 3 == 0:
        return []
    return [retry(one) if (place + number) % 3 == 0 else success(one) for place, one in enumerate(claimed)]


async def test_firings_that_cancel_what_runs_meet_its_claims_and_ends(runs: RunStores) -> None:
    made = [await due_schedule(runs, f"s{place}") for place in range(SCHEDULES_COUNT)]
    await runs.leases.acquire_if_free(FENCE.lease_name, FENCE.holder, 1e6)
    done = asyncio.Event()
    workers = [asyncio.create_task(work(runs, await runs.worker(1e6), done)) for _ in range(WORKERS)]
    for round_no in range(ROUNDS):
        await until_answered(lambda round_no=round_no: fire(runs, round_no))
        await runs.base.clock.advance(3600)
    done.set()
    await asyncio.wait_for(asyncio.gather(*workers), 30)

    left = await runs.claim(await runs.worker(1e6), 1_000)
    await runs.claims.settle_batch([success(one) for one in left])
    page = await runs.reader.page(ACME, RunFilter(), PageRequest(500))
    assert Counter(run.schedule_id for run in page.items) == {one.id: ROUNDS for one in made}
    assert {run.state for run in page.items} <= {"succeeded", "cancelled"}
