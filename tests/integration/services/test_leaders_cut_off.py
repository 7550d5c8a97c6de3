"""Leaders whose way to the database is cut: sessions are ended, or packets vanish without a word."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from rota.storage.postgres.connections import open_connection
from rota.storage.postgres.driver import Connection
from rota.storage.postgres.logins import Login
from rota.storage.postgres.wakeups import PostgresWakeups
from tests.integration.services.conftest import CLOCK, Office
from tests.integration.services.proxy import Proxy
from tests.integration.services.test_leaders import EVERY_SECOND, assert_every_second_once
from tests.support.postgres import ClonedDatabase
from tests.support.waiting import loop_sleep, wait_until

END_SESSIONS = """
SELECT count(pg_terminate_backend(pid))
  FROM pg_stat_activity
 WHERE datname = current_database() AND application_name LIKE $1
"""


@pytest.fixture
async def proxy(database: ClonedDatabase) -> AsyncGenerator[Proxy]:
    made = Proxy(database.urls.service)
    yield made
    await made.close()


@pytest.mark.parametrize("ended", ["first lease", "first", "first%"])
async def test_a_leader_whose_sessions_are_ended_goes_on_and_nothing_is_lost(
    office: Office, admin_connection: Connection, ended: str
) -> None:
    """The lease's own session, the fenced ones, or all: new ones are opened before the lease ends."""
    schedule = await office.schedule(EVERY_SECOND)
    first = office.leader("first")
    await first.says("leads")
    second = office.leader("second")
    await second.says("stands by")
    await office.wait_runs(schedule, 1)

    for _ in range(3):
        assert await admin_connection.fetchval(END_SESSIONS, ended) >= 1
        assert_every_second_once(await office.wait_more_runs(schedule, 2))
    await office.journal.assert_one_leader_at_a_time()


async def test_when_all_sessions_are_ended_at_once_somebody_leads_on(
    office: Office, admin_connection: Connection
) -> None:
    schedule = await office.schedule(EVERY_SECOND)
    names = ("first", "second", "third")
    leaders = [office.leader(name) for name in names]
    await office.wait_runs(schedule, 1)

    for _ in range(5):
        for name in names:
            await admin_connection.fetchval(END_SESSIONS, f"{name}%")
        assert_every_second_once(await office.wait_more_runs(schedule, 1))
    await office.journal.assert_one_leader_at_a_time()
    assert [each.process.poll() for each in leaders] == [None, None, None]


@pytest.mark.parametrize("for_old_sessions", [True, False])
async def test_a_leader_in_a_black_hole_is_followed_knows_it_and_can_lead_again(
    office: Office, proxy: Proxy, *, for_old_sessions: bool
) -> None:
    """Nothing is refused and nothing is closed: only time-outs tell."""
    schedule = await office.schedule(EVERY_SECOND)
    first = office.leader("first", url=await proxy.start())
    await first.says("leads")
    second = office.leader("second")
    await second.says("stands by")
    await office.wait_runs(schedule, 2)

    proxy.swallow()
    await wait_until(lambda: not first.leads_now, 10.0, "it knows that it leads no more")
    await second.says("leads 2")
    assert_every_second_once(await office.wait_more_runs(schedule, 6))

    proxy.heal(for_old_sessions=for_old_sessions)
    assert_every_second_once(await office.wait_more_runs(schedule, 2))
    second.end()
    # Not only that it says so: it acts.
    await wait_until(lambda: first.leads_now, 15.0, "it leads again")
    assert_every_second_once(await office.wait_more_runs(schedule, 3))
    await office.journal.assert_one_leader_at_a_time()


async def test_a_replica_that_starts_in_a_black_hole_stands_by_when_it_is_out(office: Office, proxy: Proxy) -> None:
    schedule = await office.schedule(EVERY_SECOND)
    url = await proxy.start()
    proxy.swallow()
    second = office.leader("second", url=url)
    first = office.leader("first")
    await first.says("leads")
    await office.wait_runs(schedule, 3)
    assert second.lines() == []

    proxy.heal(for_old_sessions=False)
    await second.says("stands by")
    first.end()
    await second.says("leads")
    assert_every_second_once(await office.wait_more_runs(schedule, 2))
    await office.journal.assert_one_leader_at_a_time()


async def test_wakeups_are_heard_again_where_the_listening_session_leads_nowhere(
    database: ClonedDatabase, proxy: Proxy
) -> None:
    """The session is never closed; that an announcement is not answered tells."""
    url = await proxy.start()
    cut_off, other = wakeups_over(url), wakeups_over(database.urls.service)
    tasks = [asyncio.create_task(each.run()) for each in (cut_off, other)]
    for each in (cut_off, other):
        await asyncio.wait_for(each.listening.wait(), 10)
    woken = cut_off.subscribe("queue:default")
    proxy.swallow()
    proxy.heal(for_old_sessions=False)
    cut_off.announce("anything")
    await wait_until(lambda: not cut_off.listening.is_set(), 20.0, "it gives the session up")
    await asyncio.wait_for(cut_off.listening.wait(), 20)

    woken.clear()
    other.announce("queue:default")
    await asyncio.wait_for(woken.wait(), 10)
    assert woken.is_set()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def wakeups_over(url: str) -> PostgresWakeups:
    async def connect() -> Connection:
        return await open_connection(url, Login.SERVICE, application_name="test wake-ups", sleep=loop_sleep)

    return PostgresWakeups(connect, CLOCK)
