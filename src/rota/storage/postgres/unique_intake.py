"""Drafts that must be unique, in a transaction of the tenant's: who has their keys is looked up while they are locked.

Drafts without a unique key never come here: they pay nothing.
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from rota.core.uniqueness import Holder, UniquePlan, keys_held_forever, plan_unique, without_uniqueness
from rota.domain.ids import RunId, TenantId
from rota.domain.run import Enqueued, RunDraft
from rota.storage.postgres.driver import Connection
from rota.storage.postgres.query_files import query

_LOCK_KEYS = query("unique_keys/lock_keys")
_READ_HOLDERS = query("unique_keys/read_holders")
_NOTE_TAKERS = query("unique_keys/note_takers")
_FIND_KEYS = query("runs/find_keys")


class UniqueIntake(Struct, frozen=True):
    """The drafts of one call, and what the holders of their keys leave to be made of them."""

    drafts: Sequence[RunDraft]
    plan: UniquePlan

    @property
    def kept(self) -> list[RunDraft]:
        return [self.drafts[place] for place in self.plan.kept]

    def answers(self, made: Sequence[Enqueued]) -> tuple[Enqueued, ...]:
        """One per draft, in order; `made` are those of the kept ones."""
        by_place = dict(zip(self.plan.kept, made, strict=True))
        by_place |= {place: Enqueued(run_id, created=False) for place, run_id in self.plan.existing.items()}
        for place, first in self.plan.same_as.items():
            by_place[place] = Enqueued(by_place[first].run_id, created=False)
        return tuple(by_place[place] for place in range(len(self.drafts)))


async def plan_intake(connection: Connection, tenant_id: TenantId, drafts: Sequence[RunDraft]) -> UniqueIntake:
    """Locks the drafts' unique keys. A draft whose idempotency key is known is a mere repetition.

    Raises STATE_CONFLICT where a draft wants to be refused.
    """
    keys = sorted({draft.unique_key for draft in drafts if draft.unique_key is not None})
    forever = keys_held_forever(drafts)
    await connection.execute(_LOCK_KEYS, tenant_id, keys, [key in forever for key in keys])
    known = await _known_keys(connection, tenant_id, drafts)
    rows = await connection.fetch(_READ_HOLDERS, tenant_id, keys)
    now: datetime = rows[0]["now"]
    holders = {
        row["key"]: Holder(RunId(row["run_id"]), row["taken_at"], row["state"])
        for row in rows
        if row["run_id"] is not None
    }
    return UniqueIntake(drafts, plan_unique(without_uniqueness(drafts, known), holders, now))


async def note_takers(
    connection: Connection, tenant_id: TenantId, drafts: Sequence[RunDraft], made: Sequence[Enqueued]
) -> None:
    """Gives the keys to the runs that were made."""
    taken = {
        draft.unique_key: answer.run_id
        for draft, answer in zip(drafts, made, strict=True)
        if draft.unique_key is not None and answer.created
    }
    if taken:
        await connection.execute(_NOTE_TAKERS, tenant_id, list(taken), list(taken.values()))


async def _known_keys(connection: Connection, tenant_id: TenantId, drafts: Sequence[RunDraft]) -> frozenset[str]:
    asked = [draft.key for draft in drafts if draft.key is not None]
    rows = await connection.fetch(_FIND_KEYS, tenant_id, asked) if asked else []
    places: list[int] = [row["n"] for row in rows]
    return frozenset(asked[place - 1] for place in places)
