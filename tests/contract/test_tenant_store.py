from datetime import timedelta

import pytest
from msgspec import structs

from rota.domain.errors import DomainError
from rota.domain.ids import TenantId
from rota.domain.page import PageRequest
from rota.domain.schedule import Schedule
from rota.domain.tenancy import AuditEntry
from rota.ports.schedule_store import ScheduleFilter
from rota.ports.tenant_store import EventFilter
from tests.contract.records import ACME, GLOBEX, change, schedule, tenant, token, trigger
from tests.contract.stores import START, Stores

CREATE = AuditEntry("root", "create", "tenant", "initech", "req-7")
REVOKE = AuditEntry("root", "revoke", "tenant", "acme", "req-8")


async def test_a_tenant_is_read_back_as_it_was_created(stores: Stores) -> None:
    made = tenant("initech")
    assert await stores.tenants.create(made, CREATE) == made
    assert await stores.tenants.get(made.id) == made
    (event,) = await stores.events.after(EventFilter(made.id), None, 10)
    assert (event.type, event.subject, event.actor) == ("TenantCreated", "initech", "root")
    assert await stores.audit.audit_of(made.id) == [CREATE]


async def test_an_id_is_given_once_also_after_its_revocation(stores: Stores) -> None:
    await stores.tenants.revoke(ACME, REVOKE)
    for known in ("acme", "globex"):
        with pytest.raises(DomainError, match=f"there is a tenant '{known}' already") as refused:
            await stores.tenants.create(tenant(known), CREATE)
        assert refused.value.code == "NAME_TAKEN"
    assert (await stores.tenants.get(ACME)).revoked_at == START


@pytest.mark.parametrize("unknown", ["initech", "ACME", ""])
async def test_an_unknown_tenant_is_not_found(stores: Stores, unknown: str) -> None:
    with pytest.raises(DomainError) as got:
        await stores.tenants.get(TenantId(unknown))
    with pytest.raises(DomainError) as revoked:
        await stores.tenants.revoke(TenantId(unknown), REVOKE)
    assert (got.value.code, revoked.value.code) == ("NOT_FOUND", "NOT_FOUND")


async def test_tenants_are_listed_by_code_point_in_pages(stores: Stores) -> None:
    for name in ("b", "B", "a b", "ä"):
        await stores.tenants.create(tenant(name), CREATE)
    expected = sorted(["acme", "globex", "b", "B", "a b", "ä"])
    first = await stores.tenants.page(PageRequest(limit=4))
    second = await stores.tenants.page(PageRequest(limit=4, cursor=first.next_cursor))
    assert [item.id for page in (first, second) for item in page.items] == expected
    assert (first.total_count, first.has_more, second.has_more) == (6, True, False)
    by_offset = await stores.tenants.page(PageRequest(limit=4, offset=4))
    assert by_offset.items == second.items
    with pytest.raises(DomainError, match="is not a cursor"):
        await stores.tenants.page(PageRequest(cursor="x"))


async def test_a_revoked_tenants_schedules_stop_firing_and_say_why(stores: Stores) -> None:
    running = schedule("running", triggers=(trigger(), trigger(), trigger(next_fire_at=None)))
    paused = schedule("paused", enabled=False, paused_reason="by hand", triggers=(trigger(next_fire_at=None),))
    deleted = schedule("deleted", enabled=False, deleted_at=START, deleted_by="ada")
    theirs = schedule("theirs", GLOBEX)
    await stores.schedules.insert_many(ACME, [running, paused, deleted], change())
    await stores.schedules.insert_many(GLOBEX, [theirs], change())
    await stores.clock.advance(5)

    revoked = await stores.tenants.revoke(ACME, REVOKE)

    assert revoked.revoked_at == START + timedelta(seconds=5)
    for before in (running, paused):
        assert await stores.schedules.get(ACME, before.id) == structs.replace(
            before,
            enabled=False,
            version=2,
            paused_reason="the tenant was revoked",
            updated_at=revoked.revoked_at,
            updated_by="root",
            triggers=tuple(structs.replace(each, next_fire_at=None) for each in before.triggers),
        )
    assert (await stores.schedules.get(ACME, deleted.id)).version == 1
    assert await stores.schedules.get(GLOBEX, theirs.id) == theirs
    events = await stores.events.after(EventFilter(ACME, types=("TenantRevoked", "SchedulePaused")), None, 10)
    assert [(event.type, event.subject) for event in events] == [
        ("TenantRevoked", "acme"),
        ("SchedulePaused", running.id),
    ]
    assert REVOKE in await stores.audit.audit_of(ACME)


async def test_a_revoked_tenants_tokens_stop_working(stores: Stores) -> None:
    await stores.tokens.create(token("mine"), b"mine", REVOKE)
    await stores.tokens.create(token("theirs", GLOBEX), b"theirs", REVOKE)
    await stores.tenants.revoke(ACME, REVOKE)
    assert await stores.tokens.authenticate(b"mine") is None
    assert await stores.tokens.authenticate(b"theirs") is not None


async def test_revoking_twice_changes_nothing_the_second_time(stores: Stores) -> None:
    first = await stores.tenants.revoke(ACME, REVOKE)
    await stores.clock.advance(60)
    assert await stores.tenants.revoke(ACME, REVOKE) == first
    assert (await stores.audit.audit_of(ACME)).count(REVOKE) == 1
    assert len(await stores.events.after(EventFilter(ACME, types=("TenantRevoked",)), None, 10)) == 1


async def test_a_revoked_tenant_takes_no_changes(stores: Stores) -> None:
    made = schedule("a")
    await stores.schedules.insert_many(ACME, [made], change())
    await stores.tenants.revoke(ACME, REVOKE)
    stopped = await stores.schedules.get(ACME, made.id)

    async def insert(added: Schedule) -> None:
        await stores.schedules.insert_many(ACME, [added], change())

    for refused in (
        insert(schedule("new")),
        insert(schedule("a")),
        stores.schedules.save_if_version(structs.replace(stopped, enabled=True), stopped.version, change()),
        stores.tokens.create(token("late"), b"late", CREATE),
    ):
        with pytest.raises(DomainError, match="tenant 'acme' is revoked") as caught:
            await refused
        assert caught.value.code == "STATE_CONFLICT"
    assert (await stores.schedules.page(ACME, ScheduleFilter(), PageRequest())).items == (stopped,)
