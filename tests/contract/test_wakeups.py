import asyncio
from collections.abc import AsyncGenerator

import pytest

from rota.adapters.system_clock import SystemClock
from rota.domain.errors import Unavailable
from rota.storage.memory.wakeups import MemoryWakeups
from rota.storage.postgres.connections import ConnectRetry, open_connection
from rota.storage.postgres.driver import Connection
from rota.storage.postgres.logins import Login
from rota.storage.postgres.wakeups import PostgresWakeups
from tests.support.postgres import ClonedDatabase
from tests.support.waiting import loop_sleep, wait_until

LISTENERS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test wake-ups'"


@pytest.fixture
async def two_processes(database: ClonedDatabase) -> AsyncGenerator[list[PostgresWakeups]]:
    """Two sets of wake-ups that know of each other by the database alone, both listening."""

    async def connect() -> Connection:
        return await open_connection(
            database.urls.service,
            Login.SERVICE,
            application_name="test wake-ups",
            sleep=loop_sleep,
            retry=ConnectRetry(attempts_max=1),
        )

    made = [PostgresWakeups(connect, SystemClock()) for _ in range(2)]
    tasks = [asyncio.create_task(wakeups.run(), name=f"wake-ups {place}") for place, wakeups in enumerate(made)]
    for wakeups in made:
        await asyncio.wait_for(wakeups.listening.wait(), 10)
    yield made
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.both_engines
async def test_an_announcement_wakes_this_process_and_the_other(two_processes: list[PostgresWakeups]) -> None:
    here, there = two_processes
    mine, theirs, elsewhere = here.subscribe("queue:a"), there.subscribe("queue:a"), there.subscribe("queue:b")
    here.announce("queue:a")

    assert mine.is_set()
    await asyncio.wait_for(theirs.wait(), 10)
    assert not elsewhere.is_set()


@pytest.mark.both_engines
async def test_one_readers_clearing_takes_nothing_from_another(two_processes: list[PostgresWakeups]) -> None:
    here, there = two_processes
    one, two = there.subscribe("schedules"), there.subscribe("schedules")
    here.announce("schedules")
    await asyncio.wait_for(one.wait(), 10)
    one.clear()

    assert two.is_set()


@pytest.mark.both_engines
async def test_many_announcements_of_a_topic_travel_as_few(
    two_processes: list[PostgresWakeups], admin_connection: Connection
) -> None:
    here, there = two_processes
    heard: list[str] = []

    def listen(_connection: Connection, _pid: int, _channel: str, topic: str) -> None:
        heard.append(topic)

    await admin_connection.add_listener("rota_wakeups", listen)
    last = there.subscribe("queue:last")
    for _ in range(1_000):
        here.announce("queue:a")
    here.announce("queue:last")
    await asyncio.wait_for(last.wait(), 10)
    await wait_until(lambda: "queue:last" in heard)

    assert heard.count("queue:a") == 1


@pytest.mark.both_engines
async def test_a_broken_connection_is_replaced_and_its_subscribers_are_woken(
    two_processes: list[PostgresWakeups], admin_connection: Connection
) -> None:
    here, there = two_processes
    theirs = there.subscribe("queue:a")
    await admin_connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test wake-ups'"
    )
    await asyncio.wait_for(theirs.wait(), 10)
    await wait_until(lambda: here.listening.is_set() and there.listening.is_set())
    theirs.clear()
    here.announce("queue:a")

    await asyncio.wait_for(theirs.wait(), 10)
    assert await admin_connection.fetchval(LISTENERS) == 2


async def test_what_is_announced_just_before_the_end_still_travels(two_processes: list[PostgresWakeups]) -> None:
    here, there = two_processes
    theirs = there.subscribe("schedules")
    (running,) = [task for task in asyncio.all_tasks() if task.get_name() == "wake-ups 0"]

    here.announce("schedules")
    running.cancel()

    await asyncio.wait_for(theirs.wait(), 10)
    assert (await asyncio.gather(running, return_exceptions=True))[0].__class__ is asyncio.CancelledError


async def test_without_a_server_announcing_still_wakes_this_process() -> None:
    async def refuse() -> Connection:
        raise Unavailable("there is no server")

    wakeups = PostgresWakeups(refuse, SystemClock())
    task = asyncio.ensure_future(wakeups.run())
    mine = wakeups.subscribe("schedules")
    wakeups.announce("schedules")

    assert mine.is_set()
    assert not wakeups.listening.is_set()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_in_memory_only_this_process_is_woken() -> None:
    wakeups = MemoryWakeups()
    mine, other = wakeups.subscribe("cancel"), wakeups.subscribe("logs")
    wakeups.announce("cancel")

    assert (mine.is_set(), other.is_set()) == (True, False)
