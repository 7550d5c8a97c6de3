"""Claims whose runs execute jobs come with the documents; their results are saved before the run is settled.

The supervisor does both: executors ask no store. A run is settled as a success only after its result was saved under
the attempt's token, so that a job that has succeeded has its result; what a worker that dies in between leaves, the
next attempt replaces. A question that fails fails the claim, as in `signing_claims`; a result that cannot be saved now
is saved when the settlement is tried again.
"""

from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec
from msgspec import Struct, structs

from rota.core.packing import unpack
from rota.domain.errors import DomainError
from rota.domain.ids import AttemptToken, RunId, TenantId, WorkerId
from rota.domain.jobs import TASKS, JobClaim, JobInput, JobResult
from rota.domain.run import ClaimedRun, LogLine, RunError, Settlement
from rota.domain.targets import TaskTarget
from rota.ports.job_store import JobWork
from rota.ports.run_store import HeldRun, LostAttempt, RunClaims, SettleResult
from rota.worker.target_kinds import have_task

# Of attempts that were never settled here, the oldest are forgotten: their leases have ended long since.
ATTEMPTS_REMEMBERED_MAX = 10_000

Attempt: TypeAlias = tuple[RunId, AttemptToken]


class PackedResult(Struct, frozen=True, forbid_unknown_fields=True):
    """What the task has returned."""

    rota_job_result: str


class JobClaims:
    """`rota.ports.run_store.RunClaims` over another one. A batch without jobs costs nothing more."""

    def __init__(self, claims: RunClaims, work: JobWork) -> None:
        self._claims = claims
        self._work = work
        self._begun: OrderedDict[Attempt, JobClaim] = OrderedDict()
        self._saved: dict[Attempt, Settlement] = {}

    async def claim_batch(self, worker_id: WorkerId, queues: Sequence[str], limit: int) -> tuple[ClaimedRun, ...]:
        runs = await self._claims.claim_batch(worker_id, queues, limit)
        if not have_task(runs, TASKS):
            return runs
        claims = {run.run_id: claim for run in runs if (claim := _job_claim(run)) is not None}
        inputs = await self._work.begin([*claims.values()])
        for run_id in inputs:
            self._remember(claims[run_id])
        return tuple(_with_input(run, inputs.get(run.run_id)) if run.run_id in claims else run for run in runs)

    async def settle_batch(self, settlements: Sequence[Settlement]) -> tuple[SettleResult, ...]:
        if not self._begun:
            return await self._claims.settle_batch(settlements)
        results = await self._claims.settle_batch([await self._with_saved_result(one) for one in settlements])
        for settlement in settlements:
            self._begun.pop((settlement.run_id, settlement.token), None)
            self._saved.pop((settlement.run_id, settlement.token), None)
        return results

    async def list_held(self, worker_id: WorkerId, limit: int) -> tuple[HeldRun, ...]:
        return await self._claims.list_held(worker_id, limit)

    async def give_back_batch(self, claims: Sequence[ClaimedRun | HeldRun]) -> int:
        given_back = await self._claims.give_back_batch(claims)
        for claim in claims:
            self._begun.pop((claim.run_id, claim.token), None)
        return given_back

    async def find_lost(
        self, grace_seconds: float, limit: int, overdue_since: datetime | None = None
    ) -> tuple[LostAttempt, ...]:
        return await self._claims.find_lost(grace_seconds, limit, overdue_since)

    async def append_log_lines(self, lines: Sequence[LogLine], tenants: Sequence[TenantId]) -> None:
        await self._claims.append_log_lines(lines, tenants)

    def _remember(self, claim: JobClaim) -> None:
        self._begun[claim.run_id, claim.token] = claim
        if len(self._begun) > ATTEMPTS_REMEMBERED_MAX:
            self._begun.popitem(last=False)

    async def _with_saved_result(self, settlement: Settlement) -> Settlement:
        """The settlement to send on: of a job with its result saved, it carries the summary alone.

        What was saved is not saved again when the settlement is tried again: so many results come through in the end.
        """
        attempt = (settlement.run_id, settlement.token)
        claim = self._begun.get(attempt)
        if claim is None or settlement.verb != "succeed":
            return settlement
        if attempt not in self._saved:
            self._saved[attempt] = await self._save(claim, settlement)
        return self._saved[attempt]

    async def _save(self, claim: JobClaim, settlement: Settlement) -> Settlement:
        try:
            packed, result = _unpacked(settlement.result_json)
        except (msgspec.MsgspecError, DomainError, ValueError) as unreadable:
            return _failed(settlement, f"the result of the job cannot be read: {unreadable}")
        await self._work.save_result(claim, packed, result)
        summary = {**result.summary, "content_hash": result.content_hash}
        return structs.replace(settlement, result_json=msgspec.json.encode(summary).decode())


def _job_claim(run: ClaimedRun) -> JobClaim | None:
    family = TASKS.get(run.target.task) if isinstance(run.target, TaskTarget) else None
    return None if family is None else JobClaim(family, run.tenant_id, run.run_id, run.token)


def _with_input(run: ClaimedRun, given: JobInput | None) -> ClaimedRun:
    """Without input the task says why it cannot go on."""
    if given is None or not isinstance(run.target, TaskTarget):
        return run
    documents = {name: [b64encode(one).decode() for one in packed] for name, packed in given.documents.items()}
    args = {"job_id": given.job_id, "kind": given.kind, "documents": documents}
    return structs.replace(run, target=TaskTarget(run.target.task, args))


def _unpacked(result_json: str | None) -> tuple[bytes, JobResult]:
    envelope = msgspec.json.decode(result_json or "null", type=PackedResult)
    packed = b64decode(envelope.rota_job_result, validate=True)
    return packed, msgspec.json.decode(unpack(packed), type=JobResult)


def _failed(settlement: Settlement, message: str) -> Settlement:
    """No success without a result."""
    error = RunError(message, type="JobResultUnreadable", failure_class="config", retryable=False)
    return structs.replace(
        settlement,
        verb="fail",
        outcome="failed",
        reason=message,
        result_json=None,
        error_json=msgspec.json.encode(error).decode(),
        dead_letter=True,
    )
