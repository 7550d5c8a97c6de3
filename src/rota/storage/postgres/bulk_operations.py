"""Bulk operations in PostgreSQL, through the api login. Each batch is one transaction, with the place that it leaves.

What rechecks live rows and what prunes partitions of records are statements of their own (see migration 0013).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from rota.domain.bulk import BulkDraft, BulkFilter, BulkId, BulkOperation, BulkVerb
from rota.domain.errors import Bug, not_found
from rota.domain.ids import TenantId
from rota.domain.page import PageRequest
from rota.domain.run import Run
from rota.domain.tenancy import AuditEntry
from rota.ports.run_store import runs_in
from rota.storage.bulk_walks import CANCELLED_IN_BULK, states_left
from rota.storage.page_cursor import is_uuid
from rota.storage.postgres.audit import insert_audit
from rota.storage.postgres.connections import tenant_transaction
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.query_files import query
from rota.storage.postgres.run_control import clone_once
from rota.storage.postgres.run_reading import walk_runs
from rota.storage.postgres.unstorable_text import refusing_unstorable_text

_BEGIN_IF_NEW = query("bulk_operations/begin_if_new")
_READ_OPERATION = query("bulk_operations/read_operation")
_LOCK_OPERATION = query("bulk_operations/lock_operation")
_SAVE_LOCKED = query("bulk_operations/save_locked")
_HOLD_LIVE_RUNS = query("bulk_operations/hold_live_runs")
_MARK_RUNNING = query("bulk_operations/mark_running")
_END_WAITING = query("bulk_operations/end_waiting")
_REMOVE_WAITING = query("bulk_operations/remove_waiting")
_DELETE_ENDED = query("bulk_operations/delete_ended")

# A batch of deletions stays below so many lines and items, or is one run.
DELETED_ROWS_MAX = 100_000


class Handled(NamedTuple):
    """Of a batch, the first so many were looked at, and so many of these were changed."""

    handled_count: int
    done_count: int


class PostgresBulkStore:
    """See `rota.ports.bulk_store.BulkStore`."""

    def __init__(self, api_pool: Pool) -> None:
        self._pool = api_pool

    async def begin(self, draft: BulkDraft, audit: AuditEntry) -> BulkOperation:
        wanted = msgspec.json.encode(draft.filter).decode()
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, draft.tenant_id) as connection:
                new = await connection.fetchval(
                    _BEGIN_IF_NEW,
                    draft.tenant_id,
                    draft.id,
                    draft.verb,
                    msgspec.Raw(wanted.encode()),
                    list(draft.states),
                    draft.expected_count,
                    draft.created_by,
                )
                if new is not None:
                    await insert_audit(connection, draft.tenant_id, audit)
                return await _read(connection, draft.tenant_id, draft.id)

    async def get(self, tenant_id: TenantId, bulk_id: BulkId) -> BulkOperation:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            return await _read(connection, tenant_id, bulk_id)

    async def step(self, tenant_id: TenantId, bulk_id: BulkId, actor: str, limit: int) -> BulkOperation:
        async with tenant_transaction(self._pool, tenant_id) as connection:
            place = await connection.fetchrow(_LOCK_OPERATION, tenant_id, bulk_id) if is_uuid(bulk_id) else None
            if place is None:
                raise not_found("bulk operation", bulk_id)
            if place["is_finished"]:
                return await _read(connection, tenant_id, bulk_id)
            asked = min(limit, place["left_count"])
            states = place["states"]
            runs: Sequence[Run] = ()
            if states and asked > 0:
                where = runs_in(msgspec.json.decode(place["filter"], type=BulkFilter), states[0])
                runs = await walk_runs(connection, tenant_id, where, place["before_id"], PageRequest(limit=asked))
            audit = AuditEntry(actor, "bulk", "run", bulk_id)
            handled, done = await _VERBS[place["verb"]](connection, runs, audit) if runs else (0, 0)
            if handled < len(runs):
                runs, asked = runs[:handled], handled
            left = states_left(states, len(runs), asked) if asked > 0 else ()
            before_id = runs[-1].id if runs and len(left) == len(states) else None
            await connection.execute(
                _SAVE_LOCKED, tenant_id, bulk_id, list(left), before_id, done, len(runs) - done, not left
            )
            return await _read(connection, tenant_id, bulk_id)


async def _retry(connection: Connection, runs: Sequence[Run], audit: AuditEntry) -> Handled:
    clones = await clone_once(connection, runs, audit, audited=False)
    return Handled(len(runs), sum(clone.created for clone in clones))


async def _cancel(connection: Connection, runs: Sequence[Run], audit: AuditEntry) -> Handled:
    tenant_id = runs[0].tenant_id
    held = await connection.fetch(_HOLD_LIVE_RUNS, tenant_id, [run.id for run in runs])
    waiting = [row for row in held if row["state"] == "queued"]
    waiting_ids = [row["run_id"] for row in waiting]
    await connection.execute(_MARK_RUNNING, tenant_id, [row["run_id"] for row in held if row["state"] == "running"])
    attempts = [row["attempts_count"] for row in waiting]
    await connection.execute(_END_WAITING, tenant_id, waiting_ids, attempts, CANCELLED_IN_BULK)
    first = sorted({row["schedule_id"] for row in waiting if row["stands_first"]})
    await connection.execute(_REMOVE_WAITING, tenant_id, waiting_ids, first, audit.actor, CANCELLED_IN_BULK)
    return Handled(len(runs), len(held))


async def _delete(connection: Connection, runs: Sequence[Run], audit: AuditEntry) -> Handled:
    ids = [run.id for run in runs]
    row = await connection.fetchrow(_DELETE_ENDED, runs[0].tenant_id, ids, audit.actor, DELETED_ROWS_MAX)
    if row is None:
        raise Bug("deleting runs gave no row")
    return Handled(row["handled_count"], row["done_count"])


_VERBS: Mapping[BulkVerb, Callable[[Connection, Sequence[Run], AuditEntry], Awaitable[Handled]]] = {
    "retry": _retry,
    "cancel": _cancel,
    "delete": _delete,
}


async def _read(connection: Connection, tenant_id: TenantId, bulk_id: BulkId) -> BulkOperation:
    row = await connection.fetchrow(_READ_OPERATION, tenant_id, bulk_id) if is_uuid(bulk_id) else None
    if row is None:
        raise not_found("bulk operation", bulk_id)
    return BulkOperation(
        BulkId(row["id"]),
        tenant_id,
        row["verb"],
        msgspec.json.decode(row["filter"], type=BulkFilter),
        row["expected_count"],
        row["created_at"],
        row["created_by"],
        row["done_count"],
        row["skipped_count"],
        row["finished_at"],
    )
