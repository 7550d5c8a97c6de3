"""What is told of why a run waits is what claims go by; nothing of it is written, or told to another tenant."""

from datetime import timedelta

import pytest
from msgspec import structs

from rota.domain.dependencies import Upstream
from rota.domain.ids import RunId, ScheduleId
from rota.domain.limit import Limit
from rota.domain.policies import RunPolicy
from rota.domain.tenancy import AuditEntry
from rota.domain.waiting import LimitFact, WaitFacts
from rota.ports.wait_reader import WaitReader
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.waits import MemoryWaitReader
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.waits import PostgresWaitReader
from tests.contract.records import ACME, GLOBEX, new_id
from tests.contract.run_stores import RunStores, draft, retry
from tests.contract.stores import START

SET = AuditEntry("root", "set", "limit", "queue/default", "req-3")


@pytest.fixture
def waits(backend: str, request: pytest.FixtureRequest) -> WaitReader:
    if backend == "memory":
        database: MemoryDatabase = request.getfixturevalue("memory_database")
        return MemoryWaitReader(database)
    service_pool: Pool = request.getfixturevalue("service_pool")
    return PostgresWaitReader(service_pool)


async def facts(waits: WaitReader, run_id: RunId, task: str | None = "report") -> WaitFacts:
    found = await waits.facts(ACME, run_id, task)
    assert found is not None
    return found


async def test_workers_that_listen_and_those_that_know_the_task_are_counted(runs: RunStores, waits: WaitReader) -> None:
    (run_id,) = await runs.enqueue(draft())
    await runs.worker(queues=("other",))
    assert (await facts(waits, run_id)).listeners_count == 0
    await runs.worker()
    await runs.worker(lease_seconds=5)
    drained = await runs.worker()
    await runs.workers.drain(drained)
    await runs.base.clock.advance(10)
    found = await facts(waits, run_id)
    assert (found.listeners_count, found.capable_count) == (1, 1)
    assert (await facts(waits, run_id, "unknown")).capable_count == 0
    assert (await facts(waits, run_id, None)).capable_count == 1


async def test_a_due_time_a_next_try_and_other_runs(runs: RunStores, waits: WaitReader) -> None:
    (later,) = await runs.enqueue(draft(delay_seconds=60))
    now = await runs.base.clock.now()
    assert (await facts(waits, later)).due_at == now + timedelta(seconds=60)
    _, claimed = await runs.claim_one()
    assert await waits.facts(ACME, claimed.run_id, "report") is None
    (waiting,) = await runs.enqueue(draft(depends_on=(Upstream(run_id=claimed.run_id),)))
    found = await facts(waits, waiting)
    assert (found.due_at, found.upstreams_count) == (None, 1)
    await runs.claims.settle_batch([retry(claimed, delay_seconds=30)])
    tried = await facts(waits, claimed.run_id)
    assert (tried.attempts_count, tried.due_at) == (1, now + timedelta(seconds=30))


async def test_a_taken_turn_is_named(runs: RunStores, waits: WaitReader) -> None:
    schedule_id = ScheduleId(new_id())
    serial = draft(schedule_id=schedule_id, policy=RunPolicy(serial=True))
    first, second = await runs.enqueue(serial, serial)
    assert (await facts(waits, second)).turn_run_id is None
    assert [each.run_id for each in await runs.claim(await runs.worker())] == [first]
    beside = await runs.enqueue(draft(schedule_id=schedule_id))
    assert (await facts(waits, second)).turn_run_id == first
    assert (await facts(waits, beside[0])).turn_run_id is None


async def test_the_limits_of_its_queue_and_tenant(runs: RunStores, waits: WaitReader) -> None:
    limit = Limit("queue", "default", START, "root", 2)
    await runs.limits.put(limit, SET)
    await runs.limits.put(structs.replace(limit, kind="tenant", name="acme", concurrency_max=1), SET)
    await runs.limits.put(structs.replace(limit, kind="tenant", name="globex", concurrency_max=9), SET)
    await runs.enqueue(draft(tenant_id=GLOBEX))
    (_, waiting) = await runs.enqueue(draft(), draft())
    assert len(await runs.claim(await runs.worker())) == 2
    assert (await facts(waits, waiting)).limits == (
        LimitFact("queue", "default", 2, None, 2, 0),
        LimitFact("tenant", "acme", 1, None, 1, 0),
    )


async def test_nothing_is_told_of_a_run_of_another_tenant_or_that_is_unknown(
    runs: RunStores, waits: WaitReader
) -> None:
    (run_id,) = await runs.enqueue(draft())
    for tenant_id, asked in ((GLOBEX, run_id), (ACME, RunId(new_id())), (ACME, RunId("x"))):
        assert await waits.facts(tenant_id, asked, None) is None
