"""However a followed run ends, each of its followers is told once, with the state that it ended in."""

import pytest

from rota.domain.ids import RunId
from rota.storage.memory.run_ends import follow_if_live as follow_in_memory
from rota.storage.postgres.connections import tenant_transaction
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.run_ends import follow_if_live as follow_in_postgres
from tests.contract.records import ACME, GLOBEX
from tests.contract.run_stores import AUDIT, RunStores, draft, retry, success


async def told(runs: RunStores, follower: str) -> list[tuple[RunId, str]]:
    return [(end.run_id, end.state) for end in await runs.ends.list_of(follower, 100)]


async def test_a_run_that_nobody_follows_is_told_to_nobody(runs: RunStores) -> None:
    _, claimed = await runs.claim_one()
    await runs.claims.settle_batch([success(claimed)])
    look = await runs.firing.look(None)
    assert (look.ended_for, look.follows_live) == ((), False)


async def test_each_follower_is_told_once_of_a_success(runs: RunStores) -> None:
    _, claimed = await runs.claim_one(draft(followers=("ones", "others", "ones")))
    look = await runs.firing.look(None)
    assert (look.ended_for, look.follows_live) == ((), True)
    await runs.claims.settle_batch([success(claimed)])

    look = await runs.firing.look(None)
    assert (look.ended_for, look.follows_live) == (("ones", "others"), False)
    (end,) = await runs.ends.list_of("ones", 10)
    assert (end.tenant_id, end.run_id, end.state) == (ACME, claimed.run_id, "succeeded")
    assert end.ended_at == await runs.base.clock.now()
    assert await told(runs, "others") == [(claimed.run_id, "succeeded")]
    assert await told(runs, "strangers") == []


async def test_alike_successes_among_others_are_told(runs: RunStores) -> None:
    followed = await runs.enqueue(*(draft(followers=("ones",)) for _ in range(3)), draft())
    claimed = await runs.claim(await runs.worker())
    await runs.claims.settle_batch([success(each) for each in claimed])
    assert sorted(await told(runs, "ones")) == sorted((run_id, "succeeded") for run_id in followed[:3])


async def test_a_failed_try_is_no_end_and_the_last_one_is(runs: RunStores) -> None:
    worker_id, claimed = await runs.claim_one(draft(followers=("ones",)))
    await runs.claims.settle_batch([retry(claimed)])
    assert await told(runs, "ones") == []

    (again,) = await runs.claim(worker_id)
    await runs.claims.settle_batch([success(again, verb="fail", outcome="failed")])
    assert await told(runs, "ones") == [(claimed.run_id, "failed")]


async def test_an_end_under_a_stale_token_is_not_told(runs: RunStores) -> None:
    worker_id, claimed = await runs.claim_one(draft(followers=("ones",)))
    await runs.claims.settle_batch([retry(claimed)])
    await runs.claim(worker_id)
    await runs.claims.settle_batch([success(claimed)])
    assert await told(runs, "ones") == []


async def test_a_cancelled_run_is_told_when_it_has_ended(runs: RunStores) -> None:
    (waiting,) = await runs.enqueue(draft(followers=("ones",)))
    await runs.control.cancel_if_live(ACME, waiting, AUDIT)
    assert await told(runs, "ones") == [(waiting, "cancelled")]

    _, claimed = await runs.claim_one(draft(followers=("others",)))
    await runs.control.cancel_if_live(ACME, claimed.run_id, AUDIT)
    assert await told(runs, "others") == []
    await runs.claims.settle_batch([retry(claimed)])
    assert await told(runs, "others") == [(claimed.run_id, "cancelled")]


async def test_what_is_worked_off_is_told_no_more(runs: RunStores) -> None:
    run_ids = await runs.enqueue(*(draft(followers=("ones", "others")) for _ in range(3)))
    for run_id in run_ids:
        await runs.control.cancel_if_live(ACME, run_id, AUDIT)
    first, *_ = await runs.ends.list_of("ones", 1)
    await runs.ends.forget("ones", [first.id, 12_345])

    assert await told(runs, "ones") == [(run_id, "cancelled") for run_id in run_ids[1:]]
    assert len(await told(runs, "others")) == 3


async def test_a_live_run_gains_a_follower_and_an_ended_one_does_not(
    runs: RunStores, backend: str, request: pytest.FixtureRequest
) -> None:
    waiting, running, ended = await runs.enqueue(draft(), draft(), draft(queue="other", followers=("ones",)))
    (claimed, *_) = [each for each in await runs.claim(await runs.worker()) if each.run_id == running]
    await runs.control.cancel_if_live(ACME, ended, AUDIT)
    (foreign,) = await runs.enqueue(draft(tenant_id=GLOBEX))

    async def follow(*run_ids: RunId) -> frozenset[RunId]:
        if backend == "memory":
            return follow_in_memory(request.getfixturevalue("memory_database"), ACME, run_ids, "late")
        pool: Pool = request.getfixturevalue("api_pool")
        async with tenant_transaction(pool, ACME) as connection:
            return await follow_in_postgres(connection, ACME, run_ids, "late")

    assert await follow(waiting, running, ended, foreign) == {waiting, running}
    assert await follow(running) == {running}
    await runs.claims.settle_batch([success(claimed)])
    assert await told(runs, "late") == [(running, "succeeded")]
