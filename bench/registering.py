"""Schedules registered in bulk, as `rota apply` and imports do: whole batches with their triggers, events and audit.

A server of its own with its default, durable settings; each run is one batch for a tenant of its own.
"""

import time
from collections.abc import Sequence
from datetime import datetime

from bench.harness.database import embedded_server
from bench.harness.rows import Extent, Row, measurement, row
from rota.adapters.system_clock import SystemClock
from rota.adapters.system_ids import SystemIds
from rota.domain.event import EventDraft
from rota.domain.ids import ScheduleId, TenantId, TriggerId
from rota.domain.policies import Policies
from rota.domain.schedule import Schedule, TriggerState
from rota.domain.targets import TaskTarget
from rota.domain.tenancy import AuditEntry, Tenant
from rota.domain.triggers import CronTrigger
from rota.ports.schedule_store import ScheduleChange
from rota.storage.postgres.connections import open_pool
from rota.storage.postgres.logins import DatabaseOptions, DatabaseUrls, Login, resolve_urls
from rota.storage.postgres.migrator import Migrator
from rota.storage.postgres.schedules import PostgresScheduleStore
from rota.storage.postgres.tenants import PostgresTenantStore

BATCH = 10_000
AUDIT = AuditEntry("bench", "apply", "schedule", "")

ids = SystemIds()


def made_batch(tenant_id: TenantId, now: datetime, count: int) -> tuple[list[Schedule], ScheduleChange]:
    schedules = [
        Schedule(
            id=ScheduleId(ids.new_id()),
            tenant_id=tenant_id,
            name=f"report-{number:06}",
            version=1,
            enabled=True,
            triggers=(TriggerState(TriggerId(ids.new_id()), CronTrigger(expression="0 2 * * *"), now, now),),
            target=TaskTarget("report", {"number": number}),
            policies=Policies(),
            created_at=now,
            created_by="bench",
            updated_at=now,
            updated_by="bench",
        )
        for number in range(count)
    ]
    events = tuple(EventDraft("ScheduleCreated", tenant_id, item.id, "bench") for item in schedules)
    return schedules, ScheduleChange(events, AUDIT)


async def register(urls: DatabaseUrls, extent: Extent) -> list[float]:
    """Schedules per second of each run; the first batch only warms up."""
    clock = SystemClock()
    await Migrator(urls, sleep=clock.sleep).migrate()
    api = await open_pool(urls.api, Login.API, application_name="bench", sleep=clock.sleep)
    service = await open_pool(urls.service, Login.SERVICE, application_name="bench", sleep=clock.sleep)
    schedules, tenants = PostgresScheduleStore(api), PostgresTenantStore(service)
    now = datetime.fromisoformat(await schedules.clock())
    per_second: list[float] = []
    for run in range(extent.rounds + 1):
        tenant_id = TenantId(f"tenant-{run}")
        await tenants.create(Tenant(tenant_id, tenant_id, now, "bench"), AUDIT)
        batch, change = made_batch(tenant_id, now, extent.count(BATCH))
        started = time.perf_counter()
        await schedules.insert_many(tenant_id, batch, change)
        per_second.append(len(batch) / (time.perf_counter() - started))
    await api.close()
    await service.close()
    return per_second[1:]


async def measure(extent: Extent) -> Sequence[Row]:
    async with embedded_server() as server, server.fresh() as database:
        runs = await register(resolve_urls(DatabaseOptions(url=server.url_of(database))), extent)
    return [row("schedules_registered_in_bulk", "schedules/s", runs)]


if __name__ == "__main__":
    measurement(__doc__, measure)
