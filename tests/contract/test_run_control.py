import asyncio

import pytest

from rota.domain.errors import DomainError
from rota.domain.ids import RunId
from tests.contract.records import ACME, GLOBEX, new_id
from tests.contract.run_stores import AUDIT, RunStores, draft, retry, success


async def test_a_waiting_run_is_cancelled_at_once(runs: RunStores) -> None:
    (run_id,) = await runs.enqueue(draft())
    cancelled = await runs.control.cancel_if_live(ACME, run_id, AUDIT)

    assert (cancelled.state, cancelled.reason) == ("cancelled", "cancelled on request")
    assert cancelled.finished_at == await runs.base.clock.now()
    assert await runs.claim(await runs.worker()) == []
    assert await runs.event_types() == ["RunCancelled"]


async def test_a_running_run_is_marked_and_its_worker_is_told(runs: RunStores) -> None:
    worker_id, claimed = await runs.claim_one()
    marked = await runs.control.cancel_if_live(ACME, claimed.run_id, AUDIT)
    await runs.base.clock.advance(1)
    again = await runs.control.cancel_if_live(ACME, claimed.run_id, AUDIT)
    renewal = await runs.workers.renew_if_live(worker_id, ["default"], 60)

    assert (marked.state, again.cancel_requested_at) == ("running", marked.cancel_requested_at)
    assert marked.cancel_requested_at is not None
    assert renewal is not None
    assert renewal.cancel_run_ids == (claimed.run_id,)
    assert await runs.event_types() == []


async def test_a_run_that_was_told_to_stop_is_not_queued_again(runs: RunStores) -> None:
    _, claimed = await runs.claim_one()
    await runs.control.cancel_if_live(ACME, claimed.run_id, AUDIT)
    (settled,) = await runs.claims.settle_batch([retry(claimed)])

    assert settled.accepted
    assert (await runs.reader.get(ACME, claimed.run_id)).state == "cancelled"
    assert [a.outcome for a in await runs.reader.attempts(ACME, claimed.run_id)] == ["failed"]


async def test_a_claim_that_is_given_back_after_a_cancel_ends_cancelled_without_an_attempt(runs: RunStores) -> None:
    _, claimed = await runs.claim_one()
    await runs.control.cancel_if_live(ACME, claimed.run_id, AUDIT)

    assert await runs.claims.give_back_batch([claimed]) == 1
    run = await runs.reader.get(ACME, claimed.run_id)
    assert (run.state, run.attempts_count) == ("cancelled", 0)
    assert await runs.reader.attempts(ACME, claimed.run_id) == ()


async def test_what_has_ended_cannot_be_cancelled(runs: RunStores) -> None:
    _, claimed = await runs.claim_one()
    await runs.claims.settle_batch([success(claimed)])

    with pytest.raises(DomainError) as refused:
        await runs.control.cancel_if_live(ACME, claimed.run_id, AUDIT)
    assert refused.value.code == "STATE_CONFLICT"


async def test_a_clone_does_the_same_work_once_more(runs: RunStores) -> None:
    wanted = draft("b", priority=4, queue="slow", key="0" * 31 + "1", idempotency_key="k")
    (run_id,) = await runs.enqueue(wanted)
    await runs.control.cancel_if_live(ACME, run_id, AUDIT)
    clone = await runs.control.clone_if_terminal(ACME, run_id, AUDIT)

    assert (clone.state, clone.retry_of, clone.idempotency_key) == ("queued", run_id, None)
    assert (clone.target, clone.policy, clone.priority, clone.queue) == (wanted.target, wanted.policy, 4, "slow")
    assert (clone.attempts_count, clone.created_by) == (0, "ada")
    assert await runs.event_types() == ["RunCancelled", "RunRetried"]


async def test_what_is_live_cannot_be_cloned(runs: RunStores) -> None:
    (run_id,) = await runs.enqueue(draft(delay_seconds=60))

    with pytest.raises(DomainError) as refused:
        await runs.control.clone_if_terminal(ACME, run_id, AUDIT)
    assert refused.value.code == "STATE_CONFLICT"


async def test_another_tenants_run_cannot_be_touched(runs: RunStores) -> None:
    (run_id,) = await runs.enqueue(draft())

    for name in (run_id, RunId(new_id()), RunId("no uuid")):
        for ask in (
            runs.control.cancel_if_live(GLOBEX, name, AUDIT),
            runs.control.clone_if_terminal(GLOBEX, name, AUDIT),
        ):
            with pytest.raises(DomainError) as refused:
                await ask
            assert refused.value.code == "NOT_FOUND"
    assert (await runs.reader.get(ACME, run_id)).state == "queued"


async def test_a_cancel_that_races_a_claim_takes_one_way_or_the_other(runs: RunStores) -> None:
    worker_id = await runs.worker()
    for _ in range(20):
        (run_id,) = await runs.enqueue(draft())
        claimed, run = await asyncio.gather(runs.claim(worker_id), runs.control.cancel_if_live(ACME, run_id, AUDIT))
        if claimed:
            assert (run.state, run.cancel_requested_at is not None) == ("running", True)
            await runs.claims.settle_batch([success(claimed[0], verb="cancel", outcome="cancelled")])
        assert (await runs.reader.get(ACME, run_id)).state == "cancelled"
