"""Within a priority tenants share what workers take, by weight; what is due comes before what sleeps."""

from collections import Counter

import pytest

from rota.domain.ids import ScheduleId, TenantId
from rota.domain.policies import RunPolicy
from rota.domain.run import ClaimedRun
from rota.domain.tenancy import AuditEntry
from tests.contract.records import ACME, GLOBEX, new_id, tenant
from tests.contract.run_stores import RunStores, draft, retry, success

WEIGH = AuditEntry("root", "weigh", "tenant", "globex", "req-9")
QUEUES = pytest.mark.parametrize("queues", [["default"], ["default", "b"]])


def counted(claimed: list[ClaimedRun]) -> dict[TenantId, int]:
    return dict(Counter(each.tenant_id for each in claimed))


async def backlog(runs: RunStores, tenant_id: TenantId, count: int, priority: int = 0) -> list[str]:
    return list(await runs.enqueue(*(draft(tenant_id=tenant_id, priority=priority) for _ in range(count))))


@QUEUES
async def test_a_light_tenant_is_not_behind_the_backlog_of_another(runs: RunStores, queues: list[str]) -> None:
    await backlog(runs, ACME, 60)
    worker_id = await runs.worker()
    await runs.claim(worker_id, 10, queues)
    (light,) = await backlog(runs, GLOBEX, 1)

    assert light in {each.run_id for each in await runs.claim(worker_id, 2, queues)}


@QUEUES
@pytest.mark.parametrize("limit", [1, 3, 8])
async def test_tenants_share_by_weight(runs: RunStores, queues: list[str], limit: int) -> None:
    await runs.base.tenants.weigh(GLOBEX, 3, WEIGH)
    await backlog(runs, ACME, 60)
    await backlog(runs, GLOBEX, 60)
    worker_id, served = await runs.worker(), Counter[TenantId]()
    while served.total() < 48:
        served += Counter(counted(await runs.claim(worker_id, limit, queues)))

    assert abs(served[GLOBEX] / served.total() - 0.75) <= (0.13 if len(queues) > 1 else 0.07)


@QUEUES
async def test_a_batch_is_filled_while_anybody_has_runs(runs: RunStores, queues: list[str]) -> None:
    await backlog(runs, ACME, 30)
    await backlog(runs, GLOBEX, 2)
    worker_id = await runs.worker()
    await runs.claim(worker_id, 2, queues)

    assert len(await runs.claim(worker_id, 30, queues)) == 30
    assert await runs.claim(worker_id, 30, queues) == []


async def test_priority_comes_before_the_share(runs: RunStores) -> None:
    await backlog(runs, ACME, 20, priority=5)
    await backlog(runs, GLOBEX, 5)
    worker_id = await runs.worker()

    assert counted(await runs.claim(worker_id, 20)) == {ACME: 20}
    assert counted(await runs.claim(worker_id, 20)) == {GLOBEX: 5}


@QUEUES
async def test_among_many_tenants_each_gets_one_before_any_gets_many(runs: RunStores, queues: list[str]) -> None:
    """More tenants than a look goes through."""
    names = [TenantId(f"tenant-{n:03}") for n in range(70)]
    for name in names:
        await runs.base.tenants.create(tenant(name), AuditEntry("root", "create", "tenant", name))
        await backlog(runs, name, 3)
    worker_id = await runs.worker()
    first = Counter[TenantId]()
    for _ in range(9):
        first += Counter(counted(await runs.claim(worker_id, 16, queues)))

    assert first.total() == 144
    assert min(first[name] for name in names) >= 1
    assert len(await runs.claim(worker_id, 500, queues)) == 210 - 144
    assert await runs.claim(worker_id, 10, queues) == []


async def test_of_the_serial_runs_tenants_share_too(runs: RunStores) -> None:
    for tenant_id in (ACME, GLOBEX):
        serial = [
            draft(tenant_id=tenant_id, schedule_id=ScheduleId(new_id()), policy=RunPolicy(serial=True))
            for _ in range(20)
        ]
        await runs.enqueue(*serial)
    assert counted(await runs.claim(await runs.worker(), 10)) == {ACME: 5, GLOBEX: 5}


@QUEUES
async def test_what_comes_due_stands_in_its_place_among_what_is_due(runs: RunStores, queues: list[str]) -> None:
    late, first = await runs.enqueue(draft(delay_seconds=2), draft(priority=9, delay_seconds=1))
    await runs.base.clock.advance(3)
    (fresh,) = await runs.enqueue(draft())
    worker_id = await runs.worker()

    assert [(await runs.claim(worker_id, 1, queues))[0].run_id for _ in range(3)] == [first, late, fresh]


async def test_what_was_retried_sleeps_and_is_found(runs: RunStores) -> None:
    worker_id, claimed = await runs.claim_one()
    await runs.claims.settle_batch([retry(claimed, delay_seconds=5)])
    asleep = await runs.workers.renew_if_live(worker_id, ["default"], 60)
    assert await runs.claim(worker_id) == []
    await runs.base.clock.advance(5)
    (again,) = await runs.claim(worker_id)

    assert asleep is not None
    assert (asleep.work_is_due, asleep.next_due_in_seconds) == (False, 5.0)
    assert (await runs.claims.settle_batch([success(again)]))[0].accepted


async def test_a_clock_that_is_set_back_takes_what_is_claimable_back_with_it(runs: RunStores) -> None:
    await runs.enqueue(draft())
    worker_id = await runs.worker(lease_seconds=1_000)
    await runs.base.clock.advance(-10)
    assert await runs.claim(worker_id) == []
    told = await runs.workers.renew_if_live(worker_id, ["default"], 1_000)
    await runs.base.clock.advance(10)

    assert told is not None
    assert told.next_due_in_seconds == 10.0
    assert len(await runs.claim(worker_id)) == 1


async def test_weighing_is_told_once_and_kept(runs: RunStores) -> None:
    tenants = runs.base.tenants
    weighed = await tenants.weigh(GLOBEX, 7, WEIGH)
    assert (weighed.weight, await tenants.get(GLOBEX), await tenants.weigh(GLOBEX, 7, WEIGH)) == (7, weighed, weighed)
    assert (await runs.event_types(GLOBEX)).count("TenantWeighed") == 1
    assert (await runs.base.audit.audit_of(GLOBEX)).count(WEIGH) == 1
