"""The workers' side of runs in memory: the oracle of `rota.storage.postgres.run_claims`."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from rota.core.fairness import FairShare
from rota.domain.errors import Bug, Stale
from rota.domain.event import EventDraft
from rota.domain.ids import AttemptToken, TenantId, WorkerId
from rota.domain.run import Attempt, ClaimedRun, LogLine, RunError, RunState, Settlement
from rota.ports.run_store import HeldRun, LostAttempt, SettleResult
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.limits import Rooms
from rota.storage.memory.run_tables import LiveRun
from rota.storage.storable_text import storable_json, storable_text

_ENDS: dict[str, RunState] = {"succeed": "succeeded", "fail": "failed", "cancel": "cancelled"}
_ATTEMPT_EVENTS = {"timed_out": "AttemptTimedOut", "lost": "AttemptLost"}
_RUN_EVENTS = {"fail": "RunFailed", "cancel": "RunCancelled"}


class MemoryRunClaims:
    """See `rota.ports.run_store.RunClaims`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._runs = database.runs_state
        self._shares: dict[tuple[str, ...], FairShare] = {}

    async def claim_batch(self, worker_id: WorkerId, queues: Sequence[str], limit: int) -> tuple[ClaimedRun, ...]:
        now, worker = self._database.now(), self._runs.workers.get(worker_id)
        if worker is None or worker.has_left or worker.lease_expires_at <= now:
            raise Stale(f"the lease of worker {worker_id} has ended: it may claim nothing")
        if worker.state != "active":
            return ()
        due = [
            live
            for live in self._runs.live.values()
            if live.state == "queued" and live.queue in queues and live.due_at <= now
        ]
        taken = self._in_share(sorted(due, key=lambda live: live.claim_order), tuple(queues), limit)
        for live in taken:
            live.is_limited = bool(Rooms(self._database).limits_of(live))
            live.state, live.worker_id, live.started_at = "running", worker_id, now
            live.token = ((live.token >> 32) + 1) << 32 | int(worker_id[-8:], 16)
            live.attempts_count += 1
            live.hard_deadline_at = now + timedelta(seconds=live.timeout_seconds)
        return tuple(self._claimed(live) for live in taken)

    async def settle_batch(self, settlements: Sequence[Settlement]) -> tuple[SettleResult, ...]:
        return tuple(self._settled(settlement) for settlement in settlements)

    async def list_held(self, worker_id: WorkerId, limit: int) -> tuple[HeldRun, ...]:
        now = self._database.now()
        held = sorted(
            (live for live in self._runs.held() if live.worker_id == worker_id),
            key=lambda live: (live.hard_deadline_at or now, live.run_id),
        )
        return tuple(HeldRun(live.run_id, AttemptToken(live.token), live.queue) for live in held[:limit])

    async def give_back_batch(self, claims: Sequence[ClaimedRun | HeldRun]) -> int:
        return sum(self._give_back(claim) for claim in claims)

    async def find_lost(
        self, grace_seconds: float, limit: int, overdue_since: datetime | None = None
    ) -> tuple[LostAttempt, ...]:
        now = self._database.now()
        found: list[LostAttempt] = []
        for live in self._runs.held():
            if live.is_awaiting:
                continue
            if self._is_gone(live.worker_id, now):
                if overdue_since is None or not self._is_cleared(live.worker_id):
                    found.append(LostAttempt(self._claimed(live), live.worker_id, "lost"))
            elif live.is_overdue(overdue_since, now - timedelta(seconds=grace_seconds)):
                found.append(LostAttempt(self._claimed(live), live.worker_id, "timed_out"))
        return tuple(found[:limit])

    async def append_log_lines(self, lines: Sequence[LogLine], tenants: Sequence[TenantId]) -> None:
        if len(lines) != len(tenants):
            raise Bug("each log line needs its tenant")
        for line in lines:
            stored = msgspec.structs.replace(line, stream=storable_text(line.stream), text=storable_text(line.text))
            self._runs.log_lines.setdefault((line.run_id, line.attempt_no, line.seq), stored)

    def _in_share(self, due: Sequence[LiveRun], queues: tuple[str, ...], limit: int) -> list[LiveRun]:
        """The first `limit` that may run, of each priority one after the other of whichever tenant is next.

        Of a schedule's serial runs it is one, and none beside one that is running.
        """
        share, turns = self._shares.setdefault(queues, FairShare()), self._runs.taken_turns()
        taken, rooms = list[LiveRun](), Rooms(self._database)
        for tenant in self._database.tenants.values():
            share.weigh(tenant.id, tenant.weight)
        waiting = list(due)
        while waiting and len(taken) < limit:
            first = [live.tenant_id for live in waiting if live.priority == waiting[0].priority]
            tenant_id = share.order(list(dict.fromkeys(first)))[0]
            live = next(each for each in waiting if each.tenant_id == tenant_id)
            waiting.remove(live)
            if live.is_serial and live.schedule_id in turns:
                continue
            if self._runs.has_place(live, taken) and rooms.has_room(live, taken):
                taken.append(live)
                share.charge([(tenant_id, 1)])
                if live.is_serial:
                    turns.add(live.schedule_id)
        rooms.spend(taken, self._database.now())
        return sorted(taken, key=lambda live: live.claim_order)

    def _settled(self, settlement: Settlement) -> SettleResult:
        live = self._held(settlement.run_id, settlement.token)
        if live is None:
            return SettleResult(settlement.run_id, accepted=False)
        limited = {live.queue} if live.is_limited else set[str]()
        self._settle(live, settlement)
        now = self._database.now()
        startable = {
            other.queue
            for other in self._runs.live.values()
            if (live.is_serial and other.is_serial and other.schedule_id == live.schedule_id)
            or (live.key_id is not None and other.key_id == live.key_id)
            if other.state == "queued" and other.due_at <= now
        }
        return SettleResult(settlement.run_id, accepted=True, startable_queues=tuple(sorted(startable | limited)))

    def _claimed(self, live: LiveRun) -> ClaimedRun:
        record = self._runs.records[live.run_id]
        return ClaimedRun(
            live.run_id,
            live.tenant_id,
            AttemptToken(live.token),
            live.attempts_count,
            record.target,
            record.policy,
            live.queue,
            live.started_at or record.created_at,
            live.schedule_id,
            record.fire_at,
            live.losses_count,
            live.priority,
        )

    def _is_gone(self, worker_id: WorkerId | None, now: datetime) -> bool:
        worker = None if worker_id is None else self._runs.workers.get(worker_id)
        return worker is None or worker.has_left or worker.lease_expires_at <= now

    def _is_cleared(self, worker_id: WorkerId | None) -> bool:
        worker = None if worker_id is None else self._runs.workers.get(worker_id)
        return worker is None or worker.is_cleared

    def _held(self, run_id: str, token: int) -> LiveRun | None:
        live = next((live for live in self._runs.held() if live.run_id == run_id), None)
        return live if live is not None and live.token == token else None

    def _settle(self, live: LiveRun, settlement: Settlement) -> None:
        verb = "cancel" if settlement.verb == "retry" and live.cancel_requested_at is not None else settlement.verb
        error = None if settlement.error_json is None else storable_json(settlement.error_json)
        decoded = None if error is None else msgspec.json.decode(error, type=RunError)
        now, reason = self._database.now(), storable_text(settlement.reason)
        self._record_attempt(live, settlement, decoded, now)
        self._tell(live, _ATTEMPT_EVENTS.get(settlement.outcome), reason)
        self._tell(live, _RUN_EVENTS.get(verb), reason)
        if verb == "retry":
            live.losses_count += settlement.outcome == "lost"
            live.due_at = now + timedelta(seconds=settlement.retry_delay_seconds)
            live.release()
            return
        result = None if settlement.result_json is None else msgspec.json.decode(storable_json(settlement.result_json))
        self._runs.end(
            live.run_id,
            now,
            _ENDS[verb],
            reason=reason or self._runs.records[live.run_id].reason,
            started_at=live.started_at,
            worker_id=live.holder,
            result=result,
            error=decoded,
            dead_lettered=settlement.dead_letter,
        )

    def _give_back(self, claim: ClaimedRun | HeldRun) -> bool:
        live = self._held(claim.run_id, claim.token)
        if live is None:
            return False
        if live.cancel_requested_at is not None:
            self._tell(live, "RunCancelled", "")
            live.attempts_count -= 1
            self._runs.end(live.run_id, self._database.now(), "cancelled")
        else:
            live.attempts_count -= 1
            live.release()
        return True

    def _record_attempt(self, live: LiveRun, settlement: Settlement, error: RunError | None, now: datetime) -> None:
        if settlement.outcome == "succeeded" or live.started_at is None:
            return
        tried = Attempt(live.run_id, live.attempts_count, live.holder, live.started_at, now, settlement.outcome, error)
        self._runs.attempts.setdefault(live.run_id, []).append(tried)

    def _tell(self, live: LiveRun, event_type: str | None, reason: str) -> None:
        if event_type is None:
            return
        facts = {"schedule_id": live.schedule_id, "attempt_no": live.attempts_count, "reason": reason}
        self._database.record_events([EventDraft(event_type, live.tenant_id, live.run_id, "", facts)])
