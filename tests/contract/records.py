"""Records as the tests need them: valid, small, and different where a test says so."""

from datetime import datetime, timedelta

from msgspec import structs

from rota.domain.event import EventDraft
from rota.domain.ids import ScheduleId, TenantId, TokenId, TriggerId
from rota.domain.policies import Policies
from rota.domain.schedule import Schedule, TriggerState
from rota.domain.targets import HttpTarget, TaskTarget
from rota.domain.tenancy import ApiToken, AuditEntry, Role, Tenant
from rota.domain.triggers import AtTrigger, CronTrigger, IntervalTrigger, Trigger
from rota.ports.schedule_store import ScheduleChange
from rota.ports.tenant_store import TenantStore
from tests.contract.stores import START, NumberedIds

ACME = TenantId("acme")
GLOBEX = TenantId("globex")

_IDS = NumberedIds(realm=0xC0DE)


def new_id() -> str:
    return _IDS.new_id()


def audit(verb: str = "create", resource_id: str = "x") -> AuditEntry:
    return AuditEntry("ada", verb, "schedule", resource_id, "req-1")


def change(*events: EventDraft, verb: str = "create") -> ScheduleChange:
    return ScheduleChange(events, audit(verb))


def tenant(tenant_id: str, created_at: datetime = START) -> Tenant:
    return Tenant(TenantId(tenant_id), tenant_id.title(), created_at, "root")


async def create_tenants(store: TenantStore) -> None:
    for tenant_id in (ACME, GLOBEX):
        await store.create(tenant(tenant_id), AuditEntry("root", "create", "tenant", tenant_id))


def trigger(spec: Trigger | None = None, next_fire_at: datetime | None = START + timedelta(hours=1)) -> TriggerState:
    return TriggerState(TriggerId(new_id()), spec or IntervalTrigger(every_seconds=3600.0), START, next_fire_at)


def schedule(name: str, tenant_id: TenantId = ACME, **fields: object) -> Schedule:
    """A live, enabled schedule with one interval trigger; *fields* replace what they name."""
    made = Schedule(
        id=ScheduleId(new_id()),
        tenant_id=tenant_id,
        name=name,
        version=1,
        enabled=True,
        triggers=(trigger(),),
        target=TaskTarget("report", {"depth": 3}),
        policies=Policies(),
        created_at=START,
        created_by="ada",
        updated_at=START,
        updated_by="ada",
    )
    return structs.replace(made, **fields)


def rich_schedule(name: str) -> Schedule:
    """Every field away from its default."""
    return schedule(
        name,
        enabled=False,
        triggers=(
            trigger(CronTrigger(expression="H 2 * * *", timezone="Europe/Paris", gap="shift", jitter_seconds=1.5)),
            trigger(AtTrigger(at=START + timedelta(days=1, microseconds=7)), None),
        ),
        target=HttpTarget("https://example.org/ü", "PUT", {"x-a": "b"}, {"n": [1, None, 2.5, True], "ü": "\\u0000"}),
        policies=Policies(overlap="queue_one", misfire="fire_all", queue="slow", priority=7),
        description="line 1\nline 2",
        labels={"team": "ops", "tier": "1"},
        paused_reason="by hand",
        needs_intervention=True,
    )


def token(name: str, tenant_id: TenantId = ACME, role: Role = "operator", **fields: object) -> ApiToken:
    made = ApiToken(TokenId(new_id()), tenant_id, name, role, "rota_abc", START, "ada")
    return structs.replace(made, **fields)
