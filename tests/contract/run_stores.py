"""What a contract test of runs is given: the stores of one backend that have to do with executing, and short cuts."""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import structs

from rota.domain.ids import RunId, TenantId, WorkerId
from rota.domain.policies import RunPolicy
from rota.domain.run import ClaimedRun, RunDraft, Settlement
from rota.domain.targets import TaskTarget
from rota.domain.tenancy import AuditEntry
from rota.domain.worker import WorkerSpec
from rota.ports.firing_store import FiringStore
from rota.ports.lease_store import LeaseStore
from rota.ports.limit_store import LimitStore
from rota.ports.place_store import PlaceStore
from rota.ports.run_ends import RunEnds
from rota.ports.run_store import RunClaims, RunControl, RunIntake, RunReader
from rota.ports.tenant_store import EventFilter
from rota.ports.worker_store import WorkerStore
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.firing import MemoryFiringStore
from rota.storage.memory.leases import MemoryLeaseStore
from rota.storage.memory.limits import MemoryLimitStore
from rota.storage.memory.places import MemoryPlaceStore
from rota.storage.memory.run_claims import MemoryRunClaims
from rota.storage.memory.run_control import MemoryRunControl
from rota.storage.memory.run_ends import MemoryRunEnds
from rota.storage.memory.run_intake import MemoryRunIntake
from rota.storage.memory.run_reading import MemoryRunReader
from rota.storage.memory.workers import MemoryWorkerStore
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.firing import PostgresFiringStore
from rota.storage.postgres.leases import PostgresLeaseStore
from rota.storage.postgres.limits import PostgresLimitStore
from rota.storage.postgres.places import PostgresPlaceStore
from rota.storage.postgres.run_claims import PostgresRunClaims
from rota.storage.postgres.run_control import PostgresRunControl
from rota.storage.postgres.run_ends import PostgresRunEnds
from rota.storage.postgres.run_intake import PostgresRunIntake
from rota.storage.postgres.run_reading import PostgresRunReader
from rota.storage.postgres.workers import PostgresWorkerStore
from tests.contract.records import ACME, new_id
from tests.contract.stores import Stores

AUDIT = AuditEntry("ada", "enqueue", "run", "", "req-7")


def draft(task: str = "report", tenant_id: TenantId = ACME, **fields: object) -> RunDraft:
    """A plain draft; *fields* replace what they name."""
    return structs.replace(RunDraft(tenant_id, TaskTarget(task), RunPolicy()), **fields)


def success(claimed: ClaimedRun, **fields: object) -> Settlement:
    made = Settlement(claimed.run_id, claimed.token, "succeed", "succeeded", "done")
    return structs.replace(made, **fields)


def retry(claimed: ClaimedRun, delay_seconds: float = 0.0, **fields: object) -> Settlement:
    made = Settlement(claimed.run_id, claimed.token, "retry", "failed", "again", delay_seconds)
    return structs.replace(made, **fields)


@dataclass(frozen=True)
class RunStores:
    """The stores of one backend over one database of the test's own."""

    base: Stores
    intake: RunIntake
    reader: RunReader
    control: RunControl
    claims: RunClaims
    workers: WorkerStore
    leases: LeaseStore
    firing: FiringStore
    ends: RunEnds
    limits: LimitStore
    places: PlaceStore

    async def enqueue(self, *drafts: RunDraft) -> list[RunId]:
        answers = await self.intake.enqueue(drafts[0].tenant_id, drafts, AUDIT)
        return [answer.run_id for answer in answers]

    async def worker(self, lease_seconds: float = 60.0, queues: Sequence[str] = ("default",)) -> WorkerId:
        """A new worker, registered."""
        spec = WorkerSpec(WorkerId(new_id()), "w", tuple(queues), 10, ("report",), "host", 7, "0.1")
        await self.workers.register(spec, lease_seconds)
        return spec.id

    async def claim(
        self, worker_id: WorkerId, limit: int = 10, queues: Sequence[str] = ("default",)
    ) -> list[ClaimedRun]:
        return list(await self.claims.claim_batch(worker_id, queues, limit))

    async def claim_one(self, *drafts: RunDraft) -> tuple[WorkerId, ClaimedRun]:
        """A worker that holds one run, made of the draft."""
        await self.enqueue(*(drafts or (draft(),)))
        worker_id = await self.worker()
        (claimed,) = await self.claim(worker_id)
        return worker_id, claimed

    async def event_types(self, tenant_id: TenantId | None = ACME) -> list[str]:
        events = await self.base.events.after(EventFilter(tenant_id), None, 100)
        return sorted(event.type for event in events if event.type != "TenantCreated")


def memory_run_stores(base: Stores, database: MemoryDatabase) -> RunStores:
    return RunStores(
        base,
        MemoryRunIntake(database),
        MemoryRunReader(database),
        MemoryRunControl(database),
        MemoryRunClaims(database),
        MemoryWorkerStore(database),
        MemoryLeaseStore(database),
        MemoryFiringStore(database),
        MemoryRunEnds(database),
        MemoryLimitStore(database),
        MemoryPlaceStore(database),
    )


def postgres_run_stores(base: Stores, api_pool: Pool, service_pool: Pool) -> RunStores:
    return RunStores(
        base,
        PostgresRunIntake(api_pool),
        PostgresRunReader(api_pool),
        PostgresRunControl(api_pool),
        PostgresRunClaims(service_pool),
        PostgresWorkerStore(service_pool),
        PostgresLeaseStore(service_pool),
        PostgresFiringStore(service_pool),
        PostgresRunEnds(service_pool),
        PostgresLimitStore(service_pool),
        PostgresPlaceStore(service_pool),
    )
