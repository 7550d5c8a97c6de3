"""The leader's watch over the memory store, on virtual time."""

import asyncio
from datetime import timedelta

from rota.domain.triggers import MilestoneTrigger
from rota.ports.milestone_store import MilestoneFigures
from rota.services.milestone_generating import MILESTONES_TOPIC
from rota.services.milestone_watch import POLL_SECONDS
from tests.contract.records import ACME
from tests.contract.stores import START
from tests.unit.services.milestone_world import SITE, MilestoneWorld

HOUR, DAY = 3_600.0, 86_400.0


async def test_a_milestone_is_made_within_moments_of_its_time_and_once_in_a_hundred_days() -> None:
    world = MilestoneWorld()
    await world.define(MilestoneTrigger(name="AUTO_12H"), MilestoneTrigger(name="AUTO_24H"))
    installed = START - timedelta(hours=12) + timedelta(seconds=30)
    await world.record(at=installed)
    watch = asyncio.create_task(world.watch.run())
    worker = asyncio.create_task(world.execute(lambda _: "succeed", 20.0))
    await world.clock.run_for(60)
    world.clock.now += 12 * HOUR - 60
    await world.run_for(60, worker)
    assert [world.name_of(one) for one in world.made] == ["AUTO_12H", "AUTO_24H"]
    for name, hours in (("AUTO_12H", 12), ("AUTO_24H", 24)):
        begun = (await world.one(name)).last_attempt_at
        assert begun is not None
        assert timedelta(0) <= begun - installed - timedelta(hours=hours) <= timedelta(seconds=0.2)
    marker = await world.store.marker(ACME, "AUTO_24H", SITE)
    world.clock.now += 100 * DAY
    await world.run_for(60, watch)
    assert len(world.made) == 2
    assert await world.store.marker(ACME, "AUTO_24H", SITE) == marker
    assert len(world.database.runs_state.records) == 2


async def test_failures_come_back_by_the_list_and_evidence_late_or_early_makes_no_difference() -> None:
    world = MilestoneWorld()
    await world.record("early")
    await world.define()
    await world.record("late", START - timedelta(hours=11))
    watch = asyncio.create_task(world.watch.run())
    worker = asyncio.create_task(world.execute(lambda _: "fail", 20.0))
    await world.run_for(1.6 * HOUR, watch, worker)
    assert (await world.one(subject="early")).attempts_count == 0
    assert (await world.one(subject="late")).attempts_count == 2


async def test_an_idle_watch_looks_once_per_poll_and_a_wake_up_shortens_its_sleep() -> None:
    world = MilestoneWorld()
    await world.define()
    watch = asyncio.create_task(world.watch.run())
    await world.clock.run_for(1.0)
    idle = world.duties.looks
    await world.clock.run_for(100.0)
    assert 100 / POLL_SECONDS - 1 <= world.duties.looks - idle <= 100 / POLL_SECONDS + 2
    await world.clock.run_for(0.3)
    await world.record(at=START - timedelta(hours=12))
    world.wakeups.announce(MILESTONES_TOPIC)
    await world.clock.run_for(0.2)
    assert (await world.one()).state == "in_progress"
    await world.run_for(0, watch)


async def test_a_standby_makes_nothing() -> None:
    world = MilestoneWorld(None)
    await world.define()
    await world.record(at=START - timedelta(hours=12))
    watch = asyncio.create_task(world.watch.run())
    await world.run_for(300, watch)
    assert (world.duties.looks, (await world.one()).state) == (0, "waiting")


async def test_an_outage_of_the_store_makes_it_late_and_not_twice() -> None:
    world = MilestoneWorld()
    await world.define()
    await world.record()
    world.store.is_away = True
    await world.clock.run_for(13 * HOUR)
    failed = asyncio.create_task(world.watch.run())
    await world.clock.run_for(1)
    assert failed.done()
    assert (await world.one()).attempts_count == 0
    world.store.is_away = False
    watch = asyncio.create_task(world.watch.run())
    await world.run_for(60, watch)
    assert (await world.one()).attempts_count == 1


async def test_the_leader_tells_its_figures_once_a_minute_and_who_leads_no_more_tells_noughts() -> None:
    world = MilestoneWorld()
    await world.define()
    await world.record(at=START - timedelta(hours=12))
    watch = asyncio.create_task(world.watch.run())
    worker = asyncio.create_task(world.execute(lambda _: "fail", 20.0))
    await world.clock.run_for(185)
    assert world.figures[-1] == MilestoneFigures(0, 1, 1)
    assert 3 <= len(world.figures) <= 4
    world.leadership.current = None
    await world.clock.run_for(20)
    assert world.figures[-1] == MilestoneFigures()
    await world.run_for(0, watch, worker)


async def test_what_is_refused_keeps_nobody_else_waiting_and_is_tried_again_later() -> None:
    world = MilestoneWorld()
    await world.define()
    world.store.refused_subject = "odd"
    for subject in ("odd", SITE):
        await world.record(subject, START - timedelta(hours=12))
    watch = asyncio.create_task(world.watch.run())
    await world.clock.run_for(30)
    assert ((await world.one()).state, (await world.one(subject="odd")).state) == ("in_progress", "waiting")
    assert world.store.changes <= 3
    world.store.refused_subject = ""
    await world.run_for(40, watch)
    assert (await world.one(subject="odd")).state == "in_progress"


async def test_a_round_of_milestones_does_not_say_that_nothing_is_fired_late() -> None:
    world = MilestoneWorld()
    await world.define()
    await world.record(at=START - timedelta(hours=12))
    world.notes.checked(0.01, is_cycle=True, lag_seconds=7.5)
    watch = asyncio.create_task(world.watch.run())
    await world.run_for(1.0, watch)
    said = world.metrics.exposition().decode()
    assert 'rota_checks_total{outcome="due"} 2.0' in said
    assert "rota_firing_lag_seconds 7.5" in said
