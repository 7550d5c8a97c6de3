"""Milestones over the memory store on virtual time, with somebody who executes their runs when told to."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from rota.domain.errors import DomainError, Unavailable
from rota.domain.ids import Epoch, TenantId, TokenId, WorkerId
from rota.domain.lease import Fence
from rota.domain.milestone import Evidence, Milestone, MilestoneStep
from rota.domain.page import PageRequest
from rota.domain.run import ClaimedRun, Settlement
from rota.domain.tenancy import AuditEntry, Tenant
from rota.domain.triggers import MilestoneTrigger, Trigger
from rota.domain.worker import WorkerSpec
from rota.ports.milestone_store import DecideStep, MilestoneFigures, MilestoneFilter, SubjectLook
from rota.services.acting import Actor
from rota.services.check_cycles import CheckNotes
from rota.services.milestone_generating import MilestoneGenerating
from rota.services.milestone_ticks import MilestoneTicks
from rota.services.milestone_watch import MilestoneWatch
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.milestones import MemoryEvidenceStore, MemoryMilestoneDuties, MemoryMilestoneStore
from rota.storage.memory.run_claims import MemoryRunClaims
from rota.storage.memory.schedules import MemoryScheduleStore
from rota.storage.memory.wakeups import MemoryWakeups
from rota.storage.memory.workers import MemoryWorkerStore
from rota.telemetry.metrics import Metrics
from tests.contract.records import ACME, change, schedule, trigger
from tests.contract.stores import START, NumberedIds
from tests.unit.services.virtual_time import FixedLeadership, VirtualClock

SITE = "site-42"
RECORD = AuditEntry("ada", "record", "evidence", "e")
ADA = Actor(ACME, "ada", TokenId("token-of-ada"), "operator")
FENCE = Fence("leader", Epoch(1), "me")
ALWAYS = 10 * 366 * 86_400.0


class BreakableStore(MemoryMilestoneStore):
    """Does not answer while `is_away`; counts how often it is looked at and changed."""

    is_away = False
    refused_subject = ""
    looks = 0
    changes = 0

    async def look(self, tenant_id: TenantId, subject: str) -> SubjectLook:
        self.looks += 1
        self._refuse_while_away()
        return await super().look(tenant_id, subject)

    async def change(
        self, tenant_id: TenantId, name: str, subject: str, decide: DecideStep, audit: AuditEntry
    ) -> MilestoneStep:
        self.changes += 1
        self._refuse_while_away()
        if subject == self.refused_subject:
            raise DomainError("STATE_CONFLICT", "its schedule is a newer version's")
        return await super().change(tenant_id, name, subject, decide, audit)

    def _refuse_while_away(self) -> None:
        if self.is_away:
            raise Unavailable("the store does not answer")


class CountingDuties(MemoryMilestoneDuties):
    """Keeps how often it was asked for what is due."""

    lists = 0
    looks = 0

    async def look(self):  # noqa: ANN201 - as its base
        self.looks += 1
        return await super().look()

    async def list_due(self, limit: int):  # noqa: ANN201 - as its base
        self.lists += 1
        return await super().list_due(limit)


class MilestoneWorld:
    """`make` decides how each attempt ends; None leaves it under way."""

    def __init__(self, fence: Fence | None = FENCE) -> None:
        self.clock = VirtualClock()
        began = self.clock.now
        self.database = MemoryDatabase(lambda: START + timedelta(seconds=self.clock.now - began), NumberedIds())
        self.database.tenants[ACME] = Tenant(ACME, "acme", START, "root")
        self.schedules = MemoryScheduleStore(self.database)
        self.evidence = MemoryEvidenceStore(self.database)
        self.store = BreakableStore(self.database)
        self.duties = CountingDuties(self.database)
        self.claims = MemoryRunClaims(self.database)
        self.wakeups = MemoryWakeups()
        generating = MilestoneGenerating(self.store, self.wakeups)
        self.ticks = MilestoneTicks(self.store, generating, self.clock)
        self.figures: list[MilestoneFigures] = []
        self.leadership = FixedLeadership(fence)
        self.metrics = Metrics()
        self.notes = CheckNotes(self.metrics)
        self.watch = MilestoneWatch(
            self.duties,
            generating,
            self.leadership,
            self.wakeups,
            self.clock,
            tell=self.figures.append,
            notes=self.notes,
        )
        self.made: list[ClaimedRun] = []

    async def define(self, *specs: Trigger) -> None:
        triggers = tuple(trigger(spec, None) for spec in specs or (MilestoneTrigger(name="AUTO_12H"),))
        await self.schedules.insert_many(ACME, [schedule("reports", triggers=triggers)], change())

    async def record(self, subject: str = SITE, at: datetime = START) -> None:
        await self.evidence.record_once(Evidence(ACME, "installation", subject, at, at, "ada"), RECORD)

    async def execute(self, verb: Callable[[str], str | None], every_seconds: float) -> None:
        """Until it is cancelled: claims what is there and ends it as `verb` says of the milestone's name."""
        spec = WorkerSpec(WorkerId(self.database.new_id()), "w", ("default",), 10, (), "host", 7, "0.1")
        await MemoryWorkerStore(self.database).register(spec, ALWAYS)
        while True:
            await self.clock.sleep(every_seconds)
            for claimed in await self.claims.claim_batch(spec.id, ["default"], 100):
                self.made.append(claimed)
                end = verb(self.name_of(claimed))
                if end is not None:
                    await self.claims.settle_batch([_settlement(claimed, end)])

    def name_of(self, claimed: ClaimedRun) -> str:
        return getattr(claimed.target, "args", {})["milestone"]["name"]

    async def one(self, name: str = "AUTO_12H", subject: str = SITE) -> Milestone:
        (found,) = (await self.store.page(ACME, MilestoneFilter(subject, name), PageRequest())).items
        return found

    async def run_for(self, seconds: float, *running: "asyncio.Task[None]") -> None:
        await self.clock.run_for(seconds)
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _settlement(claimed: ClaimedRun, verb: str) -> Settlement:
    if verb == "succeed":
        return Settlement(claimed.run_id, claimed.token, "succeed", "succeeded", result_json='{"issues": 3}')
    return Settlement(claimed.run_id, claimed.token, "fail", "failed", "no", error_json='{"message": "no"}')
