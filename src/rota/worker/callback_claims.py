"""Claims whose HTTP targets call back. The supervisor gives each attempt an address of its own, kept before it is used.

Where such a target answers 202, the attempt is not settled: its run waits, without a worker, for the address to be
called. Any other answer settles it as ever. All other runs cost nothing more.
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct, ValidationError, json, structs

from rota.core.callbacks import callback_digest, wait_seconds_of
from rota.domain.callback import CALLBACK_PATH, OpenedCallback
from rota.domain.ids import AttemptToken, RunId, TenantId, WorkerId
from rota.domain.run import ClaimedRun, LogLine, Settlement
from rota.domain.targets import CallbackTarget, HttpTarget, SignedHttpTarget
from rota.ports.callback_store import CallbackWaits
from rota.ports.ids import Ids
from rota.ports.run_store import HeldRun, LostAttempt, RunClaims, SettleResult
from rota.worker.target_kinds import have_kind

# So long an address is remembered behind the last moment at which it could be answered.
KEPT_SECONDS = 86_400.0
# More than any worker has under way at a time.
ATTEMPTS_REMEMBERED_MAX = 10_000
ACCEPTED = 202


class _Answered(Struct):
    """Of the result of a request: what the target answered."""

    status: int


class CallbackClaims:
    """`rota.ports.run_store.RunClaims` over another one. Without `public_url` nobody could call back: such requests are
    handed out without an address, and fail unsent.
    """

    def __init__(self, claims: RunClaims, waits: CallbackWaits, ids: Ids, public_url: str | None) -> None:
        self._claims = claims
        self._waits = waits
        self._ids = ids
        self._public_url = None if public_url is None else public_url.rstrip("/")
        self._asked: dict[tuple[RunId, AttemptToken], str] = {}
        self._settled: dict[tuple[RunId, AttemptToken], SettleResult] = {}

    async def claim_batch(self, worker_id: WorkerId, queues: Sequence[str], limit: int) -> tuple[ClaimedRun, ...]:
        runs = await self._claims.claim_batch(worker_id, queues, limit)
        if self._public_url is None or not have_kind(runs, {HttpTarget, SignedHttpTarget}):
            return runs
        if not any(_request_of(run) for run in runs):
            return runs
        opened: list[OpenedCallback] = []
        handed = [self._handed(run, opened) for run in runs]
        await self._waits.open(opened)
        return tuple(handed)

    async def settle_batch(self, settlements: Sequence[Settlement]) -> tuple[SettleResult, ...]:
        if not self._asked:
            return await self._claims.settle_batch(settlements)
        accepted = [one for one in settlements if _attempt(one) in self._asked and _was_accepted(one)]
        waiting = {_attempt(one) for one in accepted}
        await self._settle([one for one in settlements if _attempt(one) not in waiting])
        if accepted:
            await self._await_answers(accepted)
        for settlement in settlements:
            self._asked.pop(_attempt(settlement), None)
        return tuple([self._settled.pop(_attempt(one)) for one in settlements])

    async def list_held(self, worker_id: WorkerId, limit: int) -> tuple[HeldRun, ...]:
        return await self._claims.list_held(worker_id, limit)

    async def give_back_batch(self, claims: Sequence[ClaimedRun | HeldRun]) -> int:
        for claim in claims:
            self._asked.pop((claim.run_id, claim.token), None)
        return await self._claims.give_back_batch(claims)

    async def find_lost(
        self, grace_seconds: float, limit: int, overdue_since: datetime | None = None
    ) -> tuple[LostAttempt, ...]:
        return await self._claims.find_lost(grace_seconds, limit, overdue_since)

    async def append_log_lines(self, lines: Sequence[LogLine], tenants: Sequence[TenantId]) -> None:
        await self._claims.append_log_lines(lines, tenants)

    def _handed(self, run: ClaimedRun, opened: list[OpenedCallback]) -> ClaimedRun:
        request = _request_of(run)
        if request is None or not isinstance(run.target, HttpTarget | SignedHttpTarget):
            return run
        secret = self._ids.new_secret()
        wait_seconds = wait_seconds_of(request, run.policy.timeout_seconds)
        kept_seconds = run.policy.timeout_seconds + wait_seconds + KEPT_SECONDS
        opened.append(
            OpenedCallback(callback_digest(secret), run.tenant_id, run.run_id, run.token, wait_seconds, kept_seconds)
        )
        self._remember(run)
        return structs.replace(run, target=CallbackTarget(run.target, f"{self._public_url}{CALLBACK_PATH}{secret}"))

    def _remember(self, run: ClaimedRun) -> None:
        """What was lost with a lease is never settled here: the oldest make room."""
        self._asked[run.run_id, run.token] = run.queue
        while len(self._asked) > ATTEMPTS_REMEMBERED_MAX:
            del self._asked[next(iter(self._asked))]

    async def _settle(self, settlements: Sequence[Settlement]) -> None:
        """What an earlier call has settled, before it failed at what it had still to do, is not settled again."""
        left = [one for one in settlements if _attempt(one) not in self._settled]
        results = await self._claims.settle_batch(left) if left else ()
        self._settled |= {_attempt(one): result for one, result in zip(left, results, strict=True)}

    async def _await_answers(self, accepted: Sequence[Settlement]) -> None:
        """Lets all of them wait at once, and settles those that are to be cancelled instead."""
        left = [one for one in accepted if _attempt(one) not in self._settled]
        outcomes = await self._waits.await_answers([_attempt(one) for one in left])
        cancelled: list[Settlement] = []
        for one, outcome in zip(left, outcomes, strict=True):
            if outcome == "cancelled":
                cancelled.append(_as_cancelled(one))
                continue
            queues = (self._asked[_attempt(one)],) if outcome == "waiting" else ()
            self._settled[_attempt(one)] = SettleResult(one.run_id, outcome == "waiting", queues)
        await self._settle(cancelled)


def _attempt(settlement: Settlement) -> tuple[RunId, AttemptToken]:
    return settlement.run_id, settlement.token


def _as_cancelled(settlement: Settlement) -> Settlement:
    return structs.replace(
        settlement, verb="cancel", outcome="cancelled", reason="cancelled on request", result_json=None
    )


def _request_of(run: ClaimedRun) -> HttpTarget | None:
    """The request of a run whose target calls back."""
    request = run.target.request if isinstance(run.target, SignedHttpTarget) else run.target
    return request if isinstance(request, HttpTarget) and request.accept_202 == "callback" else None


def _was_accepted(settlement: Settlement) -> bool:
    if settlement.verb != "succeed" or settlement.result_json is None:
        return False
    try:
        return json.decode(settlement.result_json, type=_Answered).status == ACCEPTED
    except ValidationError:
        return False
