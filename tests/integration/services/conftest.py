"""A tenant with schedules in a real PostgreSQL, and leaders over it, each a process that can be killed."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import Path

import pytest

from rota.adapters.system_clock import SystemClock
from rota.adapters.system_ids import SystemIds
from rota.core.schedule_changes import Change, create_schedule
from rota.domain.event import Event
from rota.domain.ids import ScheduleId, TenantId, TriggerId
from rota.domain.page import PageRequest
from rota.domain.policies import Policies
from rota.domain.run import Run
from rota.domain.schedule import Schedule, ScheduleDraft
from rota.domain.targets import TaskTarget
from rota.domain.tenancy import AuditEntry, Tenant
from rota.domain.triggers import Trigger
from rota.ports.run_store import RunFilter
from rota.ports.schedule_store import ScheduleChange
from rota.ports.tenant_store import EventFilter
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.events import PostgresEventStore
from rota.storage.postgres.firing import PostgresFiringStore
from rota.storage.postgres.leases import PostgresLeaseStore
from rota.storage.postgres.run_claims import PostgresRunClaims
from rota.storage.postgres.run_reading import PostgresRunReader
from rota.storage.postgres.schedules import PostgresScheduleStore
from rota.storage.postgres.tenants import PostgresTenantStore
from rota.storage.postgres.workers import PostgresWorkerStore
from tests.contract.stores import START
from tests.integration.services.journal import Journal
from tests.support.postgres import ClonedDatabase
from tests.support.waiting import wait_until

ACME = TenantId("acme")
AUDIT = AuditEntry("ana", "create", "schedule", "")
ROOT = Path(__file__).resolve().parents[3]
CLOCK = SystemClock()


class LeaderProcess:
    """A process that competes for leadership and fires when it has it."""

    def __init__(self, name: str, url: str, log: Path, freeze: str = "") -> None:
        self.name, self._log = name, log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.services.leader_main", name, url, freeze],
                cwd=ROOT,
                stdout=output,
                stderr=output,
            )

    def lines(self) -> list[str]:
        return self._log.read_text().splitlines()

    async def says(self, beginning: str, deadline_seconds: float = 15.0) -> str:
        """The first line that begins so."""

        def found() -> str | None:
            return next((line for line in self.lines() if line.startswith(beginning)), None)

        what = f"{self.name} to say {beginning!r}"
        line = await wait_until(found, deadline_seconds, what)
        assert line is not None
        return line

    def led_epochs(self) -> list[int]:
        """The terms that it told of, in order."""
        return [int(line.split()[1]) for line in self.lines() if line.startswith("leads ")]

    @property
    def leads_now(self) -> bool:
        """As it told last."""
        told = [line for line in self.lines() if line.startswith(("leads ", "stands by"))]
        return bool(told) and told[-1].startswith("leads ")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        for number in (signal.SIGCONT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)
        self.process.wait()


class Office:
    """What a tenant and an operator see, and the leaders that serve them."""

    def __init__(
        self, database: ClonedDatabase, api_pool: Pool, service_pool: Pool, journal: Journal, directory: Path
    ) -> None:
        self.journal = journal
        self.schedules = PostgresScheduleStore(api_pool)
        self.reader = PostgresRunReader(api_pool)
        self.claims = PostgresRunClaims(service_pool)
        self.workers = PostgresWorkerStore(service_pool)
        self.leases = PostgresLeaseStore(service_pool)
        self.firing = PostgresFiringStore(service_pool)
        self.events = PostgresEventStore(api_pool, service_pool)
        self.service_pool = service_pool
        self._url = database.urls.service
        self._directory = directory
        self._leaders: list[LeaderProcess] = []
        self._ids = SystemIds()

    async def schedule(self, *triggers: Trigger, policies: Policies | None = None) -> Schedule:
        now = datetime.fromisoformat(await self.schedules.clock())
        name = f"s-{self._ids.new_id()}"
        schedule, events = create_schedule(
            ScheduleDraft(name, triggers, TaskTarget("report"), policies or Policies(overlap="allow")),
            schedule_id=ScheduleId(self._ids.new_id()),
            tenant_id=ACME,
            trigger_ids=[TriggerId(self._ids.new_id()) for _ in triggers],
            change=Change("ana", now),
        )
        await self.schedules.insert_many(ACME, [schedule], ScheduleChange(events, AUDIT))
        return schedule

    async def runs(self, schedule: Schedule) -> list[Run]:
        """Oldest first; at most 500."""
        where = RunFilter(schedule_id=schedule.id)
        page = await self.reader.page(ACME, where, PageRequest(limit=500))
        return sorted(page.items, key=lambda run: run.fire_at or run.created_at)

    async def wait_runs(self, schedule: Schedule, count: int, deadline_seconds: float = 15.0) -> list[Run]:
        async def enough() -> list[Run] | None:
            runs = await self.runs(schedule)
            return runs if len(runs) >= count else None

        return await wait_until(enough, deadline_seconds, f"{count} runs") or []

    async def platform_events(self, event_type: str) -> list[Event]:
        where = EventFilter(tenant_id=None, types=(event_type,))
        return list(await self.events.after(where, None, 100))

    async def wait_more_runs(self, schedule: Schedule, count: int, deadline_seconds: float = 20.0) -> list[Run]:
        """So many more than there are now."""
        return await self.wait_runs(schedule, len(await self.runs(schedule)) + count, deadline_seconds)

    def leader(self, name: str, *, url: str = "", freeze: str = "") -> LeaderProcess:
        started = LeaderProcess(name, url or self._url, self._directory / f"{name}.log", freeze)
        self._leaders.append(started)
        return started

    def close(self) -> None:
        for leader in self._leaders:
            leader.end()


@pytest.fixture
async def office(
    database: ClonedDatabase, api_pool: Pool, service_pool: Pool, admin_connection: Connection, tmp_path: Path
) -> AsyncGenerator[Office]:
    journal = Journal(admin_connection)
    await journal.install()
    tenants = PostgresTenantStore(service_pool)
    await tenants.create(Tenant(ACME, "Acme", START, "root"), AuditEntry("root", "create", "tenant", ACME))
    made = Office(database, api_pool, service_pool, journal, tmp_path)
    yield made
    made.close()
