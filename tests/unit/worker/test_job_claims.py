"""The supervisor's part in jobs: documents with the claim, results before the settlement."""

import json
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from rota.core.packing import pack
from rota.domain.errors import Unavailable
from rota.domain.ids import AttemptToken, JobId, RunId, TenantId, WorkerId
from rota.domain.jobs import RESULT_BYTES_MAX, JobClaim, JobInput, JobResult
from rota.domain.policies import RunPolicy
from rota.domain.run import ClaimedRun, Settlement
from rota.domain.targets import HandedTarget, TaskTarget
from rota.ports.run_store import SettleResult
from rota.worker.job_claims import JobClaims
from rota.worker.job_tasks import execute_job
from rota.worker.outcomes import NonRetryable
from tests.samples import sbom

AT = datetime(2026, 3, 1, 2, 30, tzinfo=UTC)
WORKER = WorkerId("w")
BUILD = TaskTarget("rota.graph_build", {"job_id": "j"})


class Claims:
    """A store of runs that remembers what was settled."""

    def __init__(self, *targets: HandedTarget) -> None:
        self.settled: list[Settlement] = []
        self.runs = tuple(
            ClaimedRun(RunId(str(number)), TenantId("acme"), AttemptToken(1), 1, target, RunPolicy(), "default", AT)
            for number, target in enumerate(targets)
        )

    async def claim_batch(self, worker_id: WorkerId, queues: Sequence[str], limit: int) -> tuple[ClaimedRun, ...]:
        del worker_id, queues, limit
        return self.runs

    async def settle_batch(self, settlements: Sequence[Settlement]) -> tuple[SettleResult, ...]:
        self.settled += settlements
        return tuple(SettleResult(one.run_id, accepted=True) for one in settlements)


class Work:
    """A store of jobs. `ended` are runs whose jobs have ended."""

    def __init__(self, *ended: str) -> None:
        self.ended = ended
        self.asked: list[Sequence[JobClaim]] = []
        self.saved: list[tuple[JobClaim, JobResult]] = []
        self.away = False
        self.away_for: RunId | None = None

    async def begin(self, claims: Sequence[JobClaim]) -> dict[RunId, JobInput]:
        self.asked.append(claims)
        return {
            claim.run_id: JobInput(JobId("j"), "build", {"input": (pack(sbom()),)})
            for claim in claims
            if claim.run_id not in self.ended
        }

    async def save_result(self, claim: JobClaim, packed: bytes, result: JobResult) -> bool:
        assert packed == pack(result)
        if self.away or claim.run_id == self.away_for:
            raise Unavailable("the store does not answer")
        self.saved.append((claim, result))
        return True


def over(claims: Claims, work: Work) -> JobClaims:
    return JobClaims(claims, work)  # pyright: ignore[reportArgumentType]


async def executed(claims: JobClaims, run: ClaimedRun) -> Settlement:
    """What the executor of a claimed job says."""
    assert isinstance(run.target, TaskTarget)
    result = json.dumps(execute_job(**run.target.args))
    return Settlement(run.run_id, run.token, "succeed", "succeeded", "done", result_json=result)


async def test_a_batch_without_jobs_asks_nothing() -> None:
    inner, work = Claims(TaskTarget("report")), Work()
    claims = over(inner, work)
    assert await claims.claim_batch(WORKER, ("default",), 10) == inner.runs
    settlement = Settlement(RunId("0"), AttemptToken(1), "succeed", "succeeded", result_json='{"rota_job_result":"x"}')
    await claims.settle_batch([settlement])
    assert (work.asked, work.saved, inner.settled) == ([], [], [settlement])


async def test_a_result_is_saved_before_its_run_is_settled_which_carries_the_summary_alone() -> None:
    inner, work = Claims(BUILD, TaskTarget("report")), Work()
    claims = over(inner, work)
    build, report = await claims.claim_batch(WORKER, ("default",), 10)
    assert report == inner.runs[1]
    settlement = await executed(claims, build)
    assert len(settlement.result_json or "") < RESULT_BYTES_MAX
    await claims.settle_batch([settlement])
    ((claim, result),) = work.saved
    assert (claim, len(result.items)) == (JobClaim("graph", TenantId("acme"), RunId("0"), AttemptToken(1)), 12)
    told = json.loads(inner.settled[0].result_json or "")
    assert (told["components_count"], told["content_hash"]) == (7, result.content_hash)


async def test_a_result_that_cannot_be_saved_settles_nothing_until_it_is() -> None:
    inner, work = Claims(BUILD), Work()
    claims = over(inner, work)
    (build,) = await claims.claim_batch(WORKER, ("default",), 10)
    settlement = await executed(claims, build)
    work.away = True
    with pytest.raises(Unavailable):
        await claims.settle_batch([settlement])
    assert inner.settled == []
    work.away = False
    await claims.settle_batch([settlement])
    assert (len(work.saved), inner.settled[0].verb) == (1, "succeed")


async def test_what_was_saved_is_not_saved_again_when_its_neighbours_make_the_settlement_fail() -> None:
    inner, work = Claims(BUILD, BUILD), Work()
    claims = over(inner, work)
    settlements = [await executed(claims, run) for run in await claims.claim_batch(WORKER, ("default",), 10)]
    work.away_for = RunId("1")
    for _ in range(3):
        with pytest.raises(Unavailable):
            await claims.settle_batch(settlements)
    work.away_for = None
    await claims.settle_batch(settlements)
    assert [claim.run_id for claim, _ in work.saved] == ["0", "1"]
    assert len(inner.settled) == 2


@pytest.mark.parametrize("forged", ["null", "{}", '{"rota_job_result":"%%"}', '{"rota_job_result":"bm9uZQ=="}', "["])
async def test_no_success_without_a_result(forged: str) -> None:
    inner, work = Claims(BUILD), Work()
    claims = over(inner, work)
    (build,) = await claims.claim_batch(WORKER, ("default",), 10)
    await claims.settle_batch([Settlement(build.run_id, build.token, "succeed", "succeeded", result_json=forged)])
    (settled,) = inner.settled
    assert (settled.verb, settled.outcome, settled.result_json, settled.dead_letter) == ("fail", "failed", None, True)
    assert work.saved == []


async def test_a_failed_attempt_is_settled_as_it_is() -> None:
    inner, work = Claims(BUILD), Work()
    claims = over(inner, work)
    (build,) = await claims.claim_batch(WORKER, ("default",), 10)
    failed = Settlement(build.run_id, build.token, "retry", "failed", "again", 5.0)
    await claims.settle_batch([failed])
    assert (inner.settled, work.saved) == ([failed], [])


async def test_a_run_whose_job_has_ended_comes_without_documents_and_says_so() -> None:
    claims = over(Claims(BUILD), Work("0"))
    (build,) = await claims.claim_batch(WORKER, ("default",), 10)
    with pytest.raises(NonRetryable, match="no job that is live"):
        await executed(claims, build)


def test_a_result_beyond_the_bound_is_a_failure_that_no_retry_mends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rota.worker.job_tasks.RESULT_BYTES_MAX", 10)
    with pytest.raises(NonRetryable, match="compressed"):
        execute_job(job_id="j", kind="build", documents={"input": [b64encode(pack(sbom())).decode()]})


def test_a_document_that_cannot_be_read_is_a_failure_that_no_retry_mends() -> None:
    with pytest.raises(NonRetryable, match="packed document"):
        execute_job(job_id="j", kind="build", documents={"input": ["bm9uZQ=="]})
