"""Bulk operations: each run's turn comes once, whoever goes on with them, and none that came later is touched."""

import asyncio

import pytest

from rota.domain.bulk import STATES_OF_VERB, BulkDraft, BulkFilter, BulkId, BulkOperation, BulkVerb
from rota.domain.errors import DomainError
from rota.domain.ids import RunId
from rota.domain.page import PageRequest
from rota.domain.run import LogLine, RunState
from rota.domain.tenancy import AuditEntry
from rota.ports.bulk_store import BulkStore
from rota.ports.run_store import RunFilter
from rota.storage.memory.bulk_operations import MemoryBulkStore
from rota.storage.memory.database import MemoryDatabase
from rota.storage.postgres import bulk_operations
from rota.storage.postgres.bulk_operations import PostgresBulkStore
from rota.storage.postgres.driver import Pool
from tests.contract.records import ACME, GLOBEX, new_id
from tests.contract.run_stores import AUDIT, RunStores, draft, retry, success
from tests.contract.stores import START
from tests.contract.test_fan_out_store import FAN_OUT, FanOuts, failure, fan_outs
from tests.contract.test_run_statistics import Statistics, statistics

__all__ = ["fan_outs", "statistics"]

BEGUN = AuditEntry("ada", "bulk retry", "run", "2 by {}", "req-9")


@pytest.fixture
def bulk(backend: str, request: pytest.FixtureRequest) -> BulkStore:
    if backend == "memory":
        database: MemoryDatabase = request.getfixturevalue("memory_database")
        return MemoryBulkStore(database)
    pool: Pool = request.getfixturevalue("api_pool")
    return PostgresBulkStore(pool)


@pytest.fixture
def pool_of_owner(backend: str, request: pytest.FixtureRequest) -> Pool | None:
    return None if backend == "memory" else request.getfixturevalue("owner_pool")


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


async def test_what_ended_is_deleted_with_all_that_hangs_on_it_and_nothing_else(
    runs: RunStores, bulk: BulkStore, pool_of_owner: Pool | None
) -> None:
    dead = await failed(runs, 2)
    (foreign,) = await runs.enqueue(draft(tenant_id=GLOBEX))
    kept = await failed(runs, 1, task="other", queue="other")
    at = await runs.base.clock.now()
    lines = [LogLine(run_id, 1, seq, at, "stdout", "x") for run_id in [*dead, *kept] for seq in range(3)]
    await runs.claims.append_log_lines(lines, [ACME] * len(lines))
    (live,) = await runs.enqueue(draft())

    operation = await finish(bulk, wanted("delete", 2, task="report"), 1)

    assert (operation.done_count, operation.skipped_count) == (2, 0)
    left = {run.id for run in (await runs.reader.page(ACME, RunFilter(), PageRequest())).items}
    assert left == {*kept, live}
    assert (await runs.reader.get(GLOBEX, foreign)).state == "queued"
    assert len(await runs.reader.log_lines(ACME, kept[0], (0, -1), 9)) == 3
    for run_id in dead:
        with pytest.raises(DomainError, match="there is no run"):
            await runs.reader.get(ACME, run_id)
    assert (await runs.event_types()).count("RunDeleted") == 2
    if pool_of_owner is not None:
        for table in ("attempts", "log_lines"):
            named: list[str] = await pool_of_owner.fetchval(
                f"SELECT array_agg(DISTINCT run_id::text) FROM scheduler.{table}"
            )
            assert named == kept, table


async def test_a_live_run_is_never_deleted_whatever_state_it_is_listed_in(runs: RunStores, bulk: BulkStore) -> None:
    _, claimed = await runs.claim_one()
    (waiting,) = await runs.enqueue(draft())
    operation = await finish(bulk, wanted("delete", 2, ("running", "queued")))

    assert (operation.done_count, operation.skipped_count) == (0, 2)
    for run_id in (claimed.run_id, waiting):
        await runs.reader.get(ACME, run_id)


async def test_a_run_stays_until_those_that_follow_it_have_acted_on_its_end(runs: RunStores, bulk: BulkStore) -> None:
    (followed,) = await runs.enqueue(draft(followers=("ones",)))
    await runs.control.cancel_if_live(ACME, followed, AUDIT)
    first = await finish(bulk, wanted("delete", 1, ("cancelled",)))
    assert (first.done_count, first.skipped_count) == (0, 1)

    await runs.ends.forget("ones", [end.id for end in await runs.ends.list_of("ones", 10)])
    assert (await finish(bulk, wanted("delete", 1, ("cancelled",)))).done_count == 1


async def test_a_deleted_run_is_not_made_again_by_its_key(runs: RunStores, bulk: BulkStore) -> None:
    keyed = draft(key=new_id())
    (run_id,) = await runs.enqueue(keyed)
    await runs.control.cancel_if_live(ACME, run_id, AUDIT)
    await finish(bulk, wanted("delete", 1, ("cancelled",)))

    (again,) = await runs.intake.enqueue(ACME, [keyed], AUDIT)
    assert (again.run_id, again.created) == (run_id, False)


async def test_a_deleted_fan_out_takes_its_snapshot_along_and_cannot_be_taken_over(
    runs: RunStores, bulk: BulkStore, fan_outs: FanOuts
) -> None:
    run_id = await fan_outs.launched(FAN_OUT, 9)
    claimed = await runs.claim(await runs.worker())
    await runs.claims.settle_batch([failure(one) for one in claimed])
    children = await finish(bulk, wanted("delete", 3, ("failed",)))
    assert (children.done_count, children.skipped_count) == (0, 3), "the parent has not counted them yet"
    await fan_outs.work_off()

    assert (await finish(bulk, wanted("delete", 4, ("failed",)))).done_count == 4
    assert not await fan_outs.plans.has_snapshot(ACME, run_id)
    attempt, _ = await fan_outs.claim_planner(FAN_OUT)
    assert await fan_outs.plans.stage_unsuccessful(attempt, run_id, 0, 5) is None


async def test_what_was_counted_of_a_deleted_run_stays_counted_and_nothing_drifts(
    runs: RunStores, bulk: BulkStore, statistics: Statistics
) -> None:
    await failed(runs, 2)
    before = await statistics.shown()
    await statistics.add_all_up()
    await failed(runs, 1)
    counted = await statistics.ever()
    await finish(bulk, wanted("delete", 3, ("failed",)))

    assert counted.failed_count == 3
    assert before != await statistics.shown()
    assert await statistics.ever() == counted
    assert [one for one in await statistics.of_tenants.compare(ACME, START) if one.uncounted_count] == []
    await statistics.add_all_up()
    assert await statistics.ever() == counted


async def test_two_that_delete_the_same_runs_delete_each_once(runs: RunStores, bulk: BulkStore) -> None:
    await failed(runs, 9)
    done = await asyncio.gather(*(finish(bulk, wanted("delete", 9, ("failed",)), 2) for _ in range(3)))

    assert sum(one.done_count for one in done) == 9
    assert (await runs.event_types()).count("RunDeleted") == 9
    assert (await runs.reader.page(ACME, RunFilter(), PageRequest())).total_count == 0


async def test_a_batch_of_deletions_is_bounded_by_what_hangs_on_its_runs(
    runs: RunStores, bulk: BulkStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_operations, "DELETED_ROWS_MAX", 5)
    dead = await failed(runs, 5)
    at = await runs.base.clock.now()
    lines = [LogLine(run_id, 1, seq, at, "stdout", "x") for run_id in dead for seq in range(3)]
    await runs.claims.append_log_lines(lines, [ACME] * len(lines))

    operation = await finish(bulk, wanted("delete", 5, ("failed",)))
    assert (operation.done_count, operation.skipped_count) == (5, 0)


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
