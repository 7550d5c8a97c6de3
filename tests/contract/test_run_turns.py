"""Two serial runs of one schedule are never running at once, and what waits for its turn holds up nothing behind it."""

import asyncio
import contextlib
from collections.abc import Sequence

import pytest
from msgspec import structs

from rota.domain.errors import DomainError
from rota.domain.ids import RunId, ScheduleId, WorkerId
from rota.domain.policies import Overlap, Policies, RunPolicy
from rota.domain.run import ClaimedRun, RunDraft
from tests.contract.records import ACME, new_id
from tests.contract.run_stores import AUDIT, RunStores, draft, retry, success

SERIAL = RunPolicy(serial=True)


def of(schedule_id: ScheduleId, **fields: object) -> RunDraft:
    """A serial run of a schedule."""
    return structs.replace(draft(schedule_id=schedule_id, policy=SERIAL), **fields)


@pytest.fixture
def nightly() -> ScheduleId:
    return ScheduleId(new_id())


def names(claimed: Sequence[ClaimedRun]) -> list[RunId]:
    return [each.run_id for each in claimed]


@pytest.mark.parametrize("overlap", ["skip", "queue_one", "queue_all", "cancel_running", "allow"])
def test_runs_of_every_overlap_policy_but_allow_are_serial(overlap: Overlap) -> None:
    assert Policies(overlap=overlap).run_policy().serial == (overlap != "allow")


async def test_of_one_batch_the_first_of_a_schedule_starts_and_the_others_wait(
    runs: RunStores, nightly: ScheduleId
) -> None:
    low, high, plain = await runs.enqueue(of(nightly), of(nightly, priority=5), draft())
    worker_id = await runs.worker()

    first = await runs.claim(worker_id)
    assert names(first) == [high, plain]
    assert await runs.claim(worker_id) == []
    (settled, _) = await runs.claims.settle_batch([success(claimed) for claimed in first])

    assert settled.startable_queues == ("default",)
    assert names(await runs.claim(worker_id)) == [low]


async def test_serial_runs_of_several_schedules_start_together(runs: RunStores) -> None:
    made = await runs.enqueue(*(of(ScheduleId(new_id())) for _ in range(5)))

    assert names(await runs.claim(await runs.worker())) == made


async def test_runs_that_wait_hold_up_nothing_behind_them(runs: RunStores, nightly: ScheduleId) -> None:
    many = await runs.enqueue(*(of(nightly, priority=9) for _ in range(2_500)))
    behind = await runs.enqueue(*(draft() for _ in range(3)))
    worker_id = await runs.worker()

    assert names(await runs.claim(worker_id, 3)) == [many[0], *behind[:2]]
    assert names(await runs.claim(worker_id, 3)) == behind[2:]


async def test_a_run_that_does_not_ask_for_the_turn_starts_beside_others(runs: RunStores, nightly: ScheduleId) -> None:
    """A trigger by hand with overlap allow decides for itself."""
    serial, free = await runs.enqueue(of(nightly), of(nightly, policy=RunPolicy()))
    worker_id = await runs.worker()

    assert names(await runs.claim(worker_id)) == [serial, free]


async def test_a_run_beside_others_keeps_no_turn_from_them(runs: RunStores, nightly: ScheduleId) -> None:
    worker_id, _ = await runs.claim_one(of(nightly, policy=RunPolicy()))
    made = await runs.enqueue(of(nightly))

    assert names(await runs.claim(worker_id)) == made


@pytest.mark.parametrize("verb", ["succeed", "fail", "cancel"])
async def test_each_end_of_a_run_frees_its_turn(runs: RunStores, nightly: ScheduleId, verb: str) -> None:
    worker_id, claimed = await runs.claim_one(of(nightly))
    waiting = await runs.enqueue(of(nightly), of(nightly))
    assert await runs.claim(worker_id) == []
    outcome = {"succeed": "succeeded", "fail": "failed", "cancel": "cancelled"}[verb]
    (settled,) = await runs.claims.settle_batch([success(claimed, verb=verb, outcome=outcome)])

    assert settled.startable_queues == ("default",)
    assert names(await runs.claim(worker_id)) == waiting[:1]
    assert await runs.claim(worker_id) == []


async def test_a_retry_that_comes_due_waits_for_the_run_that_started_meanwhile(
    runs: RunStores, nightly: ScheduleId
) -> None:
    worker_id, first = await runs.claim_one(of(nightly, priority=5))
    (fresh,) = await runs.enqueue(of(nightly))
    assert await runs.claim(worker_id) == []
    (settled,) = await runs.claims.settle_batch([retry(first, delay_seconds=10)])
    (second,) = await runs.claim(worker_id)
    await runs.base.clock.advance(10)

    assert (settled.startable_queues, second.run_id) == (("default",), fresh)
    assert await runs.claim(worker_id) == []
    await runs.claims.settle_batch([success(second)])
    assert names(await runs.claim(worker_id)) == [first.run_id]


async def test_a_claim_that_is_given_back_frees_its_turn_and_keeps_its_place(
    runs: RunStores, nightly: ScheduleId
) -> None:
    worker_id, first = await runs.claim_one(of(nightly))
    await runs.base.clock.advance(1)
    await runs.enqueue(of(nightly))
    assert await runs.claim(worker_id) == []
    await runs.claims.give_back_batch([first])

    assert names(await runs.claim(worker_id)) == [first.run_id]


async def test_a_lost_run_keeps_its_turn_until_it_is_rescued(runs: RunStores, nightly: ScheduleId) -> None:
    await runs.enqueue(of(nightly), of(nightly))
    (first,) = await runs.claim(await runs.worker(lease_seconds=10))
    await runs.base.clock.advance(10)
    worker_id = await runs.worker()
    assert await runs.claim(worker_id) == []
    (lost,) = await runs.claims.find_lost(5, 10)
    await runs.claims.settle_batch([retry(lost.claimed, outcome="lost", delay_seconds=60)])

    (second,) = await runs.claim(worker_id)
    assert second.run_id != first.run_id


async def test_a_stale_settlement_frees_no_turn(runs: RunStores, nightly: ScheduleId) -> None:
    worker_id, old = await runs.claim_one(of(nightly))
    await runs.enqueue(of(nightly))
    await runs.claims.settle_batch([retry(old)])
    await runs.claim(worker_id)
    (refused,) = await runs.claims.settle_batch([success(old)])

    assert (refused.accepted, refused.startable_queues) == (False, ())
    assert await runs.claim(worker_id) == []


async def test_cancelling_the_first_that_waits_lets_the_next_one_start(runs: RunStores, nightly: ScheduleId) -> None:
    worker_id, running = await runs.claim_one(of(nightly))
    first, second, third = await runs.enqueue(of(nightly), of(nightly), of(nightly))
    assert await runs.claim(worker_id) == []
    await runs.control.cancel_if_live(ACME, second, AUDIT)
    await runs.claims.settle_batch([success(running)])
    await runs.control.cancel_if_live(ACME, first, AUDIT)

    assert names(await runs.claim(worker_id)) == [third]


async def test_a_turn_goes_to_whichever_queue_has_a_worker(runs: RunStores, nightly: ScheduleId) -> None:
    """A schedule that was moved to another queue has runs in both."""
    worker_id, running = await runs.claim_one(of(nightly))
    in_a, in_b = await runs.enqueue(of(nightly, queue="a"), of(nightly, queue="b"))
    assert await runs.claim(worker_id, 10, ["a", "b"]) == []
    (settled,) = await runs.claims.settle_batch([success(running)])

    assert settled.startable_queues == ("a", "b")
    assert names(await runs.claim(worker_id, 10, ["b"])) == [in_b]
    assert await runs.claim(worker_id, 10, ["a"]) == []
    assert (await runs.reader.get(ACME, in_a)).state == "queued"


async def test_a_worker_is_told_of_no_work_while_all_that_is_due_waits_for_its_turn(
    runs: RunStores, nightly: ScheduleId
) -> None:
    worker_id, running = await runs.claim_one(of(nightly))
    await runs.enqueue(of(nightly))
    before = await runs.workers.renew_if_live(worker_id, ["default"], 60)
    assert await runs.claim(worker_id) == []
    parked = await runs.workers.renew_if_live(worker_id, ["default"], 60)
    await runs.claims.settle_batch([success(running)])
    after = await runs.workers.renew_if_live(worker_id, ["default"], 60)

    assert before is not None
    assert parked is not None
    assert after is not None
    assert (before.work_is_due, parked.work_is_due, after.work_is_due) == (False, False, True)


async def test_a_clone_of_a_serial_run_waits_like_any_other(runs: RunStores, nightly: ScheduleId) -> None:
    worker_id, first = await runs.claim_one(of(nightly))
    await runs.claims.settle_batch([success(first)])
    (second,) = await runs.enqueue(of(nightly))
    (running,) = await runs.claim(worker_id)
    clone = await runs.control.clone_if_terminal(ACME, first.run_id, AUDIT)

    assert running.run_id == second
    assert await runs.claim(worker_id) == []
    await runs.claims.settle_batch([success(running)])
    assert names(await runs.claim(worker_id)) == [clone.id]


async def test_many_workers_at_once_never_run_two_of_one_schedule(runs: RunStores) -> None:
    """Claims, ends, retries, gifts back and cancels race; each claim is a turn that nobody else may have."""
    schedules = [ScheduleId(new_id()) for _ in range(3)]
    made = await runs.enqueue(*(of(schedules[n % 3], priority=n % 2) for n in range(60)))
    race = Race(runs, {run_id: place for place, run_id in enumerate(made)})

    workers = [await runs.worker() for _ in range(6)]
    await asyncio.gather(race.cancel(made[30:36]), *(race.work(worker_id, n) for n, worker_id in enumerate(workers)))

    assert race.broken == []
    assert await race.left(made) == []
    assert race.kinds == {"gave back", "retried", "ended", "cancelled"}


class Race:
    """`running` is what the workers know to be running: entered after a claim, left before its end is told."""

    def __init__(self, runs: RunStores, places: dict[RunId, int]) -> None:
        self.runs = runs
        self.places = places
        self.kinds: set[str] = set()
        self.running: dict[ScheduleId | None, RunId] = {}
        self.broken: list[tuple[RunId, RunId]] = []

    async def work(self, worker_id: WorkerId, number: int) -> None:
        idle = 0
        while idle < 30:
            claimed = await self.runs.claim(worker_id, 1 + number % 3)
            idle = 0 if claimed else idle + 1
            for each in claimed:
                if each.schedule_id in self.running:
                    self.broken.append((each.run_id, self.running[each.schedule_id]))
                self.running[each.schedule_id] = each.run_id
            await self.runs.base.clock.now()  # the others may act meanwhile
            for each in claimed:
                del self.running[each.schedule_id]
            await self.runs.claims.give_back_batch([each for each in claimed if self.kind(each) == "gave back"])
            await self.runs.claims.settle_batch(
                [
                    retry(each) if self.kind(each) == "retried" else success(each)
                    for each in claimed
                    if self.kind(each) != "gave back"
                ]
            )

    def kind(self, claimed: ClaimedRun) -> str:
        """What becomes of it. By its place of birth, and only the first time is anything but its end."""
        kinds = ("gave back", "retried", "ended", "ended", "ended")
        kind = kinds[self.places[claimed.run_id] % 5] if claimed.token >> 32 == 1 else "ended"
        self.kinds.add(kind)
        return kind

    async def cancel(self, run_ids: Sequence[RunId]) -> None:
        for run_id in run_ids:
            if (await self.runs.reader.get(ACME, run_id)).state == "queued":
                with contextlib.suppress(DomainError):
                    await self.runs.control.cancel_if_live(ACME, run_id, AUDIT)
                    self.kinds.add("cancelled")

    async def left(self, run_ids: Sequence[RunId]) -> list[str]:
        found = [await self.runs.reader.get(ACME, run_id) for run_id in run_ids]
        return [run.state for run in found if run.state not in {"succeeded", "cancelled"}]
