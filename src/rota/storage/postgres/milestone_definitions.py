"""The milestones that schedules define, kept in the transaction that stores those schedules."""

from collections.abc import Sequence

import msgspec

from rota.core.milestones import definitions_of
from rota.domain.ids import TenantId
from rota.domain.milestone import MILESTONES_PER_TENANT_MAX
from rota.domain.schedule import Schedule
from rota.storage.milestone_refusals import milestone_names_taken, names_given_twice, quota_exceeded
from rota.storage.postgres.driver import Connection
from rota.storage.postgres.query_files import query

_LOCK_DEFINITIONS = query("milestones/lock_definitions")
_DELETE_DEFINITIONS = query("milestones/delete_definitions")
_UPSERT_DEFINITIONS = query("milestones/upsert_definitions")


async def keep_definitions(
    connection: Connection, tenant_id: TenantId, schedules: Sequence[Schedule], *, are_new: bool
) -> None:
    """New schedules without milestones cost nothing. Raises NAME_TAKEN for a milestone's name, QUOTA_EXCEEDED."""
    defined = [definition for schedule in schedules for definition in definitions_of(schedule)]
    twice = names_given_twice(schedules)
    if twice:
        raise milestone_names_taken(schedules, twice)
    names = [definition.name for definition in defined]
    if not are_new:
        await connection.execute(_DELETE_DEFINITIONS, tenant_id, [schedule.id for schedule in schedules], names)
    if not defined:
        return
    await connection.execute(_LOCK_DEFINITIONS, tenant_id)
    row = await connection.fetchrow(_UPSERT_DEFINITIONS, tenant_id, msgspec.json.encode(defined).decode())
    assert row is not None, "an aggregate is a row"
    if len(row["names"]) < len(names):
        raise milestone_names_taken(schedules, set(names) - set(row["names"]))
    if row["definitions_count"] > MILESTONES_PER_TENANT_MAX:
        raise quota_exceeded()
