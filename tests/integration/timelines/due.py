"""A trigger that is due, read as the leader reads it."""

from datetime import timedelta

from rota.domain.firing import DueTrigger
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.firing import PostgresFiringStore
from rota.storage.postgres.schedules import PostgresScheduleStore
from tests.contract.records import change, schedule, trigger
from tests.contract.stores import START


async def due_trigger(api_pool: Pool, service_pool: Pool) -> DueTrigger:
    """Of a schedule that is made for it, in the tenant `acme`."""
    made = schedule("nightly", triggers=(trigger(next_fire_at=START - timedelta(days=1)),))
    await PostgresScheduleStore(api_pool).insert_many(made.tenant_id, [made], change())
    (due,) = (await PostgresFiringStore(service_pool).due_triggers(10)).triggers
    return due
