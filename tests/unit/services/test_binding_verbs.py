"""A walk over bindings while somebody switches them off, over the memory store."""

from rota.domain.binding import BindingChange, BindingDraft, BindingKey, TemplateDraft
from rota.domain.flag import RECONCILE, FlagChange
from rota.domain.ids import TenantId, TokenId
from rota.domain.tenancy import AuditEntry, Tenant
from rota.ports.binding_store import OnBound
from rota.ports.tenant_store import EventFilter
from rota.services.acting import Actor
from rota.services.binding_verbs import BindingVerbs, WalkRequest
from rota.storage.memory.bindings import MemoryBindingStore, MemoryTemplateStore
from rota.storage.memory.calendars import MemoryCalendarStore
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.events import MemoryEventStore
from rota.storage.memory.flags import MemoryFlagStore
from rota.storage.memory.schedules import MemoryScheduleStore
from rota.storage.memory.wakeups import MemoryWakeups
from tests.contract.records import ACME
from tests.contract.stores import START, NumberedIds

ADA = Actor(ACME, "ada", TokenId("token-of-ada"), "operator")
SWITCH = AuditEntry("bo", "switch", "flag", RECONCILE)


class SwitchedOffAfterOne(MemoryBindingStore):
    """Somebody switches reconciling off behind the first binding of a walk."""

    flags: MemoryFlagStore

    async def apply(self, tenant_id: TenantId, key: BindingKey, decide: OnBound) -> BindingChange | None:
        done = await super().apply(tenant_id, key, decide)
        await self.flags.change(ACME, RECONCILE, FlagChange(enabled=False, reason="a move"), SWITCH)
        return done


async def test_a_switch_off_under_way_ends_a_walk_as_held_and_is_no_failure() -> None:
    database = MemoryDatabase(lambda: START, NumberedIds())
    database.tenants[ACME] = Tenant(ACME, "acme", START, "root")
    bindings = SwitchedOffAfterOne(database)
    bindings.flags = MemoryFlagStore(database)
    verbs = BindingVerbs(
        MemoryTemplateStore(database),
        bindings,
        MemoryScheduleStore(database),
        MemoryCalendarStore(database),
        NumberedIds(),
        MemoryWakeups(),
        flags=bindings.flags,
    )
    schedule = {
        "name": "of-${subject}",
        "target": {"kind": "task", "task": "report"},
        "triggers": [{"kind": "interval", "every_seconds": 3600}],
    }
    await verbs.put_template(ADA, "daily", TemplateDraft(schedule), None)
    for subject in ("a", "b", "c"):
        await verbs.declare(ADA, BindingKey("site", subject), BindingDraft("daily"))

    walk = await verbs.reconcile(ADA, WalkRequest())

    words = "the flag reconcile is off for the tenant: a move"
    assert [one.subject for one in walk.done] == ["a"]
    assert [(one.subject, one.reason) for one in walk.skipped] == [("b", words), ("c", words)]
    assert (walk.failures, walk.dry_run, walk.reason, walk.message) == ((), False, "flag_off", words)
    events = await MemoryEventStore(database).after(EventFilter(ACME), None, 100)
    told = [(one.type, one.data) for one in events if one.type in {"BindingsReconciled", "BindingsHeld"}]
    assert told == [
        ("BindingsReconciled", {"done": 1, "skipped": 2, "failures": 0}),
        ("BindingsHeld", {"verb": "reconcile", "reason": words, "skipped": 2, "failures": 0, "due": 2}),
    ]
