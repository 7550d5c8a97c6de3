"""Callbacks in memory: the oracle of `rota.storage.postgres.callbacks`."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from rota.domain.callback import CallbackReceipt, EndedWait, OpenedCallback, WaitOutcome
from rota.domain.event import EventDraft
from rota.domain.ids import AttemptToken, RunId
from rota.domain.run import AWAITING_SEGMENTS, ClaimedRun, RunError
from rota.ports.callback_store import CallbackLook
from rota.storage.memory.callback_tables import StoredCallback
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.run_tables import LiveRun


class MemoryCallbacks:
    """See `rota.ports.callback_store`: all three of its ports."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._live = database.runs_state.live
        self._callbacks = database.callbacks_state.callbacks

    async def open(self, callbacks: Sequence[OpenedCallback]) -> None:
        for one in callbacks:
            keep_until = self._database.now() + timedelta(seconds=one.keep_seconds)
            self._callbacks[one.secret_hash] = StoredCallback(one, keep_until)

    async def await_answers(self, attempts: Sequence[tuple[RunId, AttemptToken]]) -> tuple[WaitOutcome, ...]:
        return tuple(self._await(run_id, token) for run_id, token in attempts)

    def _await(self, run_id: RunId, token: AttemptToken) -> WaitOutcome:
        found = next(
            (one for one in self._callbacks.values() if (one.opened.run_id, one.opened.token) == (run_id, token)), None
        )
        live = self._live.get(run_id)
        if live is None or live.is_awaiting or live.token != token or found is None:
            return "waiting" if found is not None and found.waiting_token is not None else "stale"
        if live.cancel_requested_at is not None:
            return "cancelled"
        self._park(live, found, found.opened.wait_seconds)
        self._tell("CallbackAwaited", found, {})
        return "waiting"

    async def answer(
        self, secret_hash: bytes, outcome: str, result_json: str | None, error_json: str | None
    ) -> CallbackReceipt:
        found, now = self._callbacks.get(secret_hash), self._database.now()
        if found is None or self._database.tenants[found.opened.tenant_id].revoked_at is not None:
            return "unknown"
        if found.outcome is not None:
            return "repeated"
        live = self._live.get(found.opened.run_id)
        is_late = found.deadline_at is not None and found.deadline_at <= now
        if live is None or live.worker_id is None or live.token != found.token or found.ended_at or is_late:
            return "over"
        found.outcome = "succeeded" if outcome == "succeeded" else "failed"
        found.result_json, found.error_json = result_json, error_json
        if found.waiting_token is None:
            self._park(live, found, 0.0)
        self._tell("CallbackReceived", found, {"outcome": outcome})
        return "accepted"

    async def look(self) -> CallbackLook:
        has_waiting = any(one.is_waiting for one in self._callbacks.values())
        return CallbackLook(has_waiting, any(map(self._is_over, self._callbacks.values())), bool(self._aged()))

    async def list_ended(self, limit: int) -> tuple[EndedWait, ...]:
        over = [one for one in self._callbacks.values() if self._is_over(one)]
        return tuple(self._ended(one) for one in over[:limit])

    async def close(self, ended: Sequence[EndedWait]) -> None:
        for one in ended:
            stored = self._callbacks[one.secret_hash]
            stored.ended_at = stored.ended_at or self._database.now()
            stored.result_json = stored.error_json = None

    async def forget_aged(self, limit: int) -> int:
        aged = self._aged()[:limit]
        for secret_hash in aged:
            del self._callbacks[secret_hash]
        return len(aged)

    def _park(self, live: LiveRun, found: StoredCallback, wait_seconds: float) -> None:
        live.worker_id, live.hard_deadline_at, live.is_limited = AWAITING_SEGMENTS, None, False
        live.token = found.waiting_token = ((live.token >> 32) + 1) << 32 | 0xFFFFFFFF
        found.deadline_at = self._database.now() + timedelta(seconds=wait_seconds)

    def _tell(self, event_type: str, found: StoredCallback, data: dict[str, object]) -> None:
        opened = found.opened
        self._database.record_events([EventDraft(event_type, opened.tenant_id, opened.run_id, "", data)])

    def _waiting(self, one: StoredCallback) -> LiveRun | None:
        live = self._live.get(one.opened.run_id)
        return live if live is not None and live.is_awaiting and live.token == one.waiting_token else None

    def _is_over(self, one: StoredCallback) -> bool:
        if not one.is_waiting or one.deadline_at is None:
            return False
        live = self._waiting(one)
        is_cancelled = live is not None and live.cancel_requested_at is not None
        return one.outcome is not None or one.deadline_at <= self._database.now() or is_cancelled

    def _ended(self, one: StoredCallback) -> EndedWait:
        live = self._waiting(one)
        error = None if one.error_json is None else msgspec.json.decode(one.error_json, type=RunError)
        return EndedWait(
            one.opened.secret_hash,
            None if live is None else self._claimed(live),
            one.outcome,
            one.result_json,
            error,
            one.opened.wait_seconds,
            is_late=one.deadline_at is not None and one.deadline_at <= self._database.now(),
        )

    def _claimed(self, live: LiveRun) -> ClaimedRun:
        record = self._database.runs_state.records[live.run_id]
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

    def _aged(self) -> list[bytes]:
        now = self._database.now()
        return [name for name, one in self._callbacks.items() if not one.is_waiting and one.keep_until <= now]
