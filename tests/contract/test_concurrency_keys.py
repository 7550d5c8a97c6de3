"""No more runs of a key are running than its maximum, however they end; the others wait and hold up nobody."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from msgspec import structs

from rota.domain.dependencies import Upstream
from rota.domain.ids import RunId, ScheduleId, WorkerId
from rota.domain.policies import Policies, RunPolicy
from rota.domain.run import ClaimedRun, RunDraft
from tests.contract.records import ACME, GLOBEX, change, new_id, schedule, trigger
from tests.contract.run_stores import AUDIT, RunStores, draft, retry, success
from tests.contract.stores import START
from tests.contract.test_firing_store import FENCE, advance, lead

QUEUES = pytest.mark.parametrize("queues", [["default"], ["default", "b"]])


def keyed(most: int = 2, key: str | None = "api", **fields: object) -> RunDraft:
    return structs.replace(draft(policy=RunPolicy(concurrency_key=key, concurrency_max=most)), **fields)


async def claim(runs: RunStores, worker_id: WorkerId, limit: int = 10, queues: list[str] | None = None) -> list[RunId]:
    return [each.run_id for each in await claimed(runs, worker_id, limit, queues)]


async def claimed(
    runs: RunStores, worker_id: WorkerId, limit: int = 10, queues: list[str] | None = None
) -> list[ClaimedRun]:
    await runs.places.give_places(None, 100)
    return await runs.claim(worker_id, limit, queues or ["default"])


@QUEUES
async def test_each_end_of_a_run_gives_its_place_to_the_next(runs: RunStores, queues: list[str]) -> None:
    worker_id = await runs.worker(queues=queues)
    ids = await runs.enqueue(*(keyed() for _ in range(6)))
    first = await runs.claim(worker_id, 10, queues)
    assert [each.run_id for each in first] == ids[:2]
    (done,) = await runs.claims.settle_batch([success(first[0])])
    assert done.startable_queues == ("default",)
    (second,) = await runs.claim(worker_id, 10, queues)
    (failed, _) = await runs.claims.settle_batch([success(first[1], verb="fail", outcome="failed"), success(second)])
    assert failed.accepted
    assert [each.run_id for each in await runs.claim(worker_id, 10, queues)] == ids[3:5]


@QUEUES
async def test_those_that_wait_hold_up_neither_others_nor_other_tenants(runs: RunStores, queues: list[str]) -> None:
    worker_id = await runs.worker(queues=queues)
    await runs.enqueue(*(keyed(1) for _ in range(20)))
    await runs.enqueue(*(keyed(1, "another") for _ in range(3)), draft(), draft())
    await runs.enqueue(*(keyed(1, tenant_id=GLOBEX) for _ in range(3)))
    found = await claimed(runs, worker_id, 50, queues)
    assert Counter(each.policy.concurrency_key for each in found) == {"api": 2, "another": 1, None: 2}
    assert Counter(each.tenant_id for each in found) == {ACME: 4, GLOBEX: 1}


async def test_a_run_that_waits_for_its_next_try_leaves_its_place(runs: RunStores) -> None:
    worker_id = await runs.worker()
    first, second, third = await runs.enqueue(keyed(1), keyed(1), keyed(1))
    (held,) = await claimed(runs, worker_id)
    await runs.claims.settle_batch([retry(held, delay_seconds=30)])
    assert (await runs.reader.get(ACME, first)).due_at == await runs.base.clock.now() + timedelta(seconds=30)
    assert (await runs.reader.get(ACME, first)).state == "queued"
    (held,) = await claimed(runs, worker_id)
    assert held.run_id == second
    await runs.base.clock.advance(31)
    await runs.claims.settle_batch([success(held)])
    assert await claim(runs, worker_id) == [third]


async def test_a_run_that_is_tried_again_at_once_or_given_back_is_among_the_first_again(runs: RunStores) -> None:
    worker_id = await runs.worker()
    first, _ = await runs.enqueue(keyed(1), keyed(1))
    (held,) = await claimed(runs, worker_id)
    await runs.claims.give_back_batch([held])
    (held,) = await claimed(runs, worker_id)
    assert held.run_id == first
    await runs.claims.settle_batch([retry(held)])
    assert len(await claim(runs, worker_id)) == 1


async def test_cancelled_runs_leave_their_places(runs: RunStores) -> None:
    worker_id = await runs.worker()
    first, second, third, fourth = await runs.enqueue(*(keyed(1) for _ in range(4)))
    await runs.control.cancel_if_live(ACME, first, AUDIT)
    await runs.control.cancel_if_live(ACME, third, AUDIT)
    (held,) = await claimed(runs, worker_id)
    assert held.run_id == second
    await runs.control.cancel_if_live(ACME, second, AUDIT)
    assert await claim(runs, worker_id) == []
    await runs.claims.settle_batch([success(held, verb="cancel", outcome="cancelled")])
    assert await claim(runs, worker_id) == [fourth]


async def test_a_lost_run_keeps_its_place_until_it_is_rescued(runs: RunStores) -> None:
    await runs.enqueue(keyed(1), keyed(1))
    assert len(await claim(runs, await runs.worker(lease_seconds=10))) == 1
    await runs.base.clock.advance(20)
    worker_id = await runs.worker()
    assert await claim(runs, worker_id) == []
    (lost,) = await runs.claims.find_lost(5, 10)
    await runs.claims.settle_batch([retry(lost.claimed, outcome="lost", delay_seconds=60)])
    assert len(await claim(runs, worker_id)) == 1


async def test_a_delayed_run_wants_no_place_before_it_is_due(runs: RunStores) -> None:
    worker_id = await runs.worker()
    (later,) = await runs.enqueue(keyed(1, delay_seconds=30))
    (now_due,) = await runs.enqueue(keyed(1))
    assert (await runs.reader.get(ACME, later)).state == "scheduled"
    (held,) = await claimed(runs, worker_id)
    assert held.run_id == now_due
    await runs.base.clock.advance(31)
    assert await claim(runs, worker_id) == []
    assert (await runs.reader.get(ACME, later)).state == "queued"
    await runs.claims.settle_batch([success(held)])
    assert await claim(runs, worker_id) == [later]


async def test_a_look_tells_when_a_run_will_want_a_place(runs: RunStores) -> None:
    worker_id = await runs.worker()
    assert (await runs.places.give_places(None, 100)).next_wanted_in_seconds is None
    await runs.enqueue(keyed(1, delay_seconds=40), keyed(1, "another", delay_seconds=30), keyed(1, delay_seconds=50))
    assert (await runs.places.give_places(None, 100)).next_wanted_in_seconds == 30
    await runs.base.clock.advance(45)
    assert len(await claim(runs, worker_id)) == 2
    assert (await runs.places.give_places(None, 100)).next_wanted_in_seconds == 5
    await runs.base.clock.advance(6)
    wanted_in_seconds = (await runs.places.give_places(None, 100)).next_wanted_in_seconds
    assert wanted_in_seconds is not None
    assert wanted_in_seconds <= 0


async def test_priority_goes_first_among_those_that_wait(runs: RunStores) -> None:
    worker_id = await runs.worker()
    await runs.enqueue(keyed(1))
    (held,) = await claimed(runs, worker_id)
    _, high = await runs.enqueue(keyed(1), keyed(1, priority=9))
    await runs.claims.settle_batch([success(held)])
    assert await claim(runs, worker_id) == [high]


async def test_a_schedule_has_places_of_its_own(runs: RunStores) -> None:
    worker_id = await runs.worker()
    one, other = ScheduleId(new_id()), ScheduleId(new_id())
    await runs.enqueue(*(keyed(2, None, schedule_id=one) for _ in range(5)))
    await runs.enqueue(*(keyed(1, None, schedule_id=other) for _ in range(5)))
    found = await claimed(runs, worker_id, 20)
    assert Counter(each.schedule_id for each in found) == {one: 2, other: 1}


async def test_fired_runs_carry_the_places_of_their_schedule(runs: RunStores) -> None:
    worker_id = await runs.worker()
    policies = Policies(overlap="allow", concurrency_max=2)
    made = [schedule(f"s{n}", triggers=(trigger(next_fire_at=START),), policies=policies) for n in range(2)]
    await runs.base.schedules.insert_many(ACME, made, change())
    await runs.enqueue(*(draft(schedule_id=made[0].id, policy=policies.run_policy()) for _ in range(2)))
    await lead(runs)
    due = (await runs.firing.due_triggers(10)).triggers
    await runs.firing.apply(FENCE, [advance(each) for each in due])
    found = await claimed(runs, worker_id)
    assert Counter(each.schedule_id for each in found) == {made[0].id: 2, made[1].id: 1}


async def test_serial_runs_behind_a_turn_take_no_place(runs: RunStores) -> None:
    worker_id = await runs.worker()
    schedules = [ScheduleId(new_id()) for _ in range(3)]
    policy = RunPolicy(serial=True, concurrency_key="api", concurrency_max=2)
    made = [await runs.enqueue(*(keyed(schedule_id=each, policy=policy) for _ in range(4))) for each in schedules]
    held, done = await claimed(runs, worker_id), list[RunId]()
    assert {each.run_id for each in held} == {made[0][0], made[1][0]}
    while held:
        assert len({each.schedule_id for each in held}) == len(held) <= 2
        await runs.claims.settle_batch([success(held[0])])
        done.append(held[0].run_id)
        held = [*held[1:], *await claimed(runs, worker_id)]
    assert sorted(done) == sorted(run_id for ids in made for run_id in ids)


async def test_a_cancelled_serial_run_calls_the_one_behind_it(runs: RunStores) -> None:
    worker_id = await runs.worker()
    policy = RunPolicy(serial=True, concurrency_max=3)
    serial = keyed(schedule_id=ScheduleId(new_id()), policy=policy)
    first, second, _ = await runs.enqueue(serial, serial, serial)
    await runs.places.give_places(None, 10)
    await runs.control.cancel_if_live(ACME, first, AUDIT)
    assert await claim(runs, worker_id) == [second]


async def test_a_run_that_waited_for_another_then_waits_for_a_place(runs: RunStores) -> None:
    worker_id = await runs.worker()
    _, plain = await runs.claim_one(draft(queue="default"))
    await runs.enqueue(keyed(1))
    (held,) = await claimed(runs, worker_id)
    (waiting,) = await runs.enqueue(keyed(1, depends_on=(Upstream(run_id=plain.run_id),)))
    await runs.claims.settle_batch([success(plain)])
    assert await claim(runs, worker_id) == []
    await runs.control.cancel_if_live(ACME, waiting, AUDIT)
    await runs.claims.settle_batch([success(held)])
    assert await claim(runs, worker_id) == []


async def test_a_queue_without_a_worker_holds_up_no_other_queue(runs: RunStores) -> None:
    leaving = await runs.worker(queues=["left"])
    worker_id = await runs.worker()
    in_left, in_default = await runs.enqueue(keyed(1, queue="left"), keyed(1))
    await runs.workers.stop(leaving)
    (held,) = await claimed(runs, worker_id)
    assert held.run_id == in_default
    back = await runs.worker(queues=["left"])
    assert await claim(runs, back, 10, ["left"]) == []
    await runs.claims.settle_batch([success(held)])
    assert await claim(runs, back, 10, ["left"]) == [in_left]


async def test_claims_and_ends_at_the_same_moment_never_exceed_the_maximum(runs: RunStores) -> None:
    most, total = 3, 60
    workers = [await runs.worker() for _ in range(4)]
    await runs.enqueue(*(keyed(most) for _ in range(total)))
    held, done, peak = set[RunId](), 0, 0

    async def work(worker_id: WorkerId) -> None:
        nonlocal done, peak
        while done < total:
            found = await claimed(runs, worker_id, 2)
            held.update(each.run_id for each in found)
            peak = max(peak, len(held))
            for each in found:
                held.discard(each.run_id)
                await runs.claims.settle_batch([success(each)])
                done += 1

    await asyncio.gather(*(work(worker_id) for worker_id in workers))
    assert (done, peak <= most) == (total, True)
