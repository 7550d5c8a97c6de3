"""What a limit says holds for whoever claims, from its first moment; and it holds up nothing beside or behind it."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from rota.domain.errors import DomainError
from rota.domain.ids import RunId, ScheduleId, TenantId, WorkerId
from rota.domain.limit import Limit, LimitKind
from rota.domain.page import PageRequest
from rota.domain.policies import RunPolicy
from rota.domain.run import ClaimedRun
from rota.domain.tenancy import AuditEntry
from tests.contract.records import ACME, GLOBEX, new_id
from tests.contract.run_stores import RunStores, draft, retry, success
from tests.contract.stores import START

SET = AuditEntry("root", "set", "limit", "queue/default", "req-3")
QUEUES = pytest.mark.parametrize("queues", [["default"], ["default", "b"]])


async def limit(runs: RunStores, kind: LimitKind, name: str, most: int | None = None, **fields: Any) -> Limit:
    made = Limit(kind, name, START, "root", most)
    return await runs.limits.put(structs.replace(made, **fields), SET)


async def backlog(runs: RunStores, tenant_id: TenantId, count: int, queue: str = "default") -> list[RunId]:
    return await runs.enqueue(*(draft(tenant_id=tenant_id, queue=queue) for _ in range(count)))


@QUEUES
@pytest.mark.parametrize("kind", ["queue", "tenant"])
async def test_no_more_run_than_the_limit_and_each_end_makes_room(
    runs: RunStores, queues: list[str], kind: LimitKind
) -> None:
    name = "default" if kind == "queue" else "acme"
    await limit(runs, kind, name, 3)
    await backlog(runs, ACME, 12)
    worker_id = await runs.worker()
    first = await runs.claim(worker_id, 10, queues)
    assert (len(first), await runs.claim(worker_id, 10, queues)) == (3, [])

    (ended, *_) = await runs.claims.settle_batch([success(first[0])])
    assert ended.startable_queues == ("default",)
    (second,) = await runs.claim(worker_id, 10, queues)
    (retried,) = await runs.claims.settle_batch([retry(second, delay_seconds=60)])
    assert retried.startable_queues == ("default",)
    await runs.claims.give_back_batch([first[1]])
    assert len(await runs.claim(worker_id, 10, queues)) == 2
    state = await runs.limits.get(kind, name)
    assert (state.running_count, state.room) == (3, 0)


@QUEUES
async def test_a_saturated_tenant_or_queue_holds_up_nobody_else(runs: RunStores, queues: list[str]) -> None:
    await limit(runs, "tenant", "acme", 1)
    await backlog(runs, ACME, 20)
    await backlog(runs, GLOBEX, 5)
    worker_id = await runs.worker()
    claimed = await runs.claim(worker_id, 4, queues) + await runs.claim(worker_id, 4, queues)
    assert Counter(each.tenant_id for each in claimed) == {ACME: 1, GLOBEX: 5}

    await limit(runs, "queue", "default", 0)
    other = await backlog(runs, ACME, 1, "b")
    await limit(runs, "tenant", "acme", 2)
    assert [each.run_id for each in await runs.claim(worker_id, 4, ["default", "b"])] == other


async def test_serial_runs_are_counted_too(runs: RunStores) -> None:
    await limit(runs, "queue", "default", 2)
    serial = [draft(schedule_id=ScheduleId(new_id()), policy=RunPolicy(serial=True)) for _ in range(5)]
    await runs.enqueue(*serial)
    worker_id = await runs.worker()
    claimed = await runs.claim(worker_id)
    assert len(claimed) == 2
    await runs.claims.settle_batch([success(each) for each in claimed])
    assert len(await runs.claim(worker_id)) == 2


async def test_what_runs_already_counts_under_a_new_limit_and_is_not_ended(runs: RunStores) -> None:
    await backlog(runs, ACME, 10)
    worker_id = await runs.worker()
    held = await runs.claim(worker_id, 4)
    await limit(runs, "queue", "default", 3)
    assert (await runs.limits.get("queue", "default")).running_count == 4
    await runs.claims.settle_batch([success(held[0])])
    assert await runs.claim(worker_id) == []
    await runs.claims.settle_batch([success(held[1])])
    assert len(await runs.claim(worker_id)) == 1


async def test_a_lost_run_counts_until_it_is_rescued(runs: RunStores) -> None:
    await limit(runs, "queue", "default", 1)
    await backlog(runs, ACME, 2)
    await runs.claim(await runs.worker(lease_seconds=10))
    await runs.base.clock.advance(20)
    worker_id = await runs.worker()
    assert await runs.claim(worker_id) == []
    (lost,) = await runs.claims.find_lost(5, 10)
    await runs.claims.settle_batch([retry(lost.claimed, outcome="lost", delay_seconds=60)])
    assert len(await runs.claim(worker_id)) == 1


@QUEUES
async def test_a_queues_rate_is_kept_by_the_stores_clock(runs: RunStores, queues: list[str]) -> None:
    await limit(runs, "queue", "default", rate_per_second=2.0, burst=4)
    await backlog(runs, ACME, 30)
    worker_id, begun = await runs.worker(lease_seconds=1_000), list[int]()
    for seconds in (0.0, 0.0, 0.25, 0.25, 1.5, 100.0, 0.0):
        await runs.base.clock.advance(seconds)
        begun.append(len(await runs.claim(worker_id, 10, queues)))

    assert begun == [4, 0, 0, 1, 3, 4, 0]


async def test_a_changed_limit_is_versioned_told_and_audited_and_the_same_one_is_not(runs: RunStores) -> None:
    first = await limit(runs, "queue", "default", 3)
    await runs.base.clock.advance(1)
    assert await limit(runs, "queue", "default", 3) == first
    second = await limit(runs, "queue", "default", 4, rate_per_second=1.0, burst=2)
    assert (second.version, second.updated_at) == (2, START + timedelta(seconds=1))
    await limit(runs, "tenant", "acme", 3)
    page = await runs.limits.page(PageRequest(limit=1))
    rest = await runs.limits.page(PageRequest(limit=1, cursor=page.next_cursor))
    assert [state.limit.kind for state in page.items + rest.items] == ["queue", "tenant"]
    assert (page.total_count, rest.next_cursor) == (2, None)

    assert await runs.limits.remove("queue", "default", SET) == second
    with pytest.raises(DomainError, match="no limit of the queue"):
        await runs.limits.get("queue", "default")
    with pytest.raises(DomainError, match="no limit of the queue"):
        await runs.limits.remove("queue", "default", SET)
    told = [kind for kind in await runs.event_types(None) if kind.startswith("Limit")]
    assert told == ["LimitRemoved", "LimitSet", "LimitSet", "LimitSet"]
    assert (await runs.base.audit.audit_of(None)).count(SET) == 4


@pytest.mark.parametrize("kind", ["queue", "tenant"])
async def test_many_workers_at_once_never_run_more_than_the_limit(runs: RunStores, kind: LimitKind) -> None:
    """Claims, ends, retries and gifts back race, and the limit is set in their midst."""
    most, race = 3, Race(runs)
    await runs.enqueue(*(draft(priority=n % 2, queue="ab"[n % 3 == 0]) for n in range(90)))
    if kind == "queue":
        await limit(runs, "queue", "a", most)
    workers = [await runs.worker() for _ in range(6)]

    async def set_midway() -> None:
        if kind == "tenant":
            await limit(runs, "tenant", "acme", most)
        race.most, race.kind = most, kind

    await asyncio.gather(set_midway(), *(race.work(worker_id, n) for n, worker_id in enumerate(workers)))
    assert race.exceeded == []
    assert race.ended == 90


class Race:
    """`running` is what workers know to be running: entered after a claim, left before its end is told."""

    def __init__(self, runs: RunStores) -> None:
        self.runs = runs
        self.running: set[RunId] = set()
        self.queue_of: dict[RunId, str] = {}
        self.kind: str | None = None
        self.most = 90
        self.ended = 0
        self.exceeded: list[int] = []

    async def work(self, worker_id: WorkerId, number: int) -> None:
        idle, queues = 0, (["a", "b"], ["a"], ["b"])[number % 3]
        while self.ended < 90 and idle < 400:
            # What was asked for before the limit was set may have come before it.
            was_set = self.kind is not None
            claimed = await self.runs.claim(worker_id, 1 + number % 4, queues)
            idle = 0 if claimed else idle + 1
            self.running |= {each.run_id for each in claimed if was_set}
            self.queue_of |= {each.run_id: each.queue for each in claimed}
            if len(self.counted()) > self.most:
                self.exceeded.append(len(self.counted()))
            await self.runs.base.clock.now()  # the others may act meanwhile
            await self.end(claimed)

    def counted(self) -> set[RunId]:
        return {run_id for run_id in self.running if self.kind == "tenant" or self.queue_of[run_id] == "a"}

    async def end(self, claimed: list[ClaimedRun]) -> None:
        self.running -= {each.run_id for each in claimed}
        again = [each for each in claimed if each.token >> 32 == 1 and int(each.run_id[-1], 16) % 3 == 0]
        ended = [each for each in claimed if each not in again]
        await self.runs.claims.give_back_batch(again[::2])
        await self.runs.claims.settle_batch([retry(each) for each in again[1::2]] + [success(each) for each in ended])
        self.ended += len(ended)
