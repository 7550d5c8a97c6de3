"""The tick over the memory store, on virtual time: what it tries, how long it waits, and what it says."""

import asyncio
from datetime import timedelta

import pytest

from rota.domain.errors import DomainError, Unavailable
from rota.domain.triggers import MilestoneTrigger
from rota.services.milestone_ticks import Tick
from tests.contract.stores import START
from tests.unit.services.milestone_world import ADA, SITE, MilestoneWorld

HOUR = 3_600.0
HALF_DAY, DAY = MilestoneTrigger(name="AUTO_12H"), MilestoneTrigger(name="AUTO_24H")


async def ticked(world: MilestoneWorld, seconds: float = 30.0, **rest: float) -> Tick:
    tick = asyncio.create_task(world.ticks.evaluate(ADA, SITE, **rest))
    await world.clock.run_for(seconds)
    assert tick.done()
    return tick.result()


async def test_what_is_due_is_made_and_waited_for_and_made_once() -> None:
    world = MilestoneWorld()
    await world.define()
    await world.record()
    await world.clock.run_for(12 * HOUR)
    worker = asyncio.create_task(world.execute(lambda _: "succeed", 2.0))
    ticks = [asyncio.create_task(world.ticks.evaluate(ADA, SITE)) for _ in range(2)]
    await world.run_for(30, worker)
    answers = [tick.result() for tick in ticks]
    assert [(one.reason, one.report_generated, one.due_trigger) for one in answers] == [
        ("generated", True, "AUTO_12H")
    ] * 2
    assert len(world.made) == 1
    again = await ticked(world)
    assert (again.success, again.reason, again.due_trigger, again.report_generated) == (True, "done", None, False)
    assert len(world.made) == 1


async def test_an_attempt_that_takes_longer_is_in_progress_after_25_seconds_and_joined_by_the_next_tick() -> None:
    world = MilestoneWorld()
    await world.define()
    await world.record()
    await world.clock.run_for(12 * HOUR)
    tick = asyncio.create_task(world.ticks.evaluate(ADA, SITE))
    await world.clock.run_for(24.9)
    assert not tick.done()
    await world.clock.run_for(0.2)
    assert (tick.result().reason, tick.result().success) == ("in_progress", True)
    assert (await ticked(world, 0.1, wait_seconds=0.0)).reason == "in_progress"
    worker = asyncio.create_task(world.execute(lambda _: "succeed", 2.0))
    joined = asyncio.create_task(world.ticks.evaluate(ADA, SITE))
    await world.run_for(5, worker)
    assert joined.result().reason == "generated"
    assert len(world.made) == 1


async def test_a_failure_says_when_it_goes_on_and_keeps_no_other_waiting() -> None:
    world = MilestoneWorld()
    await world.define(HALF_DAY, DAY)
    await world.record()
    await world.clock.run_for(12 * HOUR)
    worker = asyncio.create_task(world.execute(lambda name: "fail" if name == "AUTO_12H" else "succeed", 20.0))
    failed = await ticked(world)
    assert (failed.success, failed.reason, failed.due_trigger, failed.attempt_count) == (False, "failed", "AUTO_12H", 1)
    assert failed.backoff_until is not None
    assert timedelta(seconds=1_800) <= failed.backoff_until - START - timedelta(hours=12) <= timedelta(seconds=1_825)
    waiting = await ticked(world)
    assert (waiting.reason, waiting.backoff_until) == ("backoff_active", failed.backoff_until)
    assert [one.reason for one in waiting.triggers] == ["backoff_active", "nothing_due"]
    assert len(world.made) == 1

    await world.clock.run_for(1_800)
    assert (await ticked(world)).attempt_count == 2
    await world.clock.run_for(7_200)
    third = await ticked(world)
    assert (third.attempt_count, third.backoff_until) == (3, (await world.one()).backoff_until)
    assert third.backoff_until is not None
    assert third.backoff_until > START + timedelta(hours=24)
    await world.clock.run_for(24 * HOUR - (world.clock.now - 1_000))
    day = await ticked(world)
    assert (day.reason, day.due_trigger, day.backoff_until) == ("generated", "AUTO_24H", third.backoff_until)
    assert [one.reason for one in day.triggers] == ["backoff_active", "generated"]
    await world.run_for(0, worker)


async def test_what_there_is_nothing_to_do_for_is_said() -> None:
    world = MilestoneWorld()
    undefined = await ticked(world)
    assert (undefined.success, undefined.reason, undefined.triggers) == (True, "nothing_due", ())
    await world.define()
    missing = await ticked(world)
    assert (missing.success, missing.reason) == (True, "evidence_missing")
    assert "installation" in missing.message
    await world.record()
    early = await ticked(world)
    assert (early.reason, early.triggers[0].until) == ("nothing_due", START + timedelta(hours=12))
    with pytest.raises(DomainError) as wrong:
        await world.ticks.evaluate(ADA, "", 26.0)
    assert [one.field for one in wrong.value.problems] == ["subject", "wait_seconds"]


async def test_a_store_that_cannot_be_read_is_told_and_nothing_is_made() -> None:
    world = MilestoneWorld()
    await world.define()
    await world.record()
    await world.clock.run_for(12 * HOUR)
    world.store.is_away = True
    with pytest.raises(Unavailable):
        await world.ticks.evaluate(ADA, SITE)
    assert (world.store.changes, world.database.runs_state.records) == (0, {})
    world.store.is_away = False
    assert (await ticked(world, wait_seconds=0.0)).reason == "in_progress"


async def test_a_tick_that_waits_looks_less_and_less_often() -> None:
    world = MilestoneWorld()
    await world.define()
    await world.record()
    await world.clock.run_for(12 * HOUR)
    await ticked(world)
    assert 50 <= world.store.looks <= 70
