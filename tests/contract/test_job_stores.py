import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec import structs

from rota.core.job_execution import execute
from rota.core.packing import pack
from rota.domain.errors import DomainError
from rota.domain.graph_job import GraphJob
from rota.domain.ids import AttemptToken, JobId, RunId, TenantId, TokenId
from rota.domain.jobs import JobClaim, JobContent, JobFamily, JobInput, Webhook
from rota.domain.page import PageRequest
from rota.domain.policy_job import PolicyJob
from rota.domain.run import ClaimedRun, RunDraft, Settlement
from rota.domain.targets import HttpTarget
from rota.domain.tenancy import AuditEntry
from rota.ports.job_store import GraphJobStore, JobEnds, JobFilter, JobWork, PolicyJobStore, SettledEnds
from rota.ports.retention_store import RetentionStore
from rota.ports.tenant_store import EventFilter
from rota.services.acting import Actor
from rota.services.job_making import run_draft
from rota.storage.memory.jobs import MemoryGraphJobStore, MemoryJobEnds, MemoryJobWork, MemoryPolicyJobStore
from rota.storage.memory.retention import MemoryRetentionStore
from rota.storage.postgres.job_work import PostgresJobEnds, PostgresJobWork
from rota.storage.postgres.jobs import PostgresGraphJobStore, PostgresPolicyJobStore
from rota.storage.postgres.retention import PostgresRetentionStore
from tests.contract.records import ACME, GLOBEX, new_id
from tests.contract.run_stores import RunStores, success
from tests.contract.stores import START
from tests.samples import advisories, sbom

AUDIT = AuditEntry("ada", "create", "graph_job", "j", "req-1")
ADA = Actor(ACME, "ada", TokenId("token-of-ada"), "operator")


@dataclass(frozen=True)
class Jobs:
    """The stores of jobs of one backend, over its stores of runs."""

    runs: RunStores
    graphs: GraphJobStore
    policies: PolicyJobStore
    work: JobWork
    ends: JobEnds

    async def claim(self) -> list[ClaimedRun]:
        worker_id = await self.runs.worker()
        return await self.runs.claim(worker_id)

    async def execute(self, claimed: ClaimedRun, family: JobFamily = "graph") -> JobInput:
        """What a worker does for one claim, up to its end."""
        claim = claim_of(claimed, family)
        given = (await self.work.begin([claim]))[claimed.run_id]
        result = execute(given.kind, given.documents)
        assert await self.work.save_result(claim, pack(result), result)
        (settled,) = await self.runs.claims.settle_batch([success(claimed)])
        assert settled.accepted
        return given

    async def do(self, family: JobFamily = "graph") -> None:
        """Executes the one job that waits, to its end."""
        (claimed,) = await self.claim()
        await self.execute(claimed, family)
        assert (await self.ends.settle_ended(family, 10)).taken_count == 1


@pytest.fixture
def jobs(backend: str, runs: RunStores, request: pytest.FixtureRequest) -> Jobs:
    if backend == "memory":
        database = request.getfixturevalue("memory_database")
        graphs, policies = MemoryGraphJobStore(database, 3), MemoryPolicyJobStore(database)
        return Jobs(runs, graphs, policies, MemoryJobWork(database), MemoryJobEnds(database))
    api, service = request.getfixturevalue("api_pool"), request.getfixturevalue("service_pool")
    work, ends = PostgresJobWork(service), PostgresJobEnds(service)
    return Jobs(runs, PostgresGraphJobStore(api, 3), PostgresPolicyJobStore(api), work, ends)


def claim_of(claimed: ClaimedRun, family: JobFamily = "graph") -> JobClaim:
    return JobClaim(family, claimed.tenant_id, claimed.run_id, claimed.token)


def build(tenant_id: TenantId = ACME, **fields: Any) -> GraphJob:
    made = GraphJob(
        id=JobId(new_id()),
        tenant_id=tenant_id,
        kind="build",
        state="queued",
        priority="normal",
        queue="default",
        sbom_id="shop",
        created_at=START,
        created_by="ada",
        metadata={"team": "web"},
    )
    return structs.replace(made, **fields)


def policy(graph: GraphJob, **fields: Any) -> PolicyJob:
    made = PolicyJob(
        id=JobId(new_id()),
        tenant_id=graph.tenant_id,
        state="queued",
        priority="normal",
        queue="default",
        policy_id="P-7",
        policy_version="3",
        mode="full",
        graph_job_id=graph.id,
        created_at=START,
        created_by="ada",
    )
    return structs.replace(made, **fields)


def content(document: Any = None, fingerprint: bytes = b"one") -> JobContent:
    return JobContent(fingerprint, pack(sbom() if document is None else document))


def draft(job: GraphJob | PolicyJob) -> RunDraft:
    graph = isinstance(job, GraphJob)
    return run_draft(job, "rota.graph_build" if graph else "rota.policy_run", "graph" if graph else "policy", ADA)


async def made(jobs: Jobs, job: GraphJob, what: JobContent | None = None) -> GraphJob:
    created = await jobs.graphs.create(job, what or content(), draft(job), AUDIT)
    return await jobs.graphs.get(job.tenant_id, created.job_id)


async def built(jobs: Jobs) -> GraphJob:
    job = await made(jobs, build())
    await jobs.do()
    return await jobs.graphs.get(ACME, job.id)


async def judged(jobs: Jobs, job: PolicyJob, what: JobContent | None = None) -> PolicyJob:
    given = what or content({"rules": {"severity_threshold": "high"}})
    await jobs.policies.create(job, given, draft(job), AUDIT)
    await jobs.do("policy")
    return await jobs.policies.get(ACME, job.id)


async def told(jobs: Jobs) -> list[dict[str, Any]]:
    events = await jobs.runs.base.events.after(EventFilter(ACME), None, 100)
    return [one.data for one in events if one.type == "GraphJobCompleted"]


async def items(jobs: Jobs, job_id: JobId, part: Any = None) -> list[str]:
    page = await jobs.graphs.items(ACME, job_id, part, PageRequest(limit=500))
    assert page.total_count == len(page.items)
    return [one.subject for one in page.items]


async def test_a_job_is_executed_by_its_run_and_its_result_is_seen_when_it_has_succeeded(jobs: Jobs) -> None:
    job = await made(jobs, build())
    assert (job.state, job.snapshot_id, job.metadata) == ("queued", None, {"team": "web"})
    (claimed,) = await jobs.claim()
    assert claimed.run_id == job.run_id
    given = await jobs.execute(claimed)
    assert (given.job_id, given.kind) == (job.id, "build")
    running = await jobs.graphs.get(ACME, job.id)
    assert (running.state, running.started_at, running.summary, running.snapshot_id) == ("running", START, None, None)
    assert await items(jobs, job.id) == []
    assert await jobs.graphs.sizes(ACME, [job.id]) == {}
    await jobs.runs.base.clock.advance(5)
    assert await jobs.ends.settle_ended("graph", 10) == SettledEnds(1, ("succeeded",))
    assert await jobs.ends.settle_ended("graph", 10) == SettledEnds(0)
    done = await jobs.graphs.get(ACME, job.id)
    assert (done.state, done.finished_at, done.reason) == ("succeeded", START, "")
    assert done.summary is not None
    assert (done.summary["components_count"], done.summary["dependencies_count"]) == (7, 5)
    assert done.snapshot_id is not None
    assert done.snapshot_id.startswith("gs_")
    assert len(await items(jobs, job.id, "node")) == 7
    assert len(await items(jobs, job.id, "edge")) == 5
    assert [event.state for event in await jobs.graphs.events(ACME, job.id)] == ["queued", "running", "succeeded"]
    (payload,) = await told(jobs)
    assert (payload["jobType"], payload["status"], payload["job"]["id"]) == ("build", "completed", job.id)
    assert payload["resultUri"] == f"/api/v1/graphs/jobs/{job.id}/items"
    assert list(await jobs.graphs.sizes(ACME, [job.id])) == [job.id]


async def test_the_same_document_has_the_same_snapshot_and_another_order_of_it_too(jobs: Jobs) -> None:
    first = await built(jobs)
    turned = sbom()
    turned["components"].reverse()
    turned["dependencies"].reverse()
    second = await made(jobs, build(), content(turned))
    await jobs.do()
    assert (await jobs.graphs.get(ACME, second.id)).snapshot_id == first.snapshot_id


async def test_fifty_requests_with_one_key_make_one_job_and_one_run(jobs: Jobs) -> None:
    drafts = [build(idempotency_key="release-1") for _ in range(50)]
    answers = await asyncio.gather(*(jobs.graphs.create(one, content(), draft(one), AUDIT) for one in drafts))
    assert len({one.job_id for one in answers}) == 1
    assert sum(one.created for one in answers) == 1
    assert len(await jobs.claim()) == 1
    other = build(idempotency_key="release-1")
    with pytest.raises(DomainError) as refused:
        await jobs.graphs.create(other, content(fingerprint=b"other"), draft(other), AUDIT)
    assert refused.value.code == "IDEMPOTENCY_MISMATCH"
    theirs = build(GLOBEX, idempotency_key="release-1")
    assert (await jobs.graphs.create(theirs, content(), draft(theirs), AUDIT)).created


async def test_an_attempt_that_has_lost_its_run_saves_nothing_and_the_next_one_replaces_what_was_left(
    jobs: Jobs,
) -> None:
    job = await made(jobs, build())
    (first,) = await jobs.claim()
    given = (await jobs.work.begin([claim_of(first)]))[first.run_id]
    half = execute("build", {"input": (pack({"bomFormat": "CycloneDX", "components": [{"name": "half"}]}),)})
    assert await jobs.work.save_result(claim_of(first), pack(half), half)
    lost = Settlement(first.run_id, first.token, "retry", "lost", "its worker is gone")
    assert [one.accepted for one in await jobs.runs.claims.settle_batch([lost])] == [True]
    (second,) = await jobs.claim()
    late = execute(given.kind, given.documents)
    assert not await jobs.work.save_result(claim_of(first), pack(late), late)
    await jobs.execute(second)
    assert not await jobs.work.save_result(claim_of(second), pack(half), half)
    await jobs.ends.settle_ended("graph", 10)
    assert len(await items(jobs, job.id, "node")) == 7
    states = [event.state for event in await jobs.graphs.events(ACME, job.id)]
    assert states == ["queued", "running", "succeeded"]


async def test_a_result_of_another_tenants_name_is_not_saved(jobs: Jobs) -> None:
    await made(jobs, build())
    (claimed,) = await jobs.claim()
    claim = claim_of(claimed)
    await jobs.work.begin([claim])
    result = execute("build", {"input": (pack(sbom()),)})
    assert not await jobs.work.save_result(structs.replace(claim, tenant_id=GLOBEX), pack(result), result)
    nobody = structs.replace(claim, run_id=RunId(new_id()))
    assert not await jobs.work.save_result(nobody, pack(result), result)
    assert not await jobs.work.save_result(structs.replace(claim, token=AttemptToken(0)), pack(result), result)


@pytest.mark.parametrize("begun", [False, True])
async def test_a_job_whose_run_is_cancelled_or_fails_follows_it_and_is_final(jobs: Jobs, *, begun: bool) -> None:
    cancelled = await made(jobs, build())
    failing = await made(jobs, build())
    assert cancelled.run_id is not None
    if begun:
        first, second = sorted(await jobs.claim(), key=lambda one: one.run_id != cancelled.run_id)
        await jobs.work.begin([claim_of(first), claim_of(second)])
        ends = [
            Settlement(first.run_id, first.token, "cancel", "cancelled", "cancelled on request"),
            Settlement(
                second.run_id, second.token, "fail", "failed", "no more tries", error_json='{"message":"broken"}'
            ),
        ]
    else:
        await jobs.runs.control.cancel_if_live(ACME, cancelled.run_id, AUDIT)
        (second,) = await jobs.claim()
        ends = [Settlement(second.run_id, second.token, "fail", "failed", "no", error_json='{"message":"broken"}')]
    await jobs.runs.claims.settle_batch(ends)
    assert (await jobs.ends.settle_ended("graph", 10)).taken_count == 2
    one, other = await jobs.graphs.get(ACME, cancelled.id), await jobs.graphs.get(ACME, failing.id)
    assert (one.state, one.reason) == ("cancelled", "cancelled on request")
    assert (other.state, other.reason) == ("failed", "broken")
    assert sorted(data["status"] for data in await told(jobs)) == ["cancelled", "failed"]
    assert await jobs.work.begin([claim_of(second)]) == {}
    assert (await jobs.graphs.get(ACME, failing.id)).state == "failed"


async def test_a_run_that_succeeds_without_having_begun_its_job_has_done_nothing(jobs: Jobs) -> None:
    job = await made(jobs, build())
    (claimed,) = await jobs.claim()
    await jobs.runs.claims.settle_batch([success(claimed)])
    assert (await jobs.ends.settle_ended("graph", 10)).taken_count == 1
    found = await jobs.graphs.get(ACME, job.id)
    assert (found.state, found.summary) == ("failed", None)
    assert await items(jobs, job.id) == []


async def test_two_leaders_at_once_end_each_job_once(jobs: Jobs) -> None:
    for _ in range(3):
        await made(jobs, build(webhook=Webhook("https://example.com/hook", "billing")))
    for claimed in await jobs.claim():
        await jobs.execute(claimed)
    settled = await asyncio.gather(*(jobs.ends.settle_ended("graph", 2) for _ in range(4)))
    settled.append(await jobs.ends.settle_ended("graph", 10))
    assert sum(one.taken_count for one in settled) == 3
    assert [state for one in settled for state in one.states] == ["succeeded"] * 3
    assert len(await told(jobs)) == 3
    hooks = await jobs.claim()
    assert len(hooks) == 3
    target = hooks[0].target
    assert isinstance(target, HttpTarget)
    assert (target.url, target.signed_with) == ("https://example.com/hook", "billing")
    assert set(target.body) == {"eventId", "kind", "tenant", "ts", "payload", "attributes"}
    assert (target.body["kind"], target.body["attributes"]) == ("scheduler.graph.job.completed", {"team": "web"})


async def test_an_overlay_is_handed_the_graph_and_finds_what_concerns_it(jobs: Jobs) -> None:
    base = await built(jobs)
    overlay = await made(jobs, build(kind="overlay", base_job_id=base.id), content(advisories()))
    (claimed,) = await jobs.claim()
    given = await jobs.execute(claimed)
    assert {name for name, packed in given.documents.items() if packed} == {"input", "graph"}
    await jobs.ends.settle_ended("graph", 10)
    assert await items(jobs, overlay.id) == [
        "pkg:generic/tinyssl@3.0.0-rc2",
        "pkg:npm/express@4.19.1",
        "pkg:npm/qs@6.5.2",
    ]
    assert (await jobs.graphs.get(ACME, overlay.id)).snapshot_id == base.snapshot_id


async def test_what_holds_is_the_last_judgement_and_never_a_simulation(jobs: Jobs) -> None:
    base = await built(jobs)
    overlay = await made(jobs, build(kind="overlay", base_job_id=base.id), content(advisories()))
    await jobs.do()
    with pytest.raises(DomainError) as nothing:
        await jobs.policies.effective(ACME, "P-7", base.id)
    assert nothing.value.code == "NOT_FOUND"
    full = await judged(jobs, policy(base, overlay_job_ids=(overlay.id,)))
    assert full.summary is not None
    assert (full.summary["verdicts_count"], full.summary["violations_count"]) == (3, 2)
    lax = content({"rules": {"severity_threshold": "critical"}})
    simulated = await judged(
        jobs, policy(base, mode="simulate", overlay_job_ids=(overlay.id,), base_job_id=full.id), lax
    )
    assert simulated.summary is not None
    assert (simulated.summary["violations_count"], simulated.summary["changed_count"]) == (1, 1)
    assert (await jobs.policies.effective(ACME, "P-7", base.id)).id == full.id
    page = await jobs.policies.items(ACME, full.id, None, PageRequest())
    assert {one.part for one in page.items} == {"verdict"}
    assert (page.total_count, [one.position for one in page.items]) == (3, [1, 2, 3])
    page = await jobs.policies.items(ACME, simulated.id, None, PageRequest())
    assert {one.part for one in page.items} == {"change"}
    later = await judged(jobs, policy(base, mode="incremental", overlay_job_ids=(overlay.id,), base_job_id=full.id))
    assert later.summary is not None
    assert (later.summary["judged_count"], later.determinism_hash) == (0, full.determinism_hash)
    assert (await jobs.policies.effective(ACME, "P-7", base.id)).id == later.id
    assert set(await jobs.policies.sizes(ACME, [full.id, simulated.id, base.id])) == {full.id, simulated.id}


async def test_a_replay_takes_the_mark_off_and_says_whether_it_came_to_the_same(jobs: Jobs) -> None:
    base = await built(jobs)
    full = await judged(jobs, policy(base))
    marked = await jobs.policies.mark_replay(ACME, full.id, "new advisories", AUDIT)
    assert (marked.replay_pending, marked.state) == ("new advisories", "succeeded")
    listed = await jobs.policies.page(ACME, JobFilter(replay_pending=True), PageRequest())
    assert [one.id for one in listed.items] == [full.id]
    replay = await judged(jobs, policy(base, replay_of=full.id), JobContent(b"replay", same_as=full.id))
    assert (replay.replay_matches, replay.determinism_hash) == (True, full.determinism_hash)
    assert (await jobs.policies.get(ACME, full.id)).replay_pending is None
    waiting = policy(base)
    await jobs.policies.create(waiting, content({"rules": {}}), draft(waiting), AUDIT)
    with pytest.raises(DomainError) as refused:
        await jobs.policies.mark_replay(ACME, waiting.id, "why", AUDIT)
    assert refused.value.code == "STATE_CONFLICT"


async def test_lists_are_paged_newest_first_and_filtered(jobs: Jobs) -> None:
    base = await built(jobs)
    others = [(await made(jobs, build(kind="overlay", base_job_id=base.id))).id for _ in range(2)]
    newest = [*reversed(others), base.id]
    first = await jobs.graphs.page(ACME, JobFilter(), PageRequest(limit=2))
    rest = await jobs.graphs.page(ACME, JobFilter(), PageRequest(limit=2, cursor=first.next_cursor))
    assert [one.id for one in (*first.items, *rest.items)] == newest
    assert (first.total_count, rest.total_count, rest.next_cursor) == (3, 3, None)
    queued = await jobs.graphs.page(ACME, JobFilter("overlay", "queued"), PageRequest(offset=1))
    assert ([one.id for one in queued.items], queued.total_count) == ([others[0]], 2)
    assert (await jobs.graphs.page(ACME, JobFilter("build", "queued"), PageRequest())).items == ()
    page = await jobs.graphs.items(ACME, base.id, None, PageRequest(limit=10))
    more = await jobs.graphs.items(ACME, base.id, None, PageRequest(limit=10, cursor=page.next_cursor))
    assert [one.position for one in (*page.items, *more.items)] == list(range(1, 13))


async def test_what_has_not_ended_is_bounded_and_what_has_is_not_counted(jobs: Jobs) -> None:
    await built(jobs)
    for _ in range(3):
        await made(jobs, build())
    with pytest.raises(DomainError) as full:
        await made(jobs, build())
    assert full.value.code == "QUOTA_EXCEEDED"
    assert len(await jobs.claim()) == 3
    nobody = build(TenantId("nobody"))
    with pytest.raises(DomainError) as unknown:
        await jobs.graphs.create(nobody, content(), draft(nobody), AUDIT)
    assert unknown.value.code == "NOT_FOUND"


async def test_anothers_job_is_unknown(jobs: Jobs) -> None:
    job = await built(jobs)
    judgement = await judged(jobs, policy(job))
    for unknown in (JobId(new_id()), JobId("nonsense"), job.id, judgement.id):
        for attempt in (
            jobs.graphs.get(GLOBEX, unknown),
            jobs.graphs.items(GLOBEX, unknown, None, PageRequest()),
            jobs.graphs.events(GLOBEX, unknown),
            jobs.policies.get(GLOBEX, unknown),
            jobs.policies.items(GLOBEX, unknown, None, PageRequest()),
            jobs.policies.mark_replay(GLOBEX, unknown, "why", AUDIT),
            jobs.policies.effective(GLOBEX, "P-7", unknown),
        ):
            with pytest.raises(DomainError) as refused:
                await attempt
            assert refused.value.code == "NOT_FOUND"
    assert (await jobs.graphs.page(GLOBEX, JobFilter(), PageRequest())).items == ()
    assert await jobs.graphs.sizes(GLOBEX, [job.id, JobId("nonsense")]) == {}


@pytest.fixture
def retention(backend: str, jobs: Jobs, request: pytest.FixtureRequest) -> RetentionStore:
    del jobs
    if backend == "memory":
        return MemoryRetentionStore(request.getfixturevalue("memory_database"))
    return PostgresRetentionStore(request.getfixturevalue("service_pool"))


async def pruned(retention: RetentionStore, kind: str) -> int:
    stretch = await retention.prune_stretch(kind, 0, 1_000)
    assert stretch.next_page is None
    return stretch.deleted_count


async def test_ended_jobs_go_when_they_are_as_old_as_the_rule_says(jobs: Jobs, retention: RetentionStore) -> None:
    old = await built(jobs)
    judgement = await judged(jobs, policy(old))
    waiting = await made(jobs, build())
    await jobs.runs.base.clock.advance(365 * 86_400)
    assert [await pruned(retention, kind) for kind in ("policy_jobs", "graph_jobs")] == [0, 0]
    await jobs.runs.base.clock.advance(1)
    assert [await pruned(retention, kind) for kind in ("policy_jobs", "graph_jobs")] == [1, 1]
    with pytest.raises(DomainError, match="there is no"):
        await jobs.graphs.get(ACME, old.id)
    with pytest.raises(DomainError, match="there is no"):
        await jobs.policies.get(ACME, judgement.id)
    assert (await jobs.graphs.get(ACME, waiting.id)).state == "queued"


async def test_what_a_live_job_is_made_from_stays_until_that_has_ended(jobs: Jobs, retention: RetentionStore) -> None:
    graph, overlay = await built(jobs), await built(jobs)
    base = await judged(jobs, policy(graph))
    await jobs.runs.base.clock.advance(366 * 86_400)
    live = policy(graph, mode="incremental", base_job_id=base.id, overlay_job_ids=(overlay.id,))
    await jobs.policies.create(live, content({"rules": {"severity_threshold": "high"}}), draft(live), AUDIT)
    assert [await pruned(retention, kind) for kind in ("policy_jobs", "graph_jobs")] == [0, 0]
    (claimed,) = await jobs.claim()
    await jobs.runs.claims.settle_batch([success(claimed, verb="fail", outcome="failed", reason="no")])
    assert (await jobs.ends.settle_ended("policy", 10)).taken_count == 1
    assert [await pruned(retention, kind) for kind in ("policy_jobs", "graph_jobs")] == [1, 2]
    assert (await jobs.policies.get(ACME, live.id)).state == "failed"


async def test_a_judgement_that_is_marked_for_replay_stays(jobs: Jobs, retention: RetentionStore) -> None:
    graph, overlay, before, stray = [await built(jobs) for _ in range(4)]
    base = await judged(jobs, policy(graph, overlay_job_ids=(before.id,)))
    goes_on = policy(graph, mode="incremental", base_job_id=base.id, overlay_job_ids=(overlay.id,))
    marked = await judged(jobs, goes_on)
    await jobs.policies.mark_replay(ACME, marked.id, "the rules were wrong", AUDIT)
    await jobs.runs.base.clock.advance(366 * 86_400)
    assert [await pruned(retention, kind) for kind in ("policy_jobs", "graph_jobs")] == [0, 1]
    with pytest.raises(DomainError, match="there is no"):
        await jobs.graphs.get(ACME, stray.id)


async def test_a_judgement_whose_overlay_is_gone_is_refused(jobs: Jobs) -> None:
    graph = await built(jobs)
    job = policy(graph, overlay_job_ids=(graph.id, new_id()))
    await jobs.policies.create(job, content({"rules": {"severity_threshold": "high"}}), draft(job), AUDIT)
    (claimed,) = await jobs.claim()
    given = (await jobs.work.begin([claim_of(claimed, "policy")]))[claimed.run_id]
    assert [bool(one) for one in given.documents["overlays"]] == [True, False]
    with pytest.raises(DomainError) as gone:
        execute(given.kind, given.documents)
    assert [problem.field for problem in gone.value.problems] == ["overlays"]


async def test_workers_that_have_left_go_and_others_stay(jobs: Jobs, retention: RetentionStore) -> None:
    runs = jobs.runs
    left, _ = await runs.worker(), await runs.worker(lease_seconds=1e9)
    holder, _ = await runs.claim_one()
    await runs.base.clock.advance(31 * 86_400)
    assert await pruned(retention, "workers") == 0
    assert set(await runs.workers.mark_lost(10)) == {left, holder}
    await runs.workers.clear_departed(10)
    assert await pruned(retention, "workers") == 1
    assert left not in {one.id for one in await runs.workers.list_recent(10)}


async def test_jobs_are_counted_no_further_than_asked(jobs: Jobs) -> None:
    graph = await built(jobs)
    for _ in range(2):
        await made(jobs, build())
        job = policy(graph)
        await jobs.policies.create(job, content({"rules": {}}), draft(job), AUDIT)
    bounded = PageRequest(limit=1, count_max=1)
    assert (await jobs.graphs.page(ACME, JobFilter(), bounded)).total_count == 1
    assert (await jobs.policies.page(ACME, JobFilter(), bounded)).total_count == 1
    assert (await jobs.graphs.page(ACME, JobFilter(), PageRequest(limit=1))).total_count == 3
