"""Runs that wait for their schedule's turn are begun by workers as soon as it is free."""

from datetime import timedelta
from itertools import pairwise

from msgspec.structs import replace

from rota.domain.ids import ScheduleId
from tests.contract.records import new_id
from tests.integration.worker.conftest import OPTIONS, House
from tests.support.waiting import wait_until

# Renewals, which would find the work too, are further apart than a whole test may take.
NO_POLLING = replace(OPTIONS, lease_seconds=90.0, renew_seconds=30.0)


async def test_the_next_run_starts_well_within_a_second_of_the_end_of_the_one_before(house: House) -> None:
    """Two idle workers that have looked in vain are woken by nothing but the end of the run."""
    await house.start(NO_POLLING)
    await house.start(NO_POLLING)
    run_ids = await house.enqueue("noop", 6, turn_of=ScheduleId(new_id()))

    runs = sorted([await house.ended(run_id, 10.0) for run_id in run_ids], key=lambda run: run.started_at or run.due_at)

    for before, after in pairwise(runs):
        assert before.finished_at is not None
        assert after.started_at is not None
        assert timedelta() <= after.started_at - before.finished_at < timedelta(seconds=0.5)
    await house.stop()


async def test_a_cancelled_run_hands_its_turn_on(house: House) -> None:
    await house.start()
    nightly = ScheduleId(new_id())
    running = await house.marked("hang_async", turn_of=nightly)
    await house.began()
    waiting = await house.one("noop", turn_of=nightly)
    behind = await house.one("noop")

    await house.ended(behind)
    assert (await house.run(waiting)).state == "queued"
    await house.cancel(running)
    assert (await house.ended(waiting)).state == "succeeded"
    await house.stop()


async def test_a_run_of_a_dead_worker_hands_its_turn_on_when_it_is_rescued(house: House) -> None:
    nightly = ScheduleId(new_id())
    process = house.start_process(lease_seconds=3.0, renew_seconds=0.5)
    await house.marked("hang_async", turn_of=nightly, timeout_seconds=300.0)
    await house.began()
    waiting = await house.one("noop", turn_of=nightly)
    process.end()
    await house.start()

    async def rescued() -> bool:
        return await house.rescue() > 0

    await wait_until(rescued, 15.0, "a rescue")
    assert (await house.ended(waiting)).state == "succeeded"
    await house.stop()
