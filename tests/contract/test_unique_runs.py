"""Runs that must be unique: who is told of another's run, who is refused, and that crowds at once make one run."""

import asyncio

import pytest
from msgspec import structs

from rota.core.run_identity import idempotency_key
from rota.core.uniqueness import unique_key_of
from rota.domain.errors import DomainError
from rota.domain.ids import RunId
from rota.domain.page import PageRequest
from rota.domain.run import Enqueued, RunDraft
from rota.domain.targets import TaskTarget
from rota.domain.uniqueness import Unique
from rota.ports.retention_store import RetentionStore
from rota.ports.run_store import RunFilter
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.retention import MemoryRetentionStore
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.retention import PostgresRetentionStore
from tests.contract.records import ACME, GLOBEX
from tests.contract.run_stores import AUDIT, RunStores, draft, success

LIVE = Unique()
PENDING = Unique(holds="pending")
FOREVER = Unique(holds="forever")


def unique(how: Unique, **fields: object) -> RunDraft:
    made = draft(**fields, unique=how)  # pyright: ignore[reportArgumentType]
    return structs.replace(made, unique_key=unique_key_of(made.tenant_id, how, made.target))


async def one(runs: RunStores, wanted: RunDraft) -> Enqueued:
    (answer,) = await runs.intake.enqueue(wanted.tenant_id, [wanted], AUDIT)
    return answer


@pytest.mark.parametrize(
    ("how", "made_again_while"), [(PENDING, {"running", "ended"}), (LIVE, {"ended"}), (FOREVER, set[str]())]
)
async def test_an_alike_run_stands_in_the_way_as_long_as_was_said(
    runs: RunStores, how: Unique, made_again_while: set[str]
) -> None:
    first = await one(runs, unique(how))
    again = {"queued": await one(runs, unique(how))}
    (claimed,) = await runs.claim(await runs.worker())
    again["running"] = await one(runs, unique(how))
    await runs.claims.settle_batch([success(claimed)])
    if again["running"].created:
        await runs.control.cancel_if_live(ACME, again["running"].run_id, AUDIT)
    again["ended"] = await one(runs, unique(how))

    assert first.created
    assert {state for state, answer in again.items() if answer.created} == made_again_while
    assert {answer.run_id for answer in again.values() if not answer.created} == {first.run_id}


async def test_with_a_period_it_stands_in_the_way_for_so_long_after_its_birth(runs: RunStores) -> None:
    hourly = Unique(holds="forever", period_seconds=3600)
    first = await one(runs, unique(hourly))
    await runs.base.clock.advance(3599)
    assert await one(runs, unique(hourly)) == Enqueued(first.run_id, created=False)
    await runs.base.clock.advance(1)
    second = await one(runs, unique(hourly))
    assert second.created
    await runs.base.clock.advance(3599)
    assert await one(runs, unique(hourly)) == Enqueued(second.run_id, created=False)


async def test_what_is_alike_is_said_by_the_scope(runs: RunStores) -> None:
    narrow = {"target": TaskTarget("report", {"n": 1})}
    answers = [
        await one(runs, unique(Unique(), **narrow)),
        await one(runs, unique(Unique(), target=TaskTarget("report", {"n": 2}))),
        await one(runs, unique(Unique(scope="task"), **narrow)),
        await one(runs, unique(Unique(scope="task"))),
        await one(runs, unique(Unique(scope="task"), task="other")),
        await one(runs, unique(Unique(scope="task", key="k"))),
        await one(runs, unique(Unique(scope="tenant", key="k"))),
        await one(runs, unique(Unique(scope="tenant", key="k"), task="other")),
        await one(runs, unique(Unique(scope="tenant", key="k"), tenant_id=GLOBEX)),
    ]
    assert [answer.created for answer in answers] == [True, True, True, False, True, True, True, False, True]


async def test_who_wants_to_be_refused_is_told_which_run_stands_in_the_way(runs: RunStores) -> None:
    first = await one(runs, unique(LIVE))
    strict = unique(Unique(on_conflict="reject"))

    with pytest.raises(DomainError, match=first.run_id) as refused:
        await runs.intake.enqueue(ACME, [draft(), strict], AUDIT)

    assert (refused.value.code, refused.value.problems[0].field) == ("STATE_CONFLICT", "[1].unique")
    assert (await runs.reader.page(ACME, RunFilter(), PageRequest())).total_count == 1


async def test_two_alike_drafts_of_one_call_are_for_one_run(runs: RunStores) -> None:
    plain, first, other, twin = await runs.intake.enqueue(
        ACME, [draft(), unique(LIVE), unique(LIVE, task="other"), unique(LIVE)], AUDIT
    )
    assert [answer.created for answer in (plain, first, other, twin)] == [True, True, True, False]
    assert twin.run_id == first.run_id
    strict = unique(Unique(on_conflict="reject"), task="new")
    with pytest.raises(DomainError, match="of the same call"):
        await runs.intake.enqueue(ACME, [strict, strict], AUDIT)


async def test_a_repeated_request_is_told_of_its_own_run_whoever_holds_the_unique_key(runs: RunStores) -> None:
    asked = unique(PENDING, key=idempotency_key(ACME, "runs", "a"))
    first = await one(runs, asked)
    await runs.claim(await runs.worker())
    other = await one(runs, unique(PENDING))

    assert other.created
    assert await one(runs, asked) == Enqueued(first.run_id, created=False)
    assert await one(runs, unique(PENDING)) == Enqueued(other.run_id, created=False)


async def test_fifty_callers_at_once_make_one_run_and_are_all_told_of_it(runs: RunStores) -> None:
    for rounds in (1, 2):
        answers = await asyncio.gather(*(one(runs, unique(LIVE)) for _ in range(50)))

        assert sum(answer.created for answer in answers) == 1
        assert len({answer.run_id for answer in answers}) == 1
        assert (await runs.reader.page(ACME, RunFilter(), PageRequest())).total_count == rounds
        await runs.control.cancel_if_live(ACME, answers[0].run_id, AUDIT)


async def test_crowds_with_many_keys_in_any_order_make_each_run_once(runs: RunStores) -> None:
    wanted = [unique(LIVE, task=f"task_{n}") for n in range(10)]
    answers = await asyncio.gather(
        *(runs.intake.enqueue(ACME, wanted if n % 2 else wanted[::-1], AUDIT) for n in range(8))
    )
    assert sum(answer.created for batch in answers for answer in batch) == 10


async def test_a_run_may_be_due_at_a_time(runs: RunStores) -> None:
    at = (await runs.base.clock.now()).replace(minute=59)
    soon, later = await runs.enqueue(draft(), draft(due_at=at))
    assert [(await runs.reader.get(ACME, run_id)).state for run_id in (soon, later)] == ["queued", "scheduled"]
    assert (await runs.reader.get(ACME, later)).due_at == at
    await runs.base.clock.set(at)
    assert {claimed.run_id for claimed in await runs.claim(await runs.worker())} == {soon, later}


@pytest.fixture
def retention(backend: str, request: pytest.FixtureRequest) -> RetentionStore:
    if backend == "memory":
        database: MemoryDatabase = request.getfixturevalue("memory_database")
        return MemoryRetentionStore(database)
    pool: Pool = request.getfixturevalue("service_pool")
    return PostgresRetentionStore(pool)


async def test_unique_keys_have_their_own_retention_and_those_of_live_runs_stay(
    runs: RunStores, retention: RetentionStore
) -> None:
    yearly = Unique(holds="forever", period_seconds=366 * 86_400.0)
    ended, live = await one(runs, unique(yearly)), await one(runs, unique(yearly, task="other", delay_seconds=1e8))
    await runs.control.cancel_if_live(ACME, ended.run_id, AUDIT)
    await runs.base.clock.advance(90 * 86_400 + 1)

    assert (await retention.prune_stretch("unique_keys", 0, 1_000)).deleted_count == 1

    assert (await one(runs, unique(yearly))).created
    assert await one(runs, unique(yearly, task="other")) == Enqueued(RunId(live.run_id), created=False)


@pytest.mark.parametrize("asked", [(FOREVER,), (LIVE, FOREVER), (FOREVER, PENDING)])
async def test_a_key_that_was_asked_for_for_ever_outlasts_every_retention(
    runs: RunStores, retention: RetentionStore, asked: tuple[Unique, ...]
) -> None:
    told = [await one(runs, unique(how)) for how in asked]
    await runs.control.cancel_if_live(ACME, told[0].run_id, AUDIT)
    await runs.base.clock.advance(10 * 366 * 86_400)

    assert (await retention.prune_stretch("unique_keys", 0, 1_000)).deleted_count == 0
    assert await one(runs, unique(FOREVER)) == Enqueued(told[0].run_id, created=False)
