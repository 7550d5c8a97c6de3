"""Bulk operations: each run's turn comes once, whoever goes on with them, and none that came later is touched."""

import asyncio

import pytest

from rota.domain.bulk import STATES_OF_VERB, BulkDraft, BulkFilter, BulkId, BulkOperation, BulkVerb
from rota.domain.errors import DomainError
from rota.domain.ids import RunId
from rota.domain.page import PageRequest
from rota.domain.run import RunState
from rota.domain.tenancy import AuditEntry
from rota.ports.bulk_store import BulkStore
from rota.ports.run_store import RunFilter
from rota.storage.memory.bulk_operations import MemoryBulkStore
from rota.storage.memory.database import MemoryDatabase
from rota.storage.postgres.bulk_operations import PostgresBulkStore
from rota.storage.postgres.driver import Pool
from tests.contract.records import ACME, GLOBEX, new_id
from tests.contract.run_stores import AUDIT, RunStores, draft, retry, success

BEGUN = AuditEntry("ada", "bulk retry", "run", "2 by {}", "req-9")


@pytest.fixture
def bulk(backend: str, request: pytest.FixtureRequest) -> BulkStore:
    if backend == "memory":
        database: MemoryDatabase = request.getfixturevalue("memory_database")
        return MemoryBulkStore(database)
    pool: Pool = request.getfixturevalue("api_pool")
    return PostgresBulkStore(pool)


def wanted(verb: BulkVerb, count: int, states: tuple[RunState, ...] | None = None, **fields: object) -> BulkDraft:
    where = BulkFilter(states=states, **fields)  # pyright: ignore[reportArgumentType]
    return BulkDraft(BulkId(new_id()), ACME, verb, where, states or STATES_OF_VERB[verb], count, "ada")


async def finish(bulk: BulkStore, asked: BulkDraft, limit: int = 500) -> BulkOperation:
    operation = await bulk.begin(asked, BEGUN)
    while operation.finished_at is None:
        operation = await bulk.step(ACME, asked.id, "ada", limit)
    return operation


async def failed(runs: RunStores, count: int, task: str = "report", queue: str = "default") -> list[RunId]:
    """Dead-lettered runs."""
    await runs.enqueue(*(draft(task, queue=queue) for _ in range(count)))
    claimed = await runs.claim(await runs.worker(queues=[queue]), count, [queue])
    error = '{"message":"no","failure_class":"network"}'
    ends = [success(one, verb="fail", outcome="failed", dead_letter=True, error_json=error) for one in claimed]
    await runs.claims.settle_batch(ends)
    return sorted(one.run_id for one in claimed)


async def clones(runs: RunStores) -> list[RunId]:
    page = await runs.reader.page(ACME, RunFilter(), PageRequest(limit=500))
    return sorted(run.retry_of for run in page.items if run.retry_of is not None)


@pytest.mark.parametrize("limit", [1, 2, 3, 500])
async def test_each_run_that_matches_is_retried_once_in_batches_of_any_size(
    runs: RunStores, bulk: BulkStore, limit: int
) -> None:
    dead = await failed(runs, 5)
    await failed(runs, 2, task="other", queue="other")
    (cancelled,) = await runs.enqueue(draft())
    await runs.control.cancel_if_live(ACME, cancelled, AUDIT)

    operation = await finish(bulk, wanted("retry", 6, ("failed", "cancelled"), task="report"), limit)

    assert (operation.done_count, operation.skipped_count) == (6, 0)
    assert await clones(runs) == sorted([*dead, cancelled])
    assert (await runs.reader.page(ACME, RunFilter(dead_lettered=True), PageRequest())).total_count == 2
    assert [entry for entry in await runs.base.audit.audit_of(ACME) if entry.verb.startswith("bulk")] == [BEGUN]
    assert (await runs.event_types()).count("RunRetried") == 6


async def test_two_operators_at_once_retry_each_run_once(runs: RunStores, bulk: BulkStore) -> None:
    dead = await failed(runs, 9)
    ours, theirs = await asyncio.gather(*(finish(bulk, wanted("retry", 9, ("failed",)), 2) for _ in range(2)))

    assert ours.done_count + theirs.done_count == 9
    assert await clones(runs) == dead


async def test_two_callers_that_go_on_with_one_operation_share_its_work(runs: RunStores, bulk: BulkStore) -> None:
    dead = await failed(runs, 9)
    asked = wanted("retry", 9, ("failed",))
    await asyncio.gather(*(finish(bulk, asked, 2) for _ in range(3)))

    operation = await bulk.get(ACME, asked.id)
    assert (operation.done_count, operation.skipped_count) == (9, 0)
    assert await clones(runs) == dead
    assert len([entry for entry in await runs.base.audit.audit_of(ACME) if entry.verb.startswith("bulk")]) == 1


async def test_no_more_is_touched_than_was_expected_and_nothing_that_came_later(
    runs: RunStores, bulk: BulkStore
) -> None:
    first = await failed(runs, 3)
    asked = wanted("retry", 2, ("failed",))
    await bulk.begin(asked, BEGUN)
    await runs.base.clock.advance(1)
    await failed(runs, 3)

    assert (await finish(bulk, asked)).done_count == 2
    assert await clones(runs) == first[1:]
    assert (await finish(bulk, wanted("retry", 9, ("failed",)))).done_count == 4


async def test_all_that_has_not_ended_is_cancelled_and_told(runs: RunStores, bulk: BulkStore) -> None:
    _, claimed = await runs.claim_one()
    later, waiting, followed = await runs.enqueue(draft(delay_seconds=60), draft(), draft(followers=("ones",)))
    (foreign,) = await runs.enqueue(draft(tenant_id=GLOBEX))

    operation = await finish(bulk, wanted("cancel", 4), 2)

    found = {run.id: run for run in (await runs.reader.page(ACME, RunFilter(), PageRequest())).items}
    assert operation.done_count == 4
    for run_id in (later, waiting, followed):
        assert (found[run_id].state, found[run_id].reason) == ("cancelled", "cancelled in bulk")
    assert found[claimed.run_id].cancel_requested_at is not None
    assert (await runs.reader.get(GLOBEX, foreign)).state == "queued"
    assert (await runs.event_types()).count("RunCancelled") == 3
    assert [end.run_id for end in await runs.ends.list_of("ones", 10)] == [followed]


async def test_by_failure_class_and_time(runs: RunStores, bulk: BulkStore) -> None:
    await failed(runs, 2)
    now = await runs.base.clock.now()
    assert (await finish(bulk, wanted("retry", 2, ("failed",), failure_class="auth"))).done_count == 0
    assert (await finish(bulk, wanted("retry", 2, ("failed",), created_before=now))).done_count == 0
    assert (await finish(bulk, wanted("retry", 2, ("failed",), failure_class="network"))).done_count == 2


async def test_an_operation_of_another_tenant_is_unknown(runs: RunStores, bulk: BulkStore) -> None:
    asked = wanted("retry", 0)
    await bulk.begin(asked, BEGUN)
    for bulk_id in (asked.id, BulkId("x")):
        with pytest.raises(DomainError, match="there is no bulk operation"):
            await bulk.get(GLOBEX, bulk_id)
        with pytest.raises(DomainError, match="there is no bulk operation"):
            await bulk.step(GLOBEX, bulk_id, "eve", 1)


async def test_a_dead_letter_is_replayed_once_however_many_ask(runs: RunStores) -> None:
    (dead,) = await failed(runs, 1)
    answers = await asyncio.gather(*(runs.control.replay_if_dead(ACME, dead, AUDIT) for _ in range(8)))

    assert sum(answer.created for answer in answers) == 1
    assert await clones(runs) == [dead]
    assert not (await runs.reader.get(ACME, dead)).dead_lettered
    again = await runs.control.clone_if_terminal(ACME, dead, AUDIT)
    assert again.id not in {answer.run_id for answer in answers}


async def test_what_is_no_dead_letter_is_not_replayed(runs: RunStores) -> None:
    _, claimed = await runs.claim_one()
    with pytest.raises(DomainError, match="only a dead-lettered run"):
        await runs.control.replay_if_dead(ACME, claimed.run_id, AUDIT)
    await runs.claims.settle_batch([retry(claimed)])
    with pytest.raises(DomainError, match="only a dead-lettered run"):
        await runs.control.replay_if_dead(ACME, claimed.run_id, AUDIT)
