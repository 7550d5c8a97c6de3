"""Leaders whose store is unlike itself: its clock is set, its leases are those of an older backup."""

import signal
from datetime import timedelta

import pytest

from rota.domain.triggers import IntervalTrigger
from rota.storage.postgres.driver import Connection, Pool
from tests.integration.services.conftest import Office
from tests.integration.services.test_leaders import (
    EVERY_SECOND,
    a_leader_and_standbys,
    assert_every_second_once,
)
from tests.support.settable_clock import SettableClock
from tests.support.waiting import wait_until


@pytest.mark.parametrize("shift_seconds", [3, -3, 3600, -3600])
async def test_a_clock_that_is_set_leaves_one_leader_and_a_killed_one_is_followed(
    office: Office, test_clock: SettableClock, shift_seconds: int
) -> None:
    first, standbys = await a_leader_and_standbys(office, 2)
    await test_clock.advance(shift_seconds)

    async def who_acts() -> str:
        """Who fires what falls due from now on."""
        schedule = await office.schedule(EVERY_SECOND)
        await office.wait_runs(schedule, 3, 20.0)
        return (await office.journal.acts())[-1].actor

    acting = await who_acts()
    leader = next(each for each in (first, *standbys) if each.name == acting)
    # The clock is set and the leader is killed in one moment: it has not renewed its lease in between.
    leader.send(signal.SIGSTOP)
    await test_clock.advance(-shift_seconds)
    leader.send(signal.SIGKILL)
    await wait_until(lambda: any(each.leads_now for each in (first, *standbys) if each is not leader), 15.0)
    assert await who_acts() != acting
    await office.journal.assert_one_leader_at_a_time()


async def test_a_clock_that_jumps_again_and_again_fires_each_time_once(
    office: Office, test_clock: SettableClock
) -> None:
    schedule = await office.schedule(IntervalTrigger(every_seconds=1))
    await a_leader_and_standbys(office)
    for shift_seconds in (2, -1.5, 4, -3, 1):
        await test_clock.advance(shift_seconds)
        assert_every_second_once(await office.wait_more_runs(schedule, 1, 20.0))
    await office.journal.assert_one_leader_at_a_time()


async def test_a_leader_of_before_a_restore_writes_nothing_under_an_epoch_that_came_again(
    office: Office, admin_connection: Connection
) -> None:
    """Somebody put back older leases by means of their own, without a new timeline. The epoch of the frozen leader is
    then another's, while it still believes to lead: the fence compares the holder, too.
    """
    schedule = await office.schedule(EVERY_SECOND)
    first = office.leader("first", freeze="before-call")
    await first.says("stops itself")
    assert first.led_epochs() == [1]
    await admin_connection.execute("DELETE FROM scheduler.leases; DELETE FROM journal.terms")

    second = office.leader("second")
    assert await second.says("leads") == "leads 1"
    await office.wait_runs(schedule, 2)
    # It goes on at once, within its own trust as far as it can tell, and with what it had decided.
    first.send(signal.SIGCONT)
    await first.says("goes on")
    await wait_until(lambda: not first.leads_now, 10.0, "the deposed one knows it")

    assert_every_second_once(await office.wait_more_runs(schedule, 3))
    assert {act.actor for act in await office.journal.acts()} == {"second"}
    await office.journal.assert_one_leader_at_a_time()


async def test_a_store_that_forgets_its_leases_underneath_has_one_leader_again(
    office: Office, admin_connection: Connection
) -> None:
    """The table as it was before anybody led, again and again, while all are at work."""
    schedule = await office.schedule(EVERY_SECOND)
    first, standbys = await a_leader_and_standbys(office, 2)
    for _ in range(3):
        await office.wait_more_runs(schedule, 1)
        await admin_connection.execute("DELETE FROM scheduler.leases; DELETE FROM journal.terms")
        assert_every_second_once(await office.wait_more_runs(schedule, 2, 20.0))

    acts = await office.journal.acts()
    assert [act for act in acts if act.actor != act.holder] == []
    leading = [each for each in (first, *standbys) if each.leads_now]
    assert [each.name for each in leading] == [acts[-1].actor]
    assert await admin_connection.fetchval("SELECT count(*) FROM scheduler.leases") == 1


async def test_a_new_timeline_under_a_leader_deposes_it_and_the_next_epoch_is_far_above(
    office: Office, owner_pool: Pool
) -> None:
    schedule = await office.schedule(EVERY_SECOND)
    await a_leader_and_standbys(office)
    await office.wait_runs(schedule, 1)

    await owner_pool.execute("SELECT scheduler.begin_timeline()")
    runs = await office.wait_more_runs(schedule, 4)
    assert_every_second_once(runs)
    epochs = [epoch for epoch, _ in await office.journal.terms()]
    assert (epochs[0], epochs[-1] > 1_000_000) == (1, True)
    assert (await office.journal.acts())[-1].epoch == epochs[-1]
    assert runs[-1].created_at - runs[0].created_at >= timedelta(seconds=3)
