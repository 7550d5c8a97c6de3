"""What a contract test is given: the stores of one backend, its clock, and a way to look behind them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from rota.domain.event import Event
from rota.domain.ids import TenantId
from rota.domain.tenancy import AuditEntry
from rota.ports.schedule_store import ScheduleStore
from rota.ports.tenant_store import EventFilter, EventStore, TenantStore, TokenStore
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.events import MemoryEventStore
from rota.storage.memory.schedules import MemoryScheduleStore
from rota.storage.memory.tenants import MemoryTenantStore
from rota.storage.memory.tokens import MemoryTokenStore
from rota.storage.postgres.driver import Pool, Row
from rota.storage.postgres.events import PostgresEventStore
from rota.storage.postgres.schedules import PostgresScheduleStore
from rota.storage.postgres.tenants import PostgresTenantStore
from rota.storage.postgres.tokens import PostgresTokenStore
from tests.support.waiting import wait_until

BACKENDS = ("memory", "pg18", "pg15")
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class StoreClock(Protocol):
    """The store's clock in the test's hands."""

    async def now(self) -> datetime: ...
    async def set(self, instant: datetime) -> None: ...
    async def advance(self, seconds: float) -> None: ...


class MemoryClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.instant = START

    def read(self) -> datetime:
        return self.instant

    async def now(self) -> datetime:
        return self.instant

    async def set(self, instant: datetime) -> None:
        self.instant = instant

    async def advance(self, seconds: float) -> None:
        self.instant += timedelta(seconds=seconds)


class NumberedIds:
    """UUIDs in ascending order, the same in every test run; each source has a realm of its own."""

    def __init__(self, realm: int = 0) -> None:
        self._realm = realm
        self._count = 0

    def new_id(self) -> str:
        self._count += 1
        return f"{self._count:08x}-0000-7000-8000-{self._realm:04x}{self._count:08x}"

    def new_secret(self) -> str:
        return f"secret-{self.new_id()}"


class AuditReader(Protocol):
    """The audit trail has no port of its own yet: the tests look at the rows."""

    async def audit_of(self, tenant_id: TenantId | None) -> list[AuditEntry]: ...


class MemoryAudit:
    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def audit_of(self, tenant_id: TenantId | None) -> list[AuditEntry]:
        return [stored.entry for stored in self._database.audit if stored.tenant_id == tenant_id]


class PostgresAudit:
    def __init__(self, owner_pool: Pool) -> None:
        self._pool = owner_pool

    async def audit_of(self, tenant_id: TenantId | None) -> list[AuditEntry]:
        rows = await self._pool.fetch(
            "SELECT actor, verb, resource, resource_id, request_id FROM scheduler.audit"
            " WHERE tenant_id IS NOT DISTINCT FROM $1 ORDER BY at, id",
            tenant_id,
        )
        return [_audit_entry(row) for row in rows]


def _audit_entry(row: Row) -> AuditEntry:
    return AuditEntry(row["actor"], row["verb"], row["resource"], row["resource_id"], row["request_id"])


class SettledEvents:
    """Reads the log when nothing is being written, so that a test sees at once what it has just recorded.

    A transaction in flight anywhere in the cluster, such as autovacuum's, holds `after` back, as it should.
    """

    def __init__(self, events: EventStore, owner_pool: Pool) -> None:
        self._events = events
        self._pool = owner_pool
        self.append = events.append
        self.page = events.page

    async def after(self, where: EventFilter, cursor: str | None, limit: int) -> tuple[Event, ...]:
        await wait_until(self._nothing_is_written, what="the end of transactions in flight")
        return await self._events.after(where, cursor, limit)

    async def _nothing_is_written(self) -> bool:
        return bool(
            await self._pool.fetchval(
                "SELECT pg_snapshot_xmin(s) = pg_snapshot_xmax(s) FROM pg_current_snapshot() AS snapshot (s)"
            )
        )


@dataclass(frozen=True)
class Stores:
    """The stores of one backend over one database of the test's own."""

    schedules: ScheduleStore
    tenants: TenantStore
    tokens: TokenStore
    events: EventStore
    clock: StoreClock
    audit: AuditReader


def memory_stores(database: MemoryDatabase, clock: MemoryClock) -> Stores:
    return Stores(
        MemoryScheduleStore(database),
        MemoryTenantStore(database),
        MemoryTokenStore(database),
        MemoryEventStore(database),
        clock,
        MemoryAudit(database),
    )


def postgres_stores(api_pool: Pool, service_pool: Pool, owner_pool: Pool, clock: StoreClock) -> Stores:
    return Stores(
        PostgresScheduleStore(api_pool),
        PostgresTenantStore(service_pool),
        PostgresTokenStore(api_pool),
        SettledEvents(PostgresEventStore(api_pool, service_pool), owner_pool),
        clock,
        PostgresAudit(owner_pool),
    )
