"""New runs of one tenant, through the api login: any number of drafts in one statement, all stored or none.

Ids are made by the database from its own clock and follow the order of the drafts.
"""

from collections.abc import Sequence

from msgspec import structs

from rota.domain.errors import Bug
from rota.domain.ids import RunId, TenantId
from rota.domain.run import Enqueued, RunDraft
from rota.domain.tenancy import AuditEntry
from rota.storage.postgres.connections import tenant_transaction
from rota.storage.postgres.dependency_intake import store_dependencies
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.places import give_first_places
from rota.storage.postgres.query_files import query
from rota.storage.postgres.run_ends import follow_if_live
from rota.storage.postgres.run_rows import draft_columns, place_columns, places_of_draft
from rota.storage.postgres.unique_intake import note_takers, plan_intake
from rota.storage.postgres.unstorable_text import refusing_unstorable_text

_ENQUEUE_DRAFTS = query("runs/enqueue_drafts")
_FIND_KEYS = query("runs/find_keys")
_NOT_AUDITED = (None,) * 5


class PostgresRunIntake:
    """See `rota.ports.run_store.RunIntake`."""

    def __init__(self, api_pool: Pool) -> None:
        self._pool = api_pool

    async def enqueue(self, tenant_id: TenantId, drafts: Sequence[RunDraft], audit: AuditEntry) -> tuple[Enqueued, ...]:
        if not drafts:
            return ()
        with refusing_unstorable_text():
            async with tenant_transaction(self._pool, tenant_id) as connection:
                if all(draft.unique_key is None for draft in drafts):
                    return await store_drafts(connection, tenant_id, drafts, audit)
                return await _store_unique(connection, tenant_id, drafts, audit)


async def _store_unique(
    connection: Connection, tenant_id: TenantId, drafts: Sequence[RunDraft], audit: AuditEntry
) -> tuple[Enqueued, ...]:
    intake = await plan_intake(connection, tenant_id, drafts)
    kept = intake.kept
    made = await store_drafts(connection, tenant_id, kept, audit) if kept else ()
    await note_takers(connection, tenant_id, kept, made)
    return intake.answers(made)


async def store_drafts(
    connection: Connection, tenant_id: TenantId, drafts: Sequence[RunDraft], audit: AuditEntry | None
) -> tuple[Enqueued, ...]:
    """Enqueue inside a transaction of the tenant's. Raises Bug for a draft of another tenant. Without `audit`, the
    transaction records itself who acted.
    """
    if any(draft.tenant_id != tenant_id for draft in drafts):
        raise Bug(f"a draft of another tenant among those of {tenant_id!r}")
    row = await connection.fetchrow(
        _ENQUEUE_DRAFTS,
        tenant_id,
        *draft_columns(drafts),
        *(_NOT_AUDITED if audit is None else structs.astuple(audit)),
        len(drafts),
        *place_columns(drafts),
    )
    if row is None:
        raise Bug("a SELECT without FROM gave no row")
    answers = [Enqueued(RunId(run_id), created=True) for run_id in row["run_ids"]]
    known_places: list[int] = row["known_places"]
    if known_places:
        await _name_owners(connection, tenant_id, drafts, known_places, answers)
    await _follow(connection, tenant_id, drafts, answers)
    if any(draft.depends_on for draft in drafts):
        await store_dependencies(connection, tenant_id, drafts, answers)
    keys = {key for draft in drafts if (key := places_of_draft(draft)) is not None}
    if keys:
        await give_first_places(connection, keys)
    return tuple(answers)


async def _follow(
    connection: Connection, tenant_id: TenantId, drafts: Sequence[RunDraft], answers: Sequence[Enqueued]
) -> None:
    """A statement of its own: most runs have no followers, and their birth does not pay for the few that do."""
    followed: dict[str, list[RunId]] = {}
    for draft, answer in zip(drafts, answers, strict=True):
        for follower in draft.followers if answer.created else ():
            followed.setdefault(follower, []).append(answer.run_id)
    for follower, run_ids in followed.items():
        await follow_if_live(connection, tenant_id, run_ids, follower)


async def _name_owners(
    connection: Connection,
    tenant_id: TenantId,
    drafts: Sequence[RunDraft],
    known_places: Sequence[int],
    answers: list[Enqueued],
) -> None:
    """Puts the runs that have the known keys into the answers. `known_places` count from 1.

    A second look: its snapshot also sees keys that were committed while the insertion waited for them.
    """
    keys = [drafts[place - 1].key for place in known_places]
    found = await connection.fetch(_FIND_KEYS, tenant_id, keys)
    if len(found) != len(keys):
        raise Bug("a run's key is taken, but no run of the tenant has it")
    for place, row in zip(known_places, found, strict=True):
        answers[place - 1] = Enqueued(RunId(row["run_id"]), created=False)
