"""New runs that wait for others, inside the transaction that makes them.

The live rows of what they wait for are locked first: an end that comes later is told to the leader, one that came
before is read from the record. So no end is missed, and none decides before all are known.
"""

from collections.abc import Sequence

from rota.core.run_identity import RUNS_SCOPE, idempotency_key
from rota.domain.dependencies import DEPENDENCY_FOLLOWER, Upstream
from rota.domain.errors import not_found
from rota.domain.ids import RunId, TenantId
from rota.domain.run import Enqueued, RunDraft
from rota.storage.page_cursor import is_uuid
from rota.storage.postgres.driver import Connection
from rota.storage.postgres.query_files import query
from rota.storage.postgres.run_ends import follow_if_live

_FIND_KEYS = query("runs/find_keys")
_READ_STATES = query("run_dependencies/read_states")
_INSERT_EDGES = query("run_dependencies/insert_edges")
_DECIDE_DEPENDENTS = query("run_dependencies/decide_dependents")


async def store_dependencies(
    connection: Connection, tenant_id: TenantId, drafts: Sequence[RunDraft], answers: Sequence[Enqueued]
) -> None:
    """Raises NOT_FOUND for an upstream that is not the tenant's: nothing is stored then."""
    named = {draft.name: answer.run_id for draft, answer in zip(drafts, answers, strict=True) if draft.name is not None}
    by_key = await _runs_by_key(connection, tenant_id, drafts)

    def run_of(upstream: Upstream) -> RunId:
        if upstream.run_id is not None:
            return upstream.run_id
        return by_key[upstream.key] if upstream.key is not None else named[upstream.name or ""]

    edges = [
        (answer.run_id, run_of(upstream), draft.when)
        for draft, answer in zip(drafts, answers, strict=True)
        if answer.created
        for upstream in draft.depends_on
    ]
    if not edges:
        return
    states = await _last_states(connection, tenant_id, sorted({upstream for _, upstream, _ in edges}))
    columns = [list(column) for column in zip(*edges, strict=True)]
    await connection.execute(_INSERT_EDGES, tenant_id, *columns, [states[upstream] for _, upstream, _ in edges])
    known = sorted({run_id for run_id, upstream, _ in edges if states[upstream] is not None})
    if known:
        await connection.fetchval(_DECIDE_DEPENDENTS, tenant_id, known)


async def _runs_by_key(connection: Connection, tenant_id: TenantId, drafts: Sequence[RunDraft]) -> dict[str, RunId]:
    keys = sorted({one.key for draft in drafts for one in draft.depends_on if one.key is not None})
    if not keys:
        return {}
    digests = [idempotency_key(tenant_id, RUNS_SCOPE, key) for key in keys]
    rows = await connection.fetch(_FIND_KEYS, tenant_id, digests)
    found: dict[str, RunId] = {keys[row["n"] - 1]: RunId(row["run_id"]) for row in rows}
    for key in keys:
        if key not in found:
            raise not_found("run with the idempotency key", key)
    return found


async def _last_states(
    connection: Connection, tenant_id: TenantId, run_ids: Sequence[RunId]
) -> dict[RunId, str | None]:
    """None where the run is live, and its end will be told."""
    for run_id in run_ids:
        if not is_uuid(run_id):
            raise not_found("run", run_id)
    live = await follow_if_live(connection, tenant_id, run_ids, DEPENDENCY_FOLLOWER)
    rows = await connection.fetch(_READ_STATES, tenant_id, list(run_ids))
    found: dict[RunId, str | None] = {RunId(row["run_id"]): row["state"] for row in rows}
    for run_id in run_ids:
        if run_id not in found:
            raise not_found("run", run_id)
    return found | dict.fromkeys(live)
