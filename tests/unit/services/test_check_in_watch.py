"""The watch over the memory store, on virtual time."""

import asyncio
from datetime import timedelta

from rota.core.check_ins import opened
from rota.domain.check_in import CheckIn
from rota.domain.ids import CheckInId, Epoch, TenantId
from rota.domain.lease import Fence
from rota.domain.tenancy import AuditEntry, Tenant
from rota.services.check_in_watch import POLL_SECONDS, CheckInWatch
from rota.storage.memory.check_ins import MemoryCheckInStore
from rota.storage.memory.database import MemoryDatabase
from tests.contract.stores import START, NumberedIds
from tests.unit.services.virtual_time import FixedLeadership, VirtualClock

FENCE = Fence("leader", Epoch(1), "me")
AUDIT = AuditEntry("ada", "create", "check_in", "c")
ACME = TenantId("acme")


class CountingDeadlines(MemoryCheckInStore):
    """Keeps how often it was looked at."""

    looks = 0

    async def next_deadline_in_seconds(self) -> float | None:
        self.looks += 1
        return await super().next_deadline_in_seconds()


class Watched:
    """One watch and its store; the store's clock is the virtual one."""

    def __init__(self, fence: Fence | None = FENCE) -> None:
        self.clock = VirtualClock()
        began = self.clock.now
        self.database = MemoryDatabase(lambda: START + timedelta(seconds=self.clock.now - began), NumberedIds())
        self.database.tenants[ACME] = Tenant(ACME, "acme", START, "root")
        self.store = CountingDeadlines(self.database)
        self.watch = CheckInWatch(self.store, FixedLeadership(fence), self.clock)

    async def add(self, name: str, every_seconds: float) -> None:
        name_id = CheckInId(self.database.new_id())
        made = CheckIn(name_id, ACME, name, None, "UTC", every_seconds, 1.0, "waiting", self.database.now(), "ada")
        await self.store.create(opened(made), name.encode(), AUDIT)

    def missed_after_seconds(self) -> list[float]:
        return [
            (event.at - START).total_seconds() for event in self.database.events if event.draft.type == "CheckInMissed"
        ]

    async def run_for(self, seconds: float) -> None:
        running = asyncio.create_task(self.watch.run())
        await self.clock.run_for(seconds)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_miss_is_found_within_moments_of_its_deadline() -> None:
    watched = Watched()
    await watched.add("a", 30.0)
    await watched.add("b", 33.3)
    await watched.run_for(60.0)
    assert all(
        0 <= late - deadline <= 0.25
        for late, deadline in zip(watched.missed_after_seconds(), (31.0, 34.3), strict=True)
    )


async def test_an_idle_watch_looks_once_per_poll() -> None:
    watched = Watched()
    await watched.run_for(100.0)
    assert 100 / POLL_SECONDS - 1 <= watched.store.looks <= 100 / POLL_SECONDS + 2


async def test_a_standby_looks_at_nothing() -> None:
    watched = Watched(None)
    await watched.add("a", 30.0)
    await watched.run_for(100.0)
    assert (watched.store.looks, watched.missed_after_seconds()) == (0, [])
