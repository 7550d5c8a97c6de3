"""Three `rota server` processes over one database: killed, frozen, told to go, and the database taken from them."""

import signal
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.integration.services.journal import Journal
from tests.integration.services.servers import OwnDatabase, ServerProcess, leading_pid
from tests.support.waiting import wait_until

# Behind the API's back: who creates schedules is not what is tested. From its making on, every half second.
EVERY_HALF_SECOND = """
WITH made AS (
    INSERT INTO scheduler.schedules (id, tenant_id, name, enabled, target, policies, created_at, created_by, updated_at,
                                     updated_by)
    SELECT gen_random_uuid(), 'default', 'ticking', true, '{"kind": "task", "task": "report"}', '{"overlap": "allow"}',
           now(), 't', now(), 't'
    RETURNING id
)
INSERT INTO scheduler.triggers (id, schedule_id, tenant_id, position, spec, anchor_at, next_fire_at)
SELECT gen_random_uuid(), id, 'default', 1, '{"kind": "interval", "every_seconds": 0.5}', now(),
       now() + interval '0.5 seconds'
  FROM made
"""
FIRE_TIMES = "SELECT fire_at FROM scheduler.runs ORDER BY fire_at"


class Fleet:
    """The servers and what the database tells of them."""

    def __init__(self, database: OwnDatabase, directory: Path) -> None:
        self.database = database
        self._directory = directory
        self.servers: list[ServerProcess] = []

    def start(self) -> ServerProcess:
        server = ServerProcess(f"server-{len(self.servers)}", self.database.url, self._directory)
        self.servers.append(server)
        return server

    async def prepare(self, count: int) -> None:
        for _ in range(count):
            self.start()
        for server in self.servers:
            await server.wait_ready()
        admin = await self.database.admin()
        await Journal(admin).install()
        await admin.execute(EVERY_HALF_SECOND)
        await admin.close()

    async def leader(self, *but: ServerProcess) -> ServerProcess:
        """The one that holds the lease, once it is none of *but*."""

        async def found() -> ServerProcess | None:
            pid = await leading_pid(self.database)
            return next((each for each in self.servers if each.process.pid == pid and each not in but), None)

        leader = await wait_until(found, 20.0, "a server leads")
        assert leader is not None
        return leader

    async def fire_times(self) -> list[datetime]:
        admin = await self.database.admin()
        rows = await admin.fetch(FIRE_TIMES)
        await admin.close()
        return [row["fire_at"] for row in rows]

    async def wait_up_to_date(self) -> None:
        """Until what falls due is fired in time again, and nothing of before is missing or there twice."""

        async def is_up_to_date() -> bool:
            times = await self.fire_times()
            now = datetime.now(UTC)  # noqa: TID251 - of the same machine as the database's
            return len(times) > 2 and now - times[-1] < timedelta(seconds=1)

        since = len(await self.fire_times())
        await wait_until(is_up_to_date, 30.0, "what falls due is fired")
        await wait_until(lambda: self._has_more_than(since + 3), 30.0, "it goes on")
        times = await self.fire_times()
        assert {after - before for before, after in pairwise(times)} == {timedelta(seconds=0.5)}

    async def _has_more_than(self, count: int) -> bool:
        return len(await self.fire_times()) > count

    async def assert_one_leader_at_a_time(self) -> None:
        admin = await self.database.admin()
        await Journal(admin).assert_one_leader_at_a_time()
        await admin.close()

    async def close(self) -> None:
        for server in self.servers:
            server.end()
        await self.database.close()


@pytest.fixture
async def fleet(server_root: Path, tmp_path: Path) -> AsyncGenerator[Fleet]:
    database = OwnDatabase(server_root)
    await database.start()
    made = Fleet(database, tmp_path)
    yield made
    await made.close()


async def test_servers_that_are_killed_frozen_and_told_to_go_are_each_followed(fleet: Fleet) -> None:
    await fleet.prepare(3)
    first = await fleet.leader()
    first.send(signal.SIGSTOP)
    second = await fleet.leader(first)
    await fleet.wait_up_to_date()
    first.send(signal.SIGCONT)
    await fleet.wait_up_to_date()

    second.send(signal.SIGKILL)
    third = await fleet.leader(second)
    await fleet.wait_up_to_date()

    third.send(signal.SIGTERM)
    await fleet.leader(second, third)
    assert third.process.wait(20) == 0
    await fleet.wait_up_to_date()
    await fleet.assert_one_leader_at_a_time()
    assert "Traceback" not in "".join(each.log for each in fleet.servers)


async def test_a_database_that_is_restarted_under_a_leader_and_under_a_starting_replica_loses_nothing(
    fleet: Fleet,
) -> None:
    await fleet.prepare(2)
    await fleet.leader()
    await fleet.database.restart()
    await fleet.wait_up_to_date()

    # At whatever point of its start the replica is: it waits for the database, or is connected to the one that goes.
    late = fleet.start()
    await fleet.database.restart()
    await late.wait_ready()
    later = fleet.start()
    await wait_until(lambda: later.log != "" or later.process.poll() is not None, 20.0, "it has begun")
    await fleet.database.restart()
    await later.wait_ready()
    await fleet.wait_up_to_date()

    for standing in fleet.servers[:2]:
        standing.send(signal.SIGKILL)
    await fleet.leader(*fleet.servers[:2])
    await fleet.wait_up_to_date()
    await fleet.assert_one_leader_at_a_time()
    assert [each.process.poll() for each in (late, later)] == [None, None]
