from datetime import timedelta

import pytest

from rota.domain.errors import Stale
from rota.domain.ids import WorkerId
from rota.domain.worker import Renewal, WorkerSpec
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.lane_looks import LaneLooks
from rota.storage.postgres.query_files import query
from tests.contract.records import new_id
from tests.contract.run_stores import RunStores, draft, retry
from tests.contract.stores import START

DEFAULT = ["default"]


async def test_a_renewal_tells_whether_work_is_due_and_when(runs: RunStores) -> None:
    worker_id = await runs.worker()
    empty = await runs.workers.renew_if_live(worker_id, DEFAULT, 60)
    await runs.enqueue(draft(delay_seconds=30), draft(delay_seconds=40, priority=9), draft(queue="other"))
    waiting = await runs.workers.renew_if_live(worker_id, DEFAULT, 60)
    elsewhere = await runs.workers.renew_if_live(worker_id, ["other", "default"], 60)
    await runs.base.clock.advance(35)
    due = await runs.workers.renew_if_live(worker_id, DEFAULT, 60)

    assert empty == Renewal(60)
    assert waiting == Renewal(60, work_is_due=False, next_due_in_seconds=30.0)
    assert elsewhere == Renewal(60, work_is_due=True, next_due_in_seconds=0.0)
    assert due == Renewal(60, work_is_due=True, next_due_in_seconds=0.0)


async def test_a_renewed_lease_lasts_from_the_renewal(runs: RunStores) -> None:
    worker_id = await runs.worker(lease_seconds=10)
    await runs.base.clock.advance(9)
    first = await runs.workers.renew_if_live(worker_id, DEFAULT, 10)
    await runs.base.clock.advance(9)
    second = await runs.workers.renew_if_live(worker_id, DEFAULT, 10)
    await runs.base.clock.advance(10)
    too_late = await runs.workers.renew_if_live(worker_id, DEFAULT, 10)

    assert first is not None
    assert second is not None
    assert too_late is None


async def test_a_worker_that_was_declared_lost_or_stopped_is_not_renewed(runs: RunStores) -> None:
    lost, stopped = await runs.worker(lease_seconds=1), await runs.worker()
    await runs.base.clock.advance(1)
    declared = await runs.workers.mark_lost(10)
    await runs.workers.stop(stopped)

    assert declared == (lost,)
    for worker_id in (lost, stopped, WorkerId(new_id())):
        assert await runs.workers.renew_if_live(worker_id, DEFAULT, 60) is None
    assert await runs.workers.mark_lost(10) == ()
    assert await runs.event_types(None) == ["WorkerLost", "WorkerRegistered", "WorkerRegistered", "WorkerStopped"]


async def test_a_clock_that_is_set_back_prolongs_no_lease_of_a_dead_worker(runs: RunStores) -> None:
    """Its lease is counted anew from the first look; a live one renews, and nothing happens to it."""
    dead, alive = await runs.worker(lease_seconds=3), await runs.worker(lease_seconds=3)
    await runs.enqueue(draft())
    (held,) = await runs.claim(dead)
    await runs.base.clock.advance(-3600)

    assert (await runs.firing.look(5)).lost_workers
    assert await runs.workers.mark_lost(10) == ()
    assert not (await runs.firing.look(5)).lost_workers
    await runs.base.clock.advance(2)
    assert await runs.workers.renew_if_live(alive, DEFAULT, 3) is not None
    await runs.base.clock.advance(1)
    assert (await runs.firing.look(5)).lost_workers
    assert await runs.workers.mark_lost(10) == (dead,)
    assert [lost.claimed.run_id for lost in await runs.claims.find_lost(5, 10)] == [held.run_id]


async def test_a_draining_worker_is_renewed(runs: RunStores) -> None:
    worker_id = await runs.worker()
    await runs.workers.drain(worker_id)

    assert await runs.workers.renew_if_live(worker_id, DEFAULT, 60) is not None


async def test_registering_again_is_harmless_while_the_worker_is_live(runs: RunStores) -> None:
    spec = WorkerSpec(WorkerId(new_id()), "w", ("a", "b"), 4, ("t",), "host", 7, "0.1")
    await runs.workers.register(spec, 10)
    await runs.base.clock.advance(5)
    await runs.workers.register(spec, 10)
    (worker,) = await runs.workers.list_recent(5)
    await runs.base.clock.advance(10)

    assert (worker.started_at, worker.lease_expires_at) == (START, START + timedelta(seconds=15))
    with pytest.raises(Stale):
        await runs.workers.register(spec, 10)
    assert await runs.event_types(None) == ["WorkerRegistered"]


async def test_the_list_shows_live_workers_first_and_then_the_latest_to_leave(runs: RunStores) -> None:
    first, second, third = [await runs.worker() for _ in range(3)]
    await runs.enqueue(draft(), draft())
    await runs.claim(third)
    await runs.base.clock.advance(1)
    await runs.workers.stop(first)
    await runs.base.clock.advance(1)
    await runs.workers.stop(second)
    listed = await runs.workers.list_recent(10)

    assert [(w.id, w.state, w.running_count) for w in listed] == [
        (third, "active", 2),
        (second, "stopped", 0),
        (first, "stopped", 0),
    ]
    assert (listed[0].queues, listed[0].slots, listed[0].tasks) == (("default",), 10, ("report",))
    assert len(await runs.workers.list_recent(2)) == 2


async def test_a_worker_that_has_left_is_looked_after_until_it_was_seen_to_hold_nothing(runs: RunStores) -> None:
    stopped, claimed = await runs.claim_one()
    lost, staying = await runs.worker(lease_seconds=5), await runs.worker()
    assert await runs.workers.clear_departed(10) == 0

    await runs.workers.stop(stopped)
    await runs.base.clock.advance(5)
    await runs.workers.mark_lost(10)
    assert await runs.workers.clear_departed(10) == 1
    assert (await runs.firing.look(5, START)).lost_workers
    (found,) = await runs.claims.find_lost(5, 10, START)
    assert (found.claimed.run_id, found.worker_id, found.outcome) == (claimed.run_id, stopped, "lost")
    assert await runs.claims.settle_batch([retry(claimed)]) != ()

    assert (await runs.firing.look(5, START)).lost_workers
    assert [await runs.workers.clear_departed(10) for _ in range(2)] == [1, 0]
    assert not (await runs.firing.look(5, START)).lost_workers
    assert len(await runs.claim(staying)) == 1
    assert {each.state for each in await runs.workers.list_recent(10) if each.id != staying} == {"stopped", "lost"}
    assert lost != stopped


async def test_no_more_workers_are_cleared_than_asked_for(runs: RunStores) -> None:
    for _ in range(3):
        await runs.workers.stop(await runs.worker())
    assert [await runs.workers.clear_departed(2) for _ in range(3)] == [2, 1, 0]


@pytest.mark.parametrize("backend", ["pg18", "pg15"], indirect=True)
async def test_a_worker_for_which_a_claim_is_under_way_is_not_cleared(runs: RunStores, service_pool: Pool) -> None:
    """It may be committed after the worker has left, and what it took is found."""
    await runs.enqueue(draft())
    worker_id = await runs.worker()
    async with service_pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(
            query("live_runs/claim_plain_batch"), worker_id, "default", 1, *LaneLooks().plan(1)
        )
        assert len(rows) == 2
        await runs.workers.stop(worker_id)
        assert await runs.workers.clear_departed(10) == 0

    assert await runs.workers.clear_departed(10) == 0
    assert len(await runs.claims.find_lost(5, 10, START)) == 1
