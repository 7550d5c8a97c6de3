import asyncio
from collections.abc import Callable
from datetime import datetime

import pytest
from msgspec import structs

from rota.core.bindings import made_if_missing, taken_away, updated_if_outdated
from rota.core.schedule_changes import Change
from rota.domain.binding import Binding, BindingChange, BindingKey, Bound, RecordedChange, ScheduleTemplate
from rota.domain.errors import DomainError
from rota.domain.event import EventDraft
from rota.domain.ids import ScheduleId, TenantId, TriggerId
from rota.domain.page import PageRequest
from rota.domain.tenancy import AuditEntry
from rota.ports.binding_store import BindingFilter, BindingStore, TemplateStore
from rota.ports.schedule_store import ScheduleFilter
from rota.ports.tenant_store import EventFilter
from rota.storage.memory.bindings import MemoryBindingStore, MemoryTemplateStore
from rota.storage.postgres.bindings import PostgresBindingStore, PostgresTemplateStore
from tests.contract.records import ACME, GLOBEX, change, new_id, schedule
from tests.contract.stores import START, Stores

BODY = {
    "name": "insights of ${subject}",
    "triggers": [{"kind": "interval", "every_seconds": 3600}],
    "target": {"kind": "task", "task": "refresh", "args": {"who": "${subject}", "depth": "${parameters.depth}"}},
}
AUDIT = AuditEntry("ada", "put", "binding", "b", "req-1")
TOLD = RecordedChange((), (AUDIT,))
REVOKE = AuditEntry("root", "revoke", "tenant", "acme", "req-3")


@pytest.fixture
def with_room_for(
    backend: str, stores: Stores, request: pytest.FixtureRequest
) -> Callable[[int], tuple[TemplateStore, BindingStore]]:
    del stores
    if backend == "memory":
        database = request.getfixturevalue("memory_database")
        return lambda room: (MemoryTemplateStore(database, room), MemoryBindingStore(database, room))
    pool = request.getfixturevalue("api_pool")
    return lambda room: (PostgresTemplateStore(pool, room), PostgresBindingStore(pool, room))


@pytest.fixture
def templates(with_room_for: Callable[[int], tuple[TemplateStore, BindingStore]]) -> TemplateStore:
    return with_room_for(100)[0]


@pytest.fixture
async def bindings(
    templates: TemplateStore, with_room_for: Callable[[int], tuple[TemplateStore, BindingStore]]
) -> BindingStore:
    """Over one template, `daily`."""
    await templates.put_if_version(template(), 0, TOLD)
    return with_room_for(100)[1]


def template(name: str = "daily", tenant_id: TenantId = ACME, version: int = 1) -> ScheduleTemplate:
    return ScheduleTemplate(tenant_id, name, version, BODY, {"depth": 3}, "d", START, "ada", START, "ada")


def binding(subject: str = "s1", kind: str = "platform", template_name: str = "daily") -> Binding:
    key = BindingKey(kind, subject)
    return Binding(ACME, key, template_name, {"depth": 1.5}, 1, START, "ada", START, "ada", template_version=1)


async def declared(bindings: BindingStore, *subjects: str) -> None:
    for subject in subjects:
        await bindings.put_if_revision(binding(subject), 0, TOLD)


async def make(bindings: BindingStore, subject: str = "s1") -> BindingChange | None:
    schedule_id = ScheduleId(new_id())

    def decide(bound: Bound, now: datetime) -> BindingChange | None:
        entry = AuditEntry("ada", "create", "schedule", schedule_id, "req-2")
        return made_if_missing(bound, schedule_id, [TriggerId(new_id())], Change("ada", now), entry)

    return await bindings.apply(ACME, BindingKey("platform", subject), decide)


async def update(bindings: BindingStore, subject: str = "s1") -> BindingChange | None:
    def decide(bound: Bound, now: datetime) -> BindingChange | None:
        return updated_if_outdated(bound, [TriggerId(new_id())], Change("ada", now), AUDIT)

    return await bindings.apply(ACME, BindingKey("platform", subject), decide)


async def take_away(bindings: BindingStore, *, with_schedule: bool) -> None:
    key = BindingKey("platform", "s1")
    await bindings.apply(
        ACME, key, lambda bound, now: taken_away(bound, Change("ada", now), AUDIT, with_schedule=with_schedule)
    )


def undecided(bound: Bound, now: datetime) -> BindingChange | None:
    raise AssertionError((bound, now))


async def code_of(attempt: object) -> str:
    with pytest.raises(DomainError) as refused:
        await attempt  # pyright: ignore[reportGeneralTypeIssues]
    return refused.value.code


async def state_of(bindings: BindingStore, subject: str = "s1") -> str:
    return (await bindings.get(ACME, BindingKey("platform", subject))).state


async def test_templates_are_written_by_compare_and_set_and_listed_by_name(templates: TemplateStore) -> None:
    for name in ("b", "a", "c"):
        await templates.put_if_version(template(name), 0, TOLD)
    assert await templates.get(ACME, "a") == template("a")
    assert await code_of(templates.put_if_version(template("a"), 0, TOLD)) == "VERSION_MISMATCH"
    await templates.put_if_version(template("a", version=2), 1, TOLD)
    assert await code_of(templates.put_if_version(template("a", version=2), 1, TOLD)) == "VERSION_MISMATCH"
    assert (await templates.get(ACME, "a")).version == 2
    first = await templates.page(ACME, PageRequest(limit=2))
    rest = await templates.page(ACME, PageRequest(limit=2, cursor=first.next_cursor))
    assert [one.name for one in (*first.items, *rest.items)] == ["a", "b", "c"]
    assert (first.total_count, rest.next_cursor) == (3, None)


async def test_a_template_is_deleted_once_no_binding_names_it(templates: TemplateStore, bindings: BindingStore) -> None:
    await declared(bindings, "s1")
    assert await code_of(templates.delete(ACME, "daily", TOLD)) == "STATE_CONFLICT"
    await take_away(bindings, with_schedule=False)
    assert await templates.delete(ACME, "daily", TOLD) == template()
    assert await code_of(templates.get(ACME, "daily")) == "NOT_FOUND"
    assert await code_of(templates.delete(ACME, "daily", TOLD)) == "NOT_FOUND"


async def test_a_binding_is_missing_then_current_then_outdated_and_missing_when_its_schedule_is_deleted(
    stores: Stores, templates: TemplateStore, bindings: BindingStore
) -> None:
    await declared(bindings, "s1")
    assert await state_of(bindings) == "missing"
    assert await update(bindings) is None
    made = await make(bindings)
    assert made is not None
    assert made.schedule is not None
    assert await state_of(bindings) == "current"
    stored = await stores.schedules.get(ACME, made.schedule.id)
    assert (stored.name, stored.target) == ("insights of s1", made.schedule.target)
    await templates.put_if_version(structs.replace(template(version=2), body={**BODY, "description": "v2"}), 1, TOLD)
    assert await state_of(bindings) == "outdated"
    assert await make(bindings) is None
    await update(bindings)
    assert await state_of(bindings) == "current"
    assert (await stores.schedules.get(ACME, stored.id)).description == "v2"
    deleted = structs.replace(await stores.schedules.get(ACME, stored.id), deleted_at=START, deleted_by="ada")
    await stores.schedules.save_if_version(deleted, deleted.version, change())
    assert await state_of(bindings) == "missing"
    assert await make(bindings) is not None
    assert await state_of(bindings) == "current"


async def test_of_many_who_make_a_schedule_at_once_one_makes_it(stores: Stores, bindings: BindingStore) -> None:
    await declared(bindings, "s1")
    outcomes = await asyncio.gather(*(make(bindings) for _ in range(8)))
    assert sum(one is not None for one in outcomes) == 1
    assert (await stores.schedules.page(ACME, ScheduleFilter(), PageRequest())).total_count == 1


async def test_declaring_otherwise_makes_it_outdated_and_keeps_what_was_made(bindings: BindingStore) -> None:
    await declared(bindings, "s1")
    await make(bindings)
    changed = structs.replace(binding(), parameters={"depth": True}, revision=2)
    assert await code_of(bindings.put_if_revision(changed, 7, TOLD)) == "VERSION_MISMATCH"
    assert await code_of(bindings.put_if_revision(changed, 0, TOLD)) == "VERSION_MISMATCH"
    await bindings.put_if_revision(changed, 1, TOLD)
    found = await bindings.get(ACME, changed.key)
    assert (found.state, found.made_revision, found.parameters) == ("outdated", 1, {"depth": True})


async def test_a_paused_schedule_is_updated_and_stays_paused(
    stores: Stores, templates: TemplateStore, bindings: BindingStore
) -> None:
    await declared(bindings, "s1")
    made = await make(bindings)
    assert made is not None
    assert made.schedule is not None
    paused = structs.replace(made.schedule, enabled=False, paused_reason="by hand")
    await stores.schedules.save_if_version(paused, 1, change())
    await templates.put_if_version(structs.replace(template(version=2), body={**BODY, "description": "v2"}), 1, TOLD)
    await update(bindings)
    found = await stores.schedules.get(ACME, made.schedule.id)
    assert (found.enabled, found.paused_reason, found.description) == (False, "by hand", "v2")


async def test_a_name_that_is_taken_refuses_that_schedule_and_leaves_nothing(
    stores: Stores, bindings: BindingStore
) -> None:
    await stores.schedules.insert_many(ACME, [schedule("insights of s1")], change())
    await declared(bindings, "s1", "s2")
    assert await code_of(make(bindings)) == "NAME_TAKEN"
    assert await state_of(bindings) == "missing"
    assert await make(bindings, "s2") is not None


async def test_the_schedule_of_a_deleted_binding_stays_or_goes_as_was_said(
    stores: Stores, bindings: BindingStore
) -> None:
    for with_schedule in (False, True):
        await declared(bindings, "s1")
        found = await stores.schedules.find_by_name(ACME, "insights of s1")
        if found is not None:
            gone = structs.replace(found, deleted_at=START, deleted_by="ada")
            await stores.schedules.save_if_version(gone, found.version, change())
        await make(bindings)
        await take_away(bindings, with_schedule=with_schedule)
        assert await code_of(bindings.get(ACME, binding().key)) == "NOT_FOUND"
        kept = await stores.schedules.find_by_name(ACME, "insights of s1")
        assert (kept is None) == with_schedule


async def test_bindings_are_listed_by_kind_subject_template_and_state(
    templates: TemplateStore, bindings: BindingStore
) -> None:
    await templates.put_if_version(template("weekly"), 0, TOLD)
    await declared(bindings, "s2", "s1")
    await bindings.put_if_revision(binding("s1", "account", "weekly"), 0, TOLD)
    await make(bindings, "s2")

    async def listed(where: BindingFilter) -> list[str]:
        first = await bindings.page(ACME, where, PageRequest(limit=1))
        found = list(first.items)
        assert first.total_count == len((await bindings.page(ACME, where, PageRequest())).items)
        while first.next_cursor:
            first = await bindings.page(ACME, where, PageRequest(limit=1, cursor=first.next_cursor))
            found += first.items
        return [str(one.key) for one in found]

    assert await listed(BindingFilter()) == ["account/s1", "platform/s1", "platform/s2"]
    assert await listed(BindingFilter(kind="platform")) == ["platform/s1", "platform/s2"]
    assert await listed(BindingFilter(subject="s1")) == ["account/s1", "platform/s1"]
    assert await listed(BindingFilter(template="weekly")) == ["account/s1"]
    assert await listed(BindingFilter(state="missing")) == ["account/s1", "platform/s1"]
    assert await listed(BindingFilter(kind="platform", state="current")) == ["platform/s2"]
    assert await listed(BindingFilter(state="outdated")) == []


async def test_numbers_are_bounded_and_what_is_referred_to_must_exist(
    with_room_for: Callable[[int], tuple[TemplateStore, BindingStore]],
) -> None:
    templates, bindings = with_room_for(1)
    assert await code_of(bindings.put_if_revision(binding(), 0, TOLD)) == "NOT_FOUND"
    await templates.put_if_version(template(), 0, TOLD)
    assert await code_of(templates.put_if_version(template("other"), 0, TOLD)) == "QUOTA_EXCEEDED"
    assert await code_of(templates.put_if_version(template(tenant_id=TenantId("nobody")), 0, TOLD)) == "NOT_FOUND"
    await templates.put_if_version(template(tenant_id=GLOBEX), 0, TOLD)
    await declared(bindings, "s1")
    assert await code_of(bindings.put_if_revision(binding("s2"), 0, TOLD)) == "QUOTA_EXCEEDED"


async def test_anothers_are_unknown_and_a_revoked_tenants_take_no_change(
    stores: Stores, templates: TemplateStore, bindings: BindingStore
) -> None:
    await declared(bindings, "s1")
    assert await code_of(templates.get(GLOBEX, "daily")) == "NOT_FOUND"
    assert await code_of(bindings.get(GLOBEX, binding().key)) == "NOT_FOUND"
    assert await code_of(bindings.apply(GLOBEX, binding().key, undecided)) == "NOT_FOUND"
    assert (await bindings.page(GLOBEX, BindingFilter(), PageRequest())).items == ()
    await stores.tenants.revoke(ACME, REVOKE)
    for attempt in (
        make(bindings),
        templates.put_if_version(template(version=2), 1, TOLD),
        bindings.put_if_revision(structs.replace(binding(), revision=2), 1, TOLD),
        bindings.record(ACME, TOLD),
    ):
        assert await code_of(attempt) == "STATE_CONFLICT"


async def test_what_was_done_is_told_and_audited_with_it(stores: Stores, bindings: BindingStore) -> None:
    await declared(bindings, "s1")
    made = await make(bindings)
    assert made is not None
    assert made.schedule is not None
    event = EventDraft("BindingsReconciled", None, "all", "ada", {"done": 1})
    await bindings.record(ACME, RecordedChange((event,), (AUDIT,)))
    await take_away(bindings, with_schedule=True)
    events = await stores.events.after(EventFilter(ACME), None, 100)
    assert [one.type for one in events if not one.type.startswith("Tenant")] == [
        "ScheduleCreated",
        "BindingsReconciled",
        "BindingDeleted",
        "ScheduleDeleted",
    ]
    entries = sorted((one.verb, one.resource) for one in await stores.audit.audit_of(ACME) if one.actor == "ada")
    assert entries == [("create", "schedule"), ("delete", "schedule"), *[("put", "binding")] * 4]
