"""Many processes want one lock, and some of them die, stand still or lose their connections."""

import signal
import subprocess
import sys
from collections.abc import Generator

import pytest

from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.tenants import PostgresTenantStore
from tests.contract.records import create_tenants
from tests.integration.locks.contender import NAME
from tests.integration.locks.resource import Entry, Resource, doubled
from tests.support.postgres import ClonedDatabase
from tests.support.waiting import wait_until

PROCESSES = 5
CONTENDERS_EACH = 10
ROUNDS = 4

Process = subprocess.Popen[str]


class Contenders:
    """Starts processes of contenders; kills what is left of them at the end."""

    def __init__(self, database: ClonedDatabase) -> None:
        self._urls = database.urls
        self.processes: list[Process] = []

    def start(self, count: int, rounds: int, hold_seconds: float, ttl_seconds: float) -> Process:
        numbers = [str(one) for one in (count, rounds, hold_seconds, ttl_seconds)]
        command = [
            sys.executable,
            "-m",
            "tests.integration.locks.contender",
            self._urls.api,
            self._urls.owner,
            *numbers,
        ]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process

    def said(self, process: Process) -> str:
        assert process.stdout is not None
        return process.stdout.readline().strip()

    def tell(self, process: Process) -> None:
        assert process.stdin is not None
        process.stdin.write("go on\n")
        process.stdin.flush()

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()


@pytest.fixture
def contenders(database: ClonedDatabase) -> Generator[Contenders]:
    made = Contenders(database)
    yield made
    made.close()


@pytest.fixture
async def resource(owner_pool: Pool, service_pool: Pool) -> Resource:
    await create_tenants(PostgresTenantStore(service_pool))
    made = Resource(owner_pool)
    await made.create()
    return made


async def entered(resource: Resource, count: int) -> bool:
    return sum(entry.what == "enter" for entry in await resource.journal()) >= count


def test_the_check_of_the_journal_finds_two_inside() -> None:
    good = [Entry(1, "enter", True), Entry(1, "leave", True), Entry(3, "enter", True), Entry(3, "leave", True)]
    assert doubled(good) == []
    assert doubled([*good, Entry(2, "leave", True)]) == [Entry(2, "leave", True)]
    assert doubled([*good, Entry(2, "leave", False)]) == []
    assert doubled([*good, Entry(3, "enter", True)]) == [Entry(3, "enter", True)]


@pytest.mark.both_engines
async def test_of_fifty_contenders_one_is_inside_though_some_are_killed_and_cut_off(
    contenders: Contenders, resource: Resource, admin_connection: Connection
) -> None:
    several = [contenders.start(CONTENDERS_EACH, ROUNDS, 0.002, 2.0) for _ in range(PROCESSES)]
    await wait_until(lambda: entered(resource, 10), 60, "ten entered")
    several[0].send_signal(signal.SIGKILL)
    for count in (30, 60):
        await wait_until(lambda count=count: entered(resource, count), 60, f"{count} entered")
        await admin_connection.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'contender'"
        )
    for process in several[1:]:
        await wait_until(lambda process=process: process.poll() is not None, 90, "a contender's end")
        assert process.returncode == 0

    journal = await resource.journal()
    assert doubled(journal) == []
    entries = [entry.token for entry in journal if entry.what == "enter" and entry.accepted]
    assert entries == sorted(set(entries))
    assert len(entries) >= (PROCESSES - 1) * CONTENDERS_EACH * ROUNDS


async def test_a_killed_holder_is_followed_when_its_time_has_ended(contenders: Contenders, resource: Resource) -> None:
    holder = contenders.start(1, 0, 0, 1.0)
    assert [contenders.said(holder) for _ in range(2)] == ["ready", "entered 1"]
    holder.send_signal(signal.SIGKILL)
    follower = contenders.start(1, 1, 0, 5.0)
    await wait_until(lambda: follower.poll() == 0, 20, "the follower's end")

    assert [entry.token for entry in await resource.journal()] == [1, 2, 2]


async def test_the_late_write_of_a_holder_that_stood_still_is_refused_by_its_token(
    contenders: Contenders, resource: Resource
) -> None:
    frozen = contenders.start(1, 0, 0, 1.0)
    assert [contenders.said(frozen) for _ in range(2)] == ["ready", "entered 1"]
    frozen.send_signal(signal.SIGSTOP)
    contenders.tell(frozen)
    follower = contenders.start(1, 1, 0, 5.0)
    await wait_until(lambda: follower.poll() == 0, 20, "the follower's end")
    frozen.send_signal(signal.SIGCONT)

    assert [contenders.said(frozen) for _ in range(2)] == ["refused", "not released LOCK_LOST"]
    journal = await resource.journal()
    assert [(entry.token, entry.what, entry.accepted) for entry in journal] == [
        (1, "enter", True),
        (2, "enter", True),
        (2, "leave", True),
        (1, "leave", False),
    ]


async def test_the_time_of_a_stalled_row_is_bounded_for_its_contenders(
    resource: Resource, contenders: Contenders, owner_pool: Pool
) -> None:
    """A process that froze between the look and its commit keeps the row's lock for a while."""
    first = contenders.start(1, 1, 0, 1.0)
    await wait_until(lambda: first.poll() == 0, 20, "the first one's end")
    async with owner_pool.acquire() as frozen, frozen.transaction():
        await frozen.execute("SELECT FROM scheduler.locks WHERE name = $1 FOR UPDATE", NAME)
        second = contenders.start(1, 1, 0, 1.0)
        assert contenders.said(second) == "ready"
        assert not await entered(resource, 2)
    await wait_until(lambda: second.poll() == 0, 20, "the second one's end")
    assert [entry.token for entry in await resource.journal()] == [1, 1, 2, 2]
