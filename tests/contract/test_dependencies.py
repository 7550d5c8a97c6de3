"""Runs that wait for others: over random graphs each runs exactly when its rule holds, after its upstreams."""

import asyncio
from random import Random  # noqa: TID251 - seeded, so that a failure can be told again by its seed

import pytest

from rota.core.dependencies import decide
from rota.core.run_identity import idempotency_key
from rota.domain.dependencies import DependencyRule, Upstream
from rota.domain.errors import DomainError, Stale
from rota.domain.ids import RunId
from rota.domain.lease import Fence
from rota.domain.page import PageRequest
from rota.domain.run import RunDraft
from rota.ports.dependency_store import DependencyReader, DependencyStore
from rota.ports.run_store import RunFilter
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.dependencies import MemoryDependencyReader, MemoryDependencyStore
from rota.storage.postgres.dependencies import PostgresDependencyReader, PostgresDependencyStore
from rota.storage.postgres.driver import Pool
from tests.contract.records import ACME, GLOBEX, new_id
from tests.contract.run_stores import AUDIT, RunStores, draft, success

RULES: tuple[DependencyRule, ...] = ("all_succeeded", "any_succeeded", "always")


@pytest.fixture
def waits(backend: str, request: pytest.FixtureRequest) -> tuple[DependencyStore, DependencyReader]:
    if backend == "memory":
        database: MemoryDatabase = request.getfixturevalue("memory_database")
        return MemoryDependencyStore(database), MemoryDependencyReader(database)
    api_pool: Pool = request.getfixturevalue("api_pool")
    service_pool: Pool = request.getfixturevalue("service_pool")
    return PostgresDependencyStore(service_pool), PostgresDependencyReader(api_pool)


@pytest.fixture
def store(waits: tuple[DependencyStore, DependencyReader]) -> DependencyStore:
    return waits[0]


@pytest.fixture
def reader(waits: tuple[DependencyStore, DependencyReader]) -> DependencyReader:
    return waits[1]


@pytest.fixture
async def fence(runs: RunStores) -> Fence:
    lease = await runs.leases.acquire_if_free("leader", "me", 10_000)
    return Fence("leader", lease.epoch, "me")


def after(*run_ids: RunId, when: DependencyRule = "all_succeeded", **fields: object) -> RunDraft:
    return draft(depends_on=tuple(Upstream(run_id=one) for one in run_ids), when=when, **fields)  # pyright: ignore[reportArgumentType]


async def states(runs: RunStores) -> dict[RunId, str]:
    page = await runs.reader.page(ACME, RunFilter(), PageRequest(limit=500))
    return {run.id: run.state for run in page.items}


async def let_go(store: DependencyStore, fence: Fence) -> None:
    while (await store.work_off(fence, 3)).ends_count:
        pass


@pytest.mark.parametrize("seed", range(4))
async def test_in_any_graph_each_runs_iff_its_rule_holds_and_only_after_its_upstreams(
    runs: RunStores, store: DependencyStore, fence: Fence, seed: int
) -> None:
    dice = Random(seed)
    upstreams = {n: dice.sample(range(n), min(n, dice.randrange(4))) for n in range(14)}
    rules: dict[int, DependencyRule] = {n: dice.choice(RULES) for n in upstreams}
    drafts = [
        draft(name=f"n{n}", when=rules[n], depends_on=tuple(Upstream(name=f"n{one}") for one in upstreams[n]))
        for n in upstreams
    ]
    ids = await runs.enqueue(*drafts)
    worker = await runs.worker()
    while True:
        claimed = await runs.claim(worker, dice.randrange(1, 4))
        before = await states(runs)
        for one in claimed:
            ended = [before[ids[upstream]] for upstream in upstreams[ids.index(one.run_id)]]
            assert not {"queued", "running", "scheduled"} & {*ended}, "it ran before they had ended"
        ends = [success(one) if dice.random() < 0.6 else success(one, verb="fail", outcome="failed") for one in claimed]
        await runs.claims.settle_batch(ends)
        waiting = [run_id for run_id, state in before.items() if state == "scheduled"]
        if waiting and dice.random() < 0.2:
            await runs.control.cancel_if_live(ACME, dice.choice(sorted(waiting)), AUDIT)
        await let_go(store, fence)
        if not claimed:
            break

    last = await states(runs)
    for n, run_id in enumerate(ids):
        verdict = decide(rules[n], [last[ids[one]] for one in upstreams[n]]) if upstreams[n] else "release"
        assert last[run_id] == "cancelled" or (last[run_id] in {"succeeded", "failed"}) == (verdict == "release"), n
        assert last[run_id] not in {"queued", "scheduled", "running"}, n


@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled"])
@pytest.mark.parametrize("rule", RULES)
async def test_an_upstream_that_has_ended_already_decides_at_once(
    runs: RunStores, reader: DependencyReader, rule: DependencyRule, end: str
) -> None:
    _, claimed = await runs.claim_one()
    if end == "cancelled":
        (upstream,) = await runs.enqueue(draft())
        await runs.control.cancel_if_live(ACME, upstream, AUDIT)
    else:
        upstream = claimed.run_id
        verb = "succeed" if end == "succeeded" else "fail"
        await runs.claims.settle_batch([success(claimed, verb=verb, outcome=end)])

    (run_id,) = await runs.enqueue(after(upstream, when=rule))

    run = await runs.reader.get(ACME, run_id)
    expected = "queued" if rule == "always" or end == "succeeded" else "skipped"
    assert run.state == expected
    assert (upstream in run.reason) == (expected == "skipped")
    shown = await reader.of_run(ACME, run_id)
    assert (shown.rule, [(one.run_id, one.state) for one in shown.upstreams]) == (rule, [(upstream, end)])
    assert [(one.run_id, one.state) for one in (await reader.of_run(ACME, upstream)).dependents] == [(run_id, expected)]


async def test_a_waiting_run_is_not_claimed_and_its_delay_counts_from_its_birth(
    runs: RunStores, store: DependencyStore, fence: Fence
) -> None:
    _, claimed = await runs.claim_one()
    soon, late = await runs.enqueue(after(claimed.run_id), after(claimed.run_id, delay_seconds=1e6, priority=9))
    await runs.base.clock.advance(50)
    assert await runs.claim(await runs.worker()) == []
    assert {(await states(runs))[one] for one in (soon, late)} == {"scheduled"}
    renewal = await runs.workers.renew_if_live(await runs.worker(), ["default"], 60)
    assert renewal is not None

    await runs.claims.settle_batch([success(claimed)])
    done = await store.work_off(fence, 10)

    assert (done.ends_count, done.queues) == (1, ("default",))
    assert [one.run_id for one in await runs.claim(await runs.worker())] == [soon]
    assert (await runs.reader.get(ACME, late)).state == "scheduled"


async def test_a_skip_goes_on_down_the_graph_and_a_cancelled_one_is_an_end(
    runs: RunStores, store: DependencyStore, fence: Fence
) -> None:
    first, second, third, last = await runs.enqueue(
        draft(name="a"),
        draft(name="b", depends_on=(Upstream(name="a"),)),
        draft(name="c", depends_on=(Upstream(name="b"),)),
        draft(depends_on=(Upstream(name="c"),), when="always"),
    )
    await runs.control.cancel_if_live(ACME, first, AUDIT)
    await let_go(store, fence)

    found = await states(runs)
    assert [found[one] for one in (first, second, third, last)] == ["cancelled", "skipped", "skipped", "queued"]
    assert (await runs.reader.get(ACME, second)).reason == f"run {first}, which it waited for, was cancelled"
    assert (await runs.event_types()).count("RunSkipped") == 2


async def test_a_run_is_named_by_its_idempotency_key_too(runs: RunStores, reader: DependencyReader) -> None:
    (keyed,) = await runs.enqueue(draft(key=idempotency_key(ACME, "runs", "k")))
    (run_id,) = await runs.enqueue(draft(depends_on=(Upstream(key="k"), Upstream(run_id=keyed))))
    assert [one.run_id for one in (await reader.of_run(ACME, run_id)).upstreams] == [keyed]


@pytest.mark.parametrize("upstream", ["foreign", "unknown", "odd", "key"])
async def test_a_run_that_is_not_the_tenants_is_unknown_and_nothing_is_stored(runs: RunStores, upstream: str) -> None:
    (foreign,) = await runs.enqueue(draft(tenant_id=GLOBEX, key=idempotency_key(GLOBEX, "runs", "k")))
    named = {
        "foreign": Upstream(run_id=foreign),
        "unknown": Upstream(run_id=RunId(new_id())),
        "odd": Upstream(run_id=RunId("x")),
        "key": Upstream(key="k"),
    }[upstream]
    with pytest.raises(DomainError, match="there is no run"):
        await runs.intake.enqueue(ACME, [draft(), draft(depends_on=(named,))], AUDIT)
    assert await states(runs) == {}


async def test_nothing_is_decided_without_the_fence(runs: RunStores, store: DependencyStore, fence: Fence) -> None:
    _, claimed = await runs.claim_one()
    (run_id,) = await runs.enqueue(after(claimed.run_id))
    await runs.claims.settle_batch([success(claimed)])
    await runs.leases.release_if_held("leader", fence.epoch, "me")

    with pytest.raises(Stale):
        await store.work_off(fence, 10)

    assert (await runs.reader.get(ACME, run_id)).state == "scheduled"
    assert len(await runs.ends.list_of("dependency", 10)) == 1


async def test_an_end_that_comes_while_a_dependent_is_enqueued_is_never_missed(
    runs: RunStores, store: DependencyStore, fence: Fence
) -> None:
    upstreams = await runs.enqueue(*(draft() for _ in range(24)))
    claimed = await runs.claim(await runs.worker(), 24)
    answers = await asyncio.gather(
        *(
            one
            for each in claimed
            for one in (runs.claims.settle_batch([success(each)]), runs.enqueue(after(each.run_id, queue="later")))
        )
    )
    await let_go(store, fence)

    assert len(answers) == 2 * len(upstreams)
    assert sorted((await states(runs)).values()) == ["queued"] * 24 + ["succeeded"] * 24
