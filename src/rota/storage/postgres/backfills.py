"""Backfills in PostgreSQL: requests through the api login and row-level security, steps through the service login."""

from collections.abc import Mapping, Sequence

import asyncpg
import msgspec

from rota.core.backfilling import LIVE_MAX
from rota.core.concurrency import places_of
from rota.domain.backfill import BACKFILLS_KEPT_MAX, BACKFILLS_RUNNING_MAX, Backfill, BackfillStep, DueBackfill
from rota.domain.errors import Bug, Stale, not_found
from rota.domain.ids import BackfillId, ScheduleId, TenantId
from rota.domain.lease import Fence
from rota.domain.page import Page, PageRequest
from rota.domain.policies import Policies
from rota.domain.schedule import TriggerState
from rota.domain.tenancy import AuditEntry
from rota.storage.backfill_refusals import backfill_event, cancel_reason, ending_event, has_ended, too_many_running
from rota.storage.page_cursor import decode_id_cursor, is_uuid
from rota.storage.postgres.audit import insert_audit
from rota.storage.postgres.connections import tenant_transaction
from rota.storage.postgres.driver import Connection, Pool, Row
from rota.storage.postgres.events import insert_events
from rota.storage.postgres.keyset_pages import page_of_rows
from rota.storage.postgres.query_files import query
from rota.storage.postgres.single_statements import SingleStatements
from rota.storage.postgres.stored_policies import policies_of_text
from rota.storage.postgres.tenants import refuse_revoked_tenant

_LOCK_QUOTA = query("backfills/lock_quota")
_COUNT_RUNNING = query("backfills/count_running")
_INSERT_BACKFILL = query("backfills/insert_backfill")
_FORGET_ENDED = query("backfills/forget_ended")
_READ_BACKFILL = query("backfills/read_backfill")
_LOCK_BACKFILL = query("backfills/lock_backfill")
_CANCEL_LOCKED = query("backfills/cancel_locked")
_PAGE_BACKFILLS = query("backfills/page_backfills")
_FIND_KEYS = query("backfills/find_keys")
_LOOK_NEXT = query("backfill_steps/look_next")
_LIST_DUE = query("backfill_steps/list_due")
_APPLY_STEP = query("backfill_steps/apply_step")

KEYS_AT_ONCE_MAX = 5_000

_TRIGGERS: msgspec.json.Decoder[tuple[TriggerState, ...]] = msgspec.json.Decoder(tuple[TriggerState, ...])


class PostgresBackfillStore:
    """See `rota.ports.backfill_store.BackfillStore`. A test may lower the bounds."""

    def __init__(
        self, api_pool: Pool, running_max: int = BACKFILLS_RUNNING_MAX, kept_max: int = BACKFILLS_KEPT_MAX
    ) -> None:
        self._pool = api_pool
        self._running_max = running_max
        self._kept_max = kept_max

    async def create(self, backfill: Backfill, audit: AuditEntry) -> Backfill:
        tenant_id = backfill.tenant_id
        async with tenant_transaction(self._pool, tenant_id) as connection:
            await connection.execute(_LOCK_QUOTA, tenant_id)
            known = await connection.fetchrow(_READ_BACKFILL, tenant_id, backfill.id)
            if known is not None:
                return _backfill(known)
            if await connection.fetchval(_COUNT_RUNNING, tenant_id) >= self._running_max:
                raise too_many_running()
            await _insert(connection, backfill)
            await refuse_revoked_tenant(connection, tenant_id)
            await connection.execute(_FORGET_ENDED, tenant_id, self._kept_max)
            await insert_events(connection, [backfill_event("BackfillStarted", backfill, audit.actor)])
            await insert_audit(connection, tenant_id, audit)
        return backfill

    async def get(self, tenant_id: TenantId, backfill_id: BackfillId) -> Backfill:
        if not is_uuid(backfill_id):
            raise not_found("backfill", backfill_id)
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            row = await connection.fetchrow(_READ_BACKFILL, tenant_id, backfill_id)
        if row is None:
            raise not_found("backfill", backfill_id)
        return _backfill(row)

    async def page(self, tenant_id: TenantId, page: PageRequest) -> Page[Backfill]:
        (behind,) = (None,) if page.cursor is None else decode_id_cursor(page.cursor, 1)
        offset = page.offset if page.cursor is None else 0
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            rows = await connection.fetch(_PAGE_BACKFILLS, tenant_id, behind, page.limit + 1, offset)
        return page_of_rows(rows, page, _backfill, lambda backfill: (backfill.id,))

    async def cancel_if_running(self, tenant_id: TenantId, backfill_id: BackfillId, audit: AuditEntry) -> Backfill:
        if not is_uuid(backfill_id):
            raise not_found("backfill", backfill_id)
        async with tenant_transaction(self._pool, tenant_id) as connection:
            state = await connection.fetchval(_LOCK_BACKFILL, tenant_id, backfill_id)
            if state is None:
                raise not_found("backfill", backfill_id)
            if state != "running":
                raise has_ended(state)
            row = await connection.fetchrow(_CANCEL_LOCKED, tenant_id, backfill_id, cancel_reason(audit.actor))
            if row is None:
                raise Bug("a backfill whose row is held was not there to be cancelled")
            cancelled = _backfill(row)
            await insert_events(connection, [backfill_event("BackfillCancelled", cancelled, audit.actor)])
            await insert_audit(connection, tenant_id, audit)
        return cancelled

    async def known_keys(self, tenant_id: TenantId, keys: Sequence[str]) -> Mapping[str, bool]:
        known: dict[str, bool] = {}
        for start in range(0, len(keys), KEYS_AT_ONCE_MAX):
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                rows = await connection.fetch(_FIND_KEYS, tenant_id, keys[start : start + KEYS_AT_ONCE_MAX])
            known.update((row["key"], row["is_skipped"]) for row in rows)
        return known


class PostgresBackfillSteps:
    """See `rota.ports.backfill_store.BackfillSteps`. `fenced` is the leader's pool."""

    def __init__(self, fenced: Pool, *, pooled_by_transaction: bool = False) -> None:
        self._statements = SingleStatements(fenced, pooled_by_transaction=pooled_by_transaction)

    async def next_in_seconds(self) -> float | None:
        row = await self._statements.fetch_one("looking for backfills", _LOOK_NEXT)
        return None if row is None else float(row["in_seconds"])

    async def list_due(self, limit: int) -> tuple[DueBackfill, ...]:
        rows = await self._statements.fetch("listing backfills", _LIST_DUE, limit, LIVE_MAX)
        return tuple(due for row in rows if (due := _due_backfill(row)) is not None)

    async def known_keys(self, tenant_id: TenantId, keys: Sequence[str]) -> Mapping[str, bool]:
        rows = await self._statements.fetch("looking for fired times", _FIND_KEYS, tenant_id, list(keys))
        return {row["key"]: row["is_skipped"] for row in rows}

    async def apply_step(self, fence: Fence, step: BackfillStep) -> bool:
        after, policy = step.after, step.run_policy()
        event = ending_event(after)
        row = await self._statements.fetch_one(
            "making runs of a backfill",
            _APPLY_STEP,
            fence.lease_name,
            fence.epoch,
            fence.holder,
            after.tenant_id,
            after.id,
            after.steps_count - 1,
            after.state,
            after.reason,
            after.created_count,
            after.skipped_count,
            after.done_through,
            after.done_place,
            after.paced_at,
            after.resume_at,
            after.ended_at,
            step.schedule_version,
            policy,
            policy.timeout_seconds,
            step.policies.queue,
            step.priority,
            policy.serial,
            [draft.key for draft in step.drafts],
            list(step.trigger_ids),
            [draft.fire_at for draft in step.drafts],
            step.reason,
            after.created_by,
            None if event is None else event.type,
            None if event is None else event.data,
            places_of(after.tenant_id, after.schedule_id, policy.concurrency_key, policy.concurrency_max),
            policy.concurrency_max,
        )
        if row is None:
            raise Stale(f"epoch {fence.epoch} of lease {fence.lease_name!r} has ended: nothing was backfilled")
        return bool(row["stepped"])


async def _insert(connection: Connection, backfill: Backfill) -> None:
    try:
        await connection.execute(
            _INSERT_BACKFILL,
            backfill.id,
            backfill.tenant_id,
            backfill.schedule_id,
            backfill.since,
            backfill.to,
            backfill.overlap,
            backfill.priority,
            backfill.runs_per_minute_max,
            msgspec.json.encode(backfill.triggers).decode(),
            backfill.total_count,
            backfill.created_at,
            backfill.created_by,
            backfill.paced_at,
            backfill.resume_at,
        )
    except asyncpg.ForeignKeyViolationError as error:
        raise not_found("tenant", backfill.tenant_id) from error


def _due_backfill(row: Row) -> DueBackfill | None:
    """None where a newer version has stored what this one cannot read: it waits for a leader that can."""
    try:
        policies = Policies() if row["policies"] is None else policies_of_text(row["policies"])
        return DueBackfill(_backfill(row), row["version"], policies, row["live_count"], row["now"], row["is_withheld"])
    except msgspec.DecodeError:
        return None


def _backfill(row: Row) -> Backfill:
    return Backfill(
        id=BackfillId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        schedule_id=ScheduleId(row["schedule_id"]),
        state=row["state"],
        since=row["since"],
        to=row["until"],
        overlap=row["overlap"],
        priority=row["priority"],
        runs_per_minute_max=row["runs_per_minute_max"],
        triggers=_TRIGGERS.decode(row["triggers"]),
        total_count=row["times_count"],
        created_at=row["created_at"],
        created_by=row["created_by"],
        paced_at=row["paced_at"],
        resume_at=row["resume_at"],
        created_count=row["created_count"],
        skipped_count=row["skipped_count"],
        steps_count=row["steps_count"],
        done_through=row["done_through"],
        done_place=row["done_place"],
        reason=row["reason"],
        ended_at=row["ended_at"],
    )
