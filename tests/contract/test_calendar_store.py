"""Calendars, and the schedules that use them, over every backend."""

from datetime import UTC, date, datetime

import pytest
from msgspec import structs

from rota.core.firing import plan_firing
from rota.core.trigger_times import next_fire_from
from rota.domain.calendar import CalendarDays, NamedCalendar
from rota.domain.errors import DomainError
from rota.domain.ids import Epoch
from rota.domain.lease import Fence
from rota.domain.page import PageRequest
from rota.domain.schedule import Schedule
from rota.domain.tenancy import AuditEntry
from rota.domain.triggers import Calendar, CronTrigger
from rota.ports.calendar_store import CalendarStore
from rota.ports.tenant_store import EventFilter
from rota.services.calendar_verbs import replan
from rota.storage.memory.calendars import MemoryCalendarStore
from rota.storage.postgres.calendars import PostgresCalendarStore
from tests.contract.records import ACME, GLOBEX, change, schedule, trigger
from tests.contract.run_stores import RunStores
from tests.contract.stores import START, Stores

AUDIT = AuditEntry("ada", "change", "calendar", "holidays", "req-1")
CHRISTMAS = CalendarDays(yearly=("12-25",), hours=("00:00-24:00",))
MARCH_2 = CalendarDays(dates=(date(2026, 3, 2),))
MARCH_3 = CalendarDays(dates=(date(2026, 3, 3),))
NAME = (ACME, "holidays")


@pytest.fixture
def calendars(backend: str, stores: Stores, request: pytest.FixtureRequest) -> CalendarStore:
    if backend == "memory":
        return MemoryCalendarStore(request.getfixturevalue("memory_database"), calendars_max=3)
    return PostgresCalendarStore(request.getfixturevalue("api_pool"), calendars_max=3)


def daily(name: str, days: CalendarDays, *, enabled: bool = True) -> Schedule:
    """Each day at nine except on the calendar `holidays`, planned by it."""
    spec = CronTrigger("0 9 * * *", calendar=Calendar(exclude=("holidays",)))
    made = schedule(name, enabled=enabled)
    state = structs.replace(trigger(spec, None), calendars=(NamedCalendar("holidays", 1, days),))
    at = next_fire_from(made.id, state, START) if made.enabled else None
    return structs.replace(made, triggers=(structs.replace(state, next_fire_at=at),))


async def test_a_calendar_is_read_back_as_it_was_made(calendars: CalendarStore, stores: Stores) -> None:
    made = await calendars.create_if_free(*NAME, CHRISTMAS, AUDIT)
    assert made is not None
    assert (made.name, made.version, made.days, made.created_by, made.created_at) == (
        "holidays",
        1,
        CHRISTMAS,
        "ada",
        START,
    )
    assert await calendars.get(*NAME) == made
    assert (await calendars.page(ACME, PageRequest())).items == (made,)
    assert await calendars.find_named(ACME, ["other", "holidays"]) == (NamedCalendar("holidays", 1, CHRISTMAS),)
    assert await calendars.create_if_free(*NAME, MARCH_2, AUDIT) is None
    assert AUDIT in await stores.audit.audit_of(ACME)


async def test_another_tenants_calendar_is_unknown(calendars: CalendarStore) -> None:
    await calendars.create_if_free(*NAME, CHRISTMAS, AUDIT)
    for attempt in (
        calendars.get(GLOBEX, "holidays"),
        calendars.change((GLOBEX, "holidays"), MARCH_2, None, replan, AUDIT),
        calendars.delete_if_unused(GLOBEX, "holidays", None, AUDIT),
    ):
        with pytest.raises(DomainError) as refused:
            await attempt
        assert refused.value.code == "NOT_FOUND"
    assert await calendars.find_named(GLOBEX, ["holidays"]) == ()


async def test_a_tenant_has_so_many_calendars_and_pages_through_them(calendars: CalendarStore) -> None:
    for name in ("c", "a", "b"):
        await calendars.create_if_free(ACME, name, CHRISTMAS, AUDIT)
    with pytest.raises(DomainError) as refused:
        await calendars.create_if_free(ACME, "d", CHRISTMAS, AUDIT)
    assert refused.value.code == "QUOTA_EXCEEDED"
    first = await calendars.page(ACME, PageRequest(limit=2))
    rest = await calendars.page(ACME, PageRequest(limit=2, cursor=first.next_cursor))
    assert [[one.name for one in page.items] for page in (first, rest)] == [["a", "b"], ["c"]]
    assert (first.total_count, rest.next_cursor) == (3, None)


async def test_a_change_plans_what_uses_the_calendar_anew_and_gives_it_a_new_version(
    calendars: CalendarStore, stores: Stores
) -> None:
    await calendars.create_if_free(*NAME, MARCH_2, AUDIT)
    user, paused, bystander = daily("user", MARCH_2), daily("paused", MARCH_2, enabled=False), schedule("bystander")
    await stores.schedules.insert_many(ACME, (user, paused, bystander), change())
    assert user.next_fire_at == datetime(2026, 3, 3, 9, tzinfo=UTC)

    after = await calendars.change(NAME, MARCH_3, 1, replan, AUDIT)

    assert (after.version, after.days, after.schedules_count) == (2, MARCH_3, 2)
    stored = await stores.schedules.get(ACME, user.id)
    assert (stored.version, stored.next_fire_at) == (2, datetime(2026, 3, 2, 9, tzinfo=UTC))
    assert stored.triggers[0].calendars == (NamedCalendar("holidays", 2, MARCH_3),)
    silent = await stores.schedules.get(ACME, paused.id)
    assert (silent.version, silent.next_fire_at) == (2, None)
    assert silent.triggers[0].calendars == (NamedCalendar("holidays", 2, MARCH_3),)
    assert await stores.schedules.get(ACME, bystander.id) == bystander
    (told,) = await stores.events.after(EventFilter(ACME, types=("CalendarChanged",)), None, 10)
    assert (told.subject, told.data) == ("holidays", {"name": "holidays", "version": 2, "schedules_count": 2})


async def test_the_same_days_change_nothing(calendars: CalendarStore, stores: Stores) -> None:
    await calendars.create_if_free(*NAME, MARCH_2, AUDIT)
    user = daily("user", MARCH_2)
    await stores.schedules.insert_many(ACME, (user,), change())
    assert (await calendars.change(NAME, MARCH_2, None, replan, AUDIT)).version == 1
    assert await stores.schedules.get(ACME, user.id) == user


async def test_a_change_for_another_version_is_refused(calendars: CalendarStore) -> None:
    await calendars.create_if_free(*NAME, MARCH_2, AUDIT)
    with pytest.raises(DomainError) as changed:
        await calendars.change(NAME, MARCH_3, 7, replan, AUDIT)
    with pytest.raises(DomainError) as deleted:
        await calendars.delete_if_unused(*NAME, 7, AUDIT)
    assert (changed.value.code, deleted.value.code) == ("VERSION_MISMATCH", "VERSION_MISMATCH")
    assert (await calendars.get(*NAME)).days == MARCH_2


async def test_a_schedule_planned_by_what_a_calendar_was_is_not_stored(
    calendars: CalendarStore, stores: Stores
) -> None:
    await calendars.create_if_free(*NAME, MARCH_2, AUDIT)
    user = daily("user", MARCH_2)
    await stores.schedules.insert_many(ACME, (user,), change())
    await calendars.change(NAME, MARCH_3, None, replan, AUDIT)
    now = await stores.schedules.get(ACME, user.id)
    outdated = structs.replace(now, triggers=user.triggers)
    with pytest.raises(DomainError) as inserted:
        await stores.schedules.insert_many(ACME, (daily("late", MARCH_2),), change())
    with pytest.raises(DomainError) as saved:
        await stores.schedules.save_if_version(outdated, now.version, change())
    assert (inserted.value.code, saved.value.code) == ("VERSION_MISMATCH", "VERSION_MISMATCH")
    assert await stores.schedules.get(ACME, user.id) == now


async def test_a_calendar_in_use_stays_until_nobody_live_uses_it(calendars: CalendarStore, stores: Stores) -> None:
    await calendars.create_if_free(*NAME, MARCH_2, AUDIT)
    user = daily("user", MARCH_2)
    await stores.schedules.insert_many(ACME, (user,), change())
    with pytest.raises(DomainError) as refused:
        await calendars.delete_if_unused(*NAME, None, AUDIT)
    assert refused.value.code == "STATE_CONFLICT"

    deleted = await stores.schedules.save_if_version(structs.replace(user, deleted_at=START), 1, change())
    assert (await calendars.get(*NAME)).schedules_count == 0
    await calendars.delete_if_unused(*NAME, None, AUDIT)

    assert (await calendars.page(ACME, PageRequest())).items == ()
    with pytest.raises(DomainError) as restored:
        await stores.schedules.save_if_version(structs.replace(deleted, deleted_at=None), 2, change())
    assert restored.value.code == "VERSION_MISMATCH"


async def test_what_the_leader_planned_by_the_old_calendar_is_refused_after_the_change(
    calendars: CalendarStore, runs: RunStores
) -> None:
    stores = runs.base
    await calendars.create_if_free(*NAME, MARCH_2, AUDIT)
    user = daily("user", MARCH_2)
    await stores.schedules.insert_many(ACME, (user,), change())
    await stores.clock.set(datetime(2026, 3, 3, 9, 0, 1, tzinfo=UTC))
    await runs.leases.acquire_if_free("firing", "leader", 60)
    batch = await runs.firing.due_triggers(10)
    (due,) = batch.triggers
    assert due.trigger.calendars == user.triggers[0].calendars
    plan = plan_firing(batch)
    assert [len(step.runs) for step in plan] == [1]

    await calendars.change(NAME, MARCH_3, None, replan, AUDIT)
    result = await runs.firing.apply(Fence("firing", Epoch(1), "leader"), plan)

    assert (result.runs_created, result.advanced, result.refused) == (0, 0, 1)
    stored = await stores.schedules.get(ACME, user.id)
    assert stored.next_fire_at == datetime(2026, 3, 4, 9, tzinfo=UTC)


async def test_a_next_time_by_the_old_calendar_is_refused_where_the_due_one_stays(
    calendars: CalendarStore, runs: RunStores
) -> None:
    stores = runs.base
    await calendars.create_if_free(*NAME, MARCH_2, AUDIT)
    user = daily("user", MARCH_2)
    await stores.schedules.insert_many(ACME, (user,), change())
    await stores.clock.set(datetime(2026, 3, 3, 9, 0, 1, tzinfo=UTC))
    await runs.leases.acquire_if_free("firing", "leader", 60)
    outdated = plan_firing(await runs.firing.due_triggers(10))

    await calendars.change(NAME, CalendarDays(dates=(date(2026, 3, 2), date(2026, 3, 4))), None, replan, AUDIT)
    fence = Fence("firing", Epoch(1), "leader")
    refused = await runs.firing.apply(fence, outdated)
    fired = await runs.firing.apply(fence, plan_firing(await runs.firing.due_triggers(10)))

    assert (refused.refused, refused.runs_created, fired.runs_created) == (1, 0, 1)
    assert (await stores.schedules.get(ACME, user.id)).next_fire_at == datetime(2026, 3, 5, 9, tzinfo=UTC)
