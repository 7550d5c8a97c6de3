"""Firing in PostgreSQL: what is due, and one fenced statement per batch (laws 2 and 7).

`apply` is one round trip on a direct connection that commits by itself: a leader that is frozen at any moment holds no
lock, and a take-over waits no longer than the statement takes.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import structs

from rota.domain.errors import Bug, Stale
from rota.domain.firing import DueBatch, DueTrigger, TriggerAdvance
from rota.domain.ids import ScheduleId, TenantId, TriggerId
from rota.domain.lease import Fence
from rota.domain.policies import Policies
from rota.domain.run import RunDraft
from rota.domain.schedule import TriggerState
from rota.domain.triggers import Trigger
from rota.ports.firing_store import FiringResult, LeaderLook
from rota.storage.event_drafts import refuse_unknown_types
from rota.storage.firing_events import OVERLAP_CANCEL_REASON, firing_events
from rota.storage.postgres.driver import Pool, Row
from rota.storage.postgres.query_files import query
from rota.storage.postgres.run_rows import draft_columns, target_of
from rota.storage.postgres.single_statements import SingleStatements

_LOOK_AHEAD = query("triggers/look_ahead")
_LIST_DUE = query("triggers/list_due")
_APPLY_ADVANCES = query("triggers/apply_advances")

_SPEC: msgspec.json.Decoder[Trigger] = msgspec.json.Decoder(Trigger)
_POLICIES: msgspec.json.Decoder[Policies] = msgspec.json.Decoder(Policies)


class PostgresFiringStore:
    """See `rota.ports.firing_store.FiringStore`."""

    def __init__(self, service_pool: Pool, *, pooled_by_transaction: bool = False) -> None:
        self._statements = SingleStatements(service_pool, pooled_by_transaction=pooled_by_transaction)

    async def look(self, overdue_grace_seconds: float) -> LeaderLook:
        row = await self._statements.fetch_one("looking for due work", _LOOK_AHEAD, overdue_grace_seconds)
        if row is None:
            raise Bug("a look gave no row")
        return LeaderLook(row["next_fire_in_seconds"], row["lost_workers"], row["overdue_attempts"])

    async def due_triggers(self, limit: int) -> DueBatch:
        rows = await self._statements.fetch("listing due triggers", _LIST_DUE, limit)
        now: datetime = rows[0]["now"]
        return DueBatch(now, tuple(_due_trigger(row) for row in rows if row["trigger_id"] is not None))

    async def apply(self, fence: Fence, advances: Sequence[TriggerAdvance]) -> FiringResult:
        if not advances:
            return FiringResult(0, 0, 0, 0, ())
        row = await self._statements.fetch_one(
            "firing",
            _APPLY_ADVANCES,
            fence.lease_name,
            fence.epoch,
            *_step_columns(advances),
            OVERLAP_CANCEL_REASON,
            *_draft_columns(advances),
            *_event_columns(advances),
            fence.holder,
        )
        if row is None:
            raise Stale(f"epoch {fence.epoch} of lease {fence.lease_name!r} has ended: nothing was fired")
        return FiringResult(
            runs_created=row["runs_created"],
            runs_skipped=row["runs_skipped"],
            advanced=row["advanced"],
            refused=len(advances) - row["advanced"],
            queues=tuple(row["queues"]),
        )


def _due_trigger(row: Row) -> DueTrigger:
    state = TriggerState(
        id=TriggerId(row["trigger_id"]),
        spec=_SPEC.decode(row["spec"]),
        anchor_at=row["anchor_at"],
        next_fire_at=row["next_fire_at"],
        fired_through=row["fired_through"],
        fires_count=row["fires_count"],
    )
    return DueTrigger(
        tenant_id=TenantId(row["tenant_id"]),
        schedule_id=ScheduleId(row["schedule_id"]),
        schedule_version=row["version"],
        schedule_name=row["name"],
        trigger=state,
        target=target_of(row["target"]),
        policies=_POLICIES.decode(row["policies"]),
        queued_count=row["queued_count"],
        running_count=row["running_count"],
    )


def _step_columns(advances: Sequence[TriggerAdvance]) -> tuple[list[object], ...]:
    return (
        [advance.trigger_before.id for advance in advances],
        [advance.schedule_id for advance in advances],
        [advance.schedule_version for advance in advances],
        [advance.tenant_id for advance in advances],
        [advance.trigger_before.next_fire_at for advance in advances],
        [advance.fired_through for advance in advances],
        [advance.next_fire_at for advance in advances],
        [advance.fires_count for advance in advances],
        [advance.cancel_live for advance in advances],
    )


def _draft_columns(advances: Sequence[TriggerAdvance]) -> tuple[Sequence[object], ...]:
    """Runs and skipped runs with the step (from 1) that they belong to, whether they are skipped, and their tenant."""
    drafts: list[tuple[int, bool, RunDraft]] = []
    for step, advance in enumerate(advances, start=1):
        drafts += [(step, False, draft) for draft in advance.runs]
        drafts += [(step, True, structs.replace(s.draft, reason=s.reason)) for s in advance.skipped]
    return (
        [step for step, _, _ in drafts],
        [skipped for _, skipped, _ in drafts],
        [draft.tenant_id for _, _, draft in drafts],
        *draft_columns([draft for _, _, draft in drafts]),
    )


def _event_columns(advances: Sequence[TriggerAdvance]) -> tuple[list[object], ...]:
    told = [(step, event) for step, advance in enumerate(advances, start=1) for event in firing_events(advance)]
    refuse_unknown_types(event for _, event in told)
    return (
        [step for step, _ in told],
        [event.tenant_id for _, event in told],
        [event.type for _, event in told],
        [event.subject for _, event in told],
        [event.data for _, event in told],
    )
