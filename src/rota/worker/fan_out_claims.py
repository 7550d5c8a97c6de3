"""Claims of fan-out runs: what is handed to a worker's processes, and what becomes of a plan.

The first attempt of a run that fans out is handed over as a plan to be made. Where it succeeds, the run is not settled:
it is launched, and waits for its segments. A segment's run is handed over as what its parent does, with the items of
the segment, which are read now and kept nowhere. All other runs cost nothing more.
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec import structs

from rota.core.fan_out import fan_out_of, settled_plan
from rota.domain.fan_out import SegmentRef
from rota.domain.ids import AttemptToken, RunId, TenantId, WorkerId
from rota.domain.run import ClaimedRun, LogLine, Settlement
from rota.domain.targets import PlanTarget, SegmentTarget, Target
from rota.ports.fan_out_store import FanOutPlans, PlanningAttempt
from rota.ports.run_store import HeldRun, LostAttempt, RunClaims, SettleResult
from rota.worker.target_kinds import have_fan_out, have_kind

# More than any worker makes at a time.
PLANS_REMEMBERED_MAX = 10_000


class FanOutClaims:
    """`rota.ports.run_store.RunClaims` over another one. It remembers the plans that are being made."""

    def __init__(self, claims: RunClaims, plans: FanOutPlans) -> None:
        self._claims = claims
        self._plans = plans
        self._planning: dict[tuple[RunId, AttemptToken], ClaimedRun] = {}

    async def claim_batch(self, worker_id: WorkerId, queues: Sequence[str], limit: int) -> tuple[ClaimedRun, ...]:
        runs = await self._claims.claim_batch(worker_id, queues, limit)
        if not have_kind(runs, {SegmentTarget}) and not have_fan_out(runs):
            return runs
        refs = [(run.tenant_id, _ref(run.target)) for run in runs if isinstance(run.target, SegmentTarget)]
        slices = await self._plans.read_slices(refs) if refs else {}
        return tuple([await self._handed(run, slices) for run in runs])

    async def settle_batch(self, settlements: Sequence[Settlement]) -> tuple[SettleResult, ...]:
        if not self._planning:
            return await self._claims.settle_batch(settlements)
        launched: dict[tuple[RunId, AttemptToken], SettleResult] = {}
        left: list[Settlement] = []
        for settlement in settlements:
            planned = self._planning.get((settlement.run_id, settlement.token))
            decided: SettleResult | Settlement = settlement
            if planned is not None and settlement.verb == "succeed":
                decided = await self._launched(planned, settlement)
            if isinstance(decided, SettleResult):
                launched[settlement.run_id, settlement.token] = decided
            else:
                left.append(decided)
        settled = await self._claims.settle_batch(left)
        for settlement in settlements:
            self._planning.pop((settlement.run_id, settlement.token), None)
        answers = iter(settled)
        return tuple([launched.get((each.run_id, each.token)) or next(answers) for each in settlements])

    async def list_held(self, worker_id: WorkerId, limit: int) -> tuple[HeldRun, ...]:
        return await self._claims.list_held(worker_id, limit)

    async def give_back_batch(self, claims: Sequence[ClaimedRun | HeldRun]) -> int:
        for claim in claims:
            self._planning.pop((claim.run_id, claim.token), None)
        return await self._claims.give_back_batch(claims)

    async def find_lost(
        self, grace_seconds: float, limit: int, overdue_since: datetime | None = None
    ) -> tuple[LostAttempt, ...]:
        return await self._claims.find_lost(grace_seconds, limit, overdue_since)

    async def append_log_lines(self, lines: Sequence[LogLine], tenants: Sequence[TenantId]) -> None:
        await self._claims.append_log_lines(lines, tenants)

    async def _handed(self, run: ClaimedRun, slices: dict[SegmentRef, Target]) -> ClaimedRun:
        """A segment that is not there stays what it is, and fails when it begins."""
        if isinstance(run.target, SegmentTarget):
            return structs.replace(run, target=slices.get(_ref(run.target), run.target))
        fan_out = fan_out_of(run.target)
        if fan_out is None:
            return run
        again_for = fan_out.again_for
        takes_over = again_for is not None and await self._plans.has_snapshot(run.tenant_id, RunId(again_for))
        self._remember(run)
        return structs.replace(run, target=PlanTarget(fan_out, takes_over))

    def _remember(self, run: ClaimedRun) -> None:
        """What was lost with a lease is never settled here: the oldest make room."""
        self._planning[run.run_id, run.token] = run
        while len(self._planning) > PLANS_REMEMBERED_MAX:
            del self._planning[next(iter(self._planning))]

    async def _launched(self, planned: ClaimedRun, settlement: Settlement) -> SettleResult | Settlement:
        """The answer where the run is launched or lost to us, else how it is to be settled."""
        fan_out = fan_out_of(planned.target)
        assert fan_out is not None, "only fan-outs are planned"
        attempt = PlanningAttempt(planned.tenant_id, planned.run_id, planned.token)
        launch = await self._plans.launch(attempt, fan_out)
        if launch.outcome in {"launched", "stale"}:
            queues = (planned.queue,) if launch.outcome == "launched" else ()
            return SettleResult(settlement.run_id, launch.outcome == "launched", queues)
        if launch.outcome == "cancelled":
            return structs.replace(settlement, verb="cancel", outcome="cancelled", reason="cancelled on request")
        return settled_plan(settlement, launch.items_total, launch.segments_count)


def _ref(target: SegmentTarget) -> SegmentRef:
    return SegmentRef(target.run_id, target.segment_no)
