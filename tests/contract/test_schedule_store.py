from datetime import timedelta

import pytest
from msgspec import structs

from rota.domain.errors import Bug, DomainError
from rota.domain.event import EventDraft
from rota.domain.ids import ScheduleId, TenantId
from rota.domain.page import PageRequest
from rota.domain.schedule import Schedule
from rota.domain.triggers import CronTrigger
from rota.ports.schedule_store import ScheduleFilter
from rota.ports.tenant_store import EventFilter
from rota.storage.page_cursor import encode_cursor
from tests.contract.records import ACME, GLOBEX, audit, change, new_id, rich_schedule, schedule, trigger
from tests.contract.stores import START, Stores

EVERY = ScheduleFilter()


async def stored(stores: Stores, *schedules: Schedule) -> tuple[Schedule, ...]:
    await stores.schedules.insert_many(schedules[0].tenant_id, schedules, change())
    return schedules


async def names(stores: Stores, where: ScheduleFilter, page: PageRequest | None = None) -> list[str]:
    return [item.name for item in (await stores.schedules.page(ACME, where, page or PageRequest())).items]


@pytest.mark.parametrize("made", [schedule("plain"), rich_schedule("rich"), schedule("bare", triggers=())])
async def test_a_schedule_is_read_back_as_it_was_stored(stores: Stores, made: Schedule) -> None:
    await stored(stores, made)
    assert await stores.schedules.get(ACME, made.id) == made
    assert await stores.schedules.find_by_name(ACME, made.name) == made
    assert (await stores.schedules.page(ACME, EVERY, PageRequest())).items == (made,)


@pytest.mark.parametrize("unknown", [new_id(), "not-a-uuid", "", new_id().upper().replace("0", "A")])
async def test_an_unknown_id_is_not_found(stores: Stores, unknown: str) -> None:
    made = schedule("a", id=ScheduleId(unknown))
    with pytest.raises(DomainError, match="there is no schedule") as got:
        await stores.schedules.get(ACME, ScheduleId(unknown))
    with pytest.raises(DomainError, match="there is no schedule") as saved:
        await stores.schedules.save_if_version(made, 1, change())
    assert (got.value.code, saved.value.code) == ("NOT_FOUND", "NOT_FOUND")


async def test_another_tenants_schedule_answers_as_an_unknown_one(stores: Stores) -> None:
    (theirs,) = await stored(stores, schedule("theirs", GLOBEX))
    with pytest.raises(DomainError) as got:
        await stores.schedules.get(ACME, theirs.id)
    with pytest.raises(DomainError) as saved:
        await stores.schedules.save_if_version(structs.replace(theirs, tenant_id=ACME), 1, change())
    assert (got.value.code, saved.value.code) == ("NOT_FOUND", "NOT_FOUND")
    assert await stores.schedules.find_by_name(ACME, "theirs") is None
    assert await names(stores, EVERY) == []
    assert await stores.schedules.get(GLOBEX, theirs.id) == theirs


async def test_a_batch_is_stored_with_its_events_and_audit(stores: Stores) -> None:
    made = [schedule(f"s{number}") for number in range(3)]
    events = [EventDraft("ScheduleCreated", subject=item.id, actor="ada", data={"n": item.name}) for item in made]
    await stores.schedules.insert_many(ACME, made, change(*events))
    seen = await stores.events.after(EventFilter(ACME, types=("ScheduleCreated",)), None, 10)
    assert [(event.subject, event.tenant_id, event.data) for event in seen] == [
        (item.id, ACME, {"n": item.name}) for item in made
    ]
    assert audit() in await stores.audit.audit_of(ACME)


async def test_a_batch_with_a_name_in_use_is_refused_whole_and_names_each_field(stores: Stores) -> None:
    await stored(stores, schedule("b"))
    batch = [schedule("a"), schedule("b"), schedule("c"), schedule("a")]
    with pytest.raises(DomainError) as refused:
        await stores.schedules.insert_many(ACME, batch, change(EventDraft("ScheduleCreated")))
    assert refused.value.code == "NAME_TAKEN"
    assert [problem.field for problem in refused.value.problems] == ["[1].name", "[3].name"]
    assert await names(stores, EVERY) == ["b"]
    assert await stores.events.after(EventFilter(ACME, types=("ScheduleCreated",)), None, 10) == ()
    assert len(await stores.audit.audit_of(ACME)) == 2  # the tenant's creation, and the first schedule's


async def test_the_name_of_a_single_schedule_is_the_field_name(stores: Stores) -> None:
    await stored(stores, schedule("a"))
    with pytest.raises(DomainError) as refused:
        await stored(stores, schedule("a"))
    assert [problem.field for problem in refused.value.problems] == ["name"]


async def test_tenants_may_use_the_same_name(stores: Stores) -> None:
    mine, theirs = schedule("same"), schedule("same", GLOBEX)
    await stored(stores, mine)
    await stored(stores, theirs)
    assert await stores.schedules.find_by_name(ACME, "same") == mine
    assert await stores.schedules.find_by_name(GLOBEX, "same") == theirs


async def test_a_deleted_schedule_frees_its_name_and_can_still_be_read(stores: Stores) -> None:
    (old,) = await stored(stores, schedule("a"))
    gone = structs.replace(old, deleted_at=START, deleted_by="ada")
    deleted = await stores.schedules.save_if_version(gone, 1, change(verb="delete"))
    assert await stores.schedules.find_by_name(ACME, "a") is None
    await stored(stores, schedule("a"))
    assert await stores.schedules.get(ACME, old.id) == deleted
    assert await names(stores, ScheduleFilter(deleted=True)) == ["a"]
    with pytest.raises(DomainError) as refused:
        await stores.schedules.save_if_version(structs.replace(deleted, deleted_at=None, deleted_by=None), 2, change())
    assert refused.value.code == "NAME_TAKEN"
    assert await stores.schedules.get(ACME, old.id) == deleted


async def test_a_schedule_of_an_unknown_tenant_is_refused(stores: Stores) -> None:
    with pytest.raises(DomainError, match="there is no tenant 'initech'") as refused:
        await stored(stores, schedule("a", TenantId("initech")))
    assert refused.value.code == "NOT_FOUND"


async def test_a_record_of_another_tenant_is_a_bug(stores: Stores) -> None:
    with pytest.raises(Bug, match="another tenant"):
        await stores.schedules.insert_many(ACME, [schedule("a", GLOBEX)], change())
    with pytest.raises(Bug, match="may not record events"):
        await stores.schedules.insert_many(ACME, [schedule("a")], change(EventDraft("ScheduleCreated", GLOBEX)))
    with pytest.raises(Bug, match="not in the catalogue"):
        await stores.schedules.insert_many(ACME, [schedule("a")], change(EventDraft("ScheduleEaten")))
    assert await names(stores, EVERY) == []


async def test_saving_counts_the_version_and_keeps_the_creation(stores: Stores) -> None:
    (made,) = await stored(stores, schedule("a"))
    later = START + timedelta(hours=2)
    wanted = structs.replace(
        rich_schedule("b"), id=made.id, created_at=later, created_by="eve", updated_at=later, updated_by="bob"
    )
    saved = await stores.schedules.save_if_version(wanted, 1, change(EventDraft("ScheduleChanged"), verb="replace"))
    assert saved == structs.replace(wanted, version=2, created_at=START, created_by="ada")
    assert await stores.schedules.get(ACME, made.id) == saved
    assert len(await stores.events.after(EventFilter(ACME, types=("ScheduleChanged",)), None, 10)) == 1
    assert audit("replace") in await stores.audit.audit_of(ACME)


@pytest.mark.parametrize("expected_version", [0, 2])
async def test_a_change_made_for_another_version_is_refused(stores: Stores, expected_version: int) -> None:
    (made,) = await stored(stores, schedule("a"))
    renamed = structs.replace(made, name="b")
    with pytest.raises(DomainError) as refused:
        await stores.schedules.save_if_version(renamed, expected_version, change(EventDraft("ScheduleChanged")))
    assert refused.value.code == "VERSION_MISMATCH"
    assert await stores.schedules.get(ACME, made.id) == made
    assert await stores.events.after(EventFilter(ACME, types=("ScheduleChanged",)), None, 10) == ()


async def test_a_taken_name_is_refused_when_saving(stores: Stores) -> None:
    made, _ = await stored(stores, schedule("a"), schedule("b"))
    with pytest.raises(DomainError) as refused:
        await stores.schedules.save_if_version(structs.replace(made, name="b"), 1, change())
    assert refused.value.code == "NAME_TAKEN"
    assert await stores.schedules.get(ACME, made.id) == made


async def test_triggers_are_removed_kept_and_added_in_the_given_order(stores: Stores) -> None:
    first, second, third = trigger(), trigger(), trigger(next_fire_at=None)
    (made,) = await stored(stores, schedule("a", triggers=(first, second)))
    moved = structs.replace(second, spec=CronTrigger(expression="5 4 * * *"), next_fire_at=START + timedelta(hours=9))
    saved = await stores.schedules.save_if_version(structs.replace(made, triggers=(third, moved)), 1, change())
    assert saved.triggers == (third, moved)


async def test_saving_cannot_set_the_progress_of_a_kept_trigger(stores: Stores) -> None:
    (made,) = await stored(stores, schedule("a"))
    forged = structs.replace(made.triggers[0], fired_through=START, fires_count=99)
    saved = await stores.schedules.save_if_version(structs.replace(made, triggers=(forged,)), 1, change())
    assert saved.triggers == made.triggers


async def test_a_time_that_was_decided_already_does_not_come_back(stores: Stores) -> None:
    fired = structs.replace(trigger(), fired_through=START + timedelta(hours=1), fires_count=1)
    ahead = structs.replace(fired, next_fire_at=START + timedelta(hours=2))
    (made,) = await stored(stores, schedule("a", triggers=(ahead,)))
    stale = structs.replace(ahead, next_fire_at=START + timedelta(hours=1))
    saved = await stores.schedules.save_if_version(structs.replace(made, triggers=(stale,)), 1, change())
    assert saved.triggers == (ahead,)


async def test_pausing_and_resuming_set_the_next_time_as_given(stores: Stores) -> None:
    fired = structs.replace(trigger(), fired_through=START + timedelta(hours=1), fires_count=1)
    (made,) = await stored(stores, schedule("a", triggers=(structs.replace(fired, next_fire_at=START),)))
    paused = structs.replace(made, enabled=False, triggers=(structs.replace(fired, next_fire_at=None),))
    assert (await stores.schedules.save_if_version(paused, 1, change())).next_fire_at is None
    resumed = structs.replace(made, triggers=(structs.replace(fired, next_fire_at=START + timedelta(minutes=5)),))
    assert (await stores.schedules.save_if_version(resumed, 2, change())).triggers == resumed.triggers


async def test_names_are_listed_by_code_point(stores: Stores) -> None:
    given = ["b", "B", "a", "Ä", "a b", "a-b", "ab", "_", "\U0001f600", "z"]
    await stored(stores, *(schedule(name) for name in given))
    assert await names(stores, EVERY) == sorted(given)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (ScheduleFilter(name="ab"), ["ab"]),
        (ScheduleFilter(name_prefix="a"), ["a%", "ab", "abc", "a\U0010ffff"]),
        (ScheduleFilter(name_prefix="a%"), ["a%"]),
        (ScheduleFilter(name_prefix="ab", enabled=False), ["abc"]),
        (ScheduleFilter(name="b", name_prefix="a"), []),
        (ScheduleFilter(name="abc", name_prefix="ab"), ["abc"]),
        (ScheduleFilter(enabled=False), ["abc"]),
        (ScheduleFilter(label=("team", "ops")), ["abc", "b"]),
        (ScheduleFilter(label=("team", "dev")), []),
        (ScheduleFilter(deleted=True), ["old"]),
        (ScheduleFilter(deleted=True, name_prefix="x"), []),
    ],
)
async def test_a_filter_admits_what_meets_all_its_conditions(
    stores: Stores, where: ScheduleFilter, expected: list[str]
) -> None:
    await stored(
        stores,
        schedule("a%"),
        schedule("ab"),
        rich_schedule("abc"),
        schedule("a\U0010ffff"),
        schedule("b", labels={"team": "ops"}),
        schedule("old", deleted_at=START, deleted_by="ada"),
    )
    page = await stores.schedules.page(ACME, where, PageRequest())
    assert ([item.name for item in page.items], page.total_count) == (expected, len(expected))


async def test_offset_and_cursor_walk_the_same_list(stores: Stores) -> None:
    given = [f"s{number:02}" for number in range(10)]
    await stored(stores, *(schedule(name) for name in given))
    by_offset = [await names(stores, EVERY, PageRequest(limit=4, offset=offset)) for offset in (0, 4, 8, 12)]
    assert by_offset == [given[:4], given[4:8], given[8:], []]
    first = await stores.schedules.page(ACME, EVERY, PageRequest(limit=4))
    second = await stores.schedules.page(ACME, EVERY, PageRequest(limit=4, offset=9, cursor=first.next_cursor))
    third = await stores.schedules.page(ACME, EVERY, PageRequest(limit=4, cursor=second.next_cursor))
    walked = [[item.name for item in page.items] for page in (first, second, third)]
    assert walked == [given[:4], given[4:8], given[8:]]
    assert [page.has_more for page in (first, second, third)] == [True, True, False]
    assert [page.total_count for page in (first, second, third)] == [10, 10, 10]


async def test_a_walk_by_cursor_counts_once(stores: Stores) -> None:
    await stored(stores, *(schedule(f"s{number}") for number in range(5)))
    first = await stores.schedules.page(ACME, EVERY, PageRequest(limit=2))
    await stored(stores, schedule("s1b"))
    second = await stores.schedules.page(ACME, EVERY, PageRequest(limit=2, cursor=first.next_cursor))
    again = await stores.schedules.page(ACME, EVERY, PageRequest(limit=2))

    assert [item.name for item in second.items] == ["s1b", "s2"]
    assert (first.total_count, second.total_count, again.total_count) == (5, 5, 6)


async def test_counting_ends_where_nobody_needs_to_know_more(stores: Stores) -> None:
    paused = [schedule(f"p{number}", enabled=False) for number in range(3)]
    await stored(stores, *(schedule(f"s{number}") for number in range(5)), *paused)
    counts = {
        (where.enabled, count_max): (await stores.schedules.page(ACME, where, PageRequest(1, count_max=count_max)))
        for where in (EVERY, ScheduleFilter(enabled=True), ScheduleFilter(enabled=False))
        for count_max in (None, 2, 100)
    }

    found = {key: page.total_count for key, page in counts.items()}
    assert [found[enabled, None] for enabled in (None, True, False)] == [8, 5, 3]
    assert [found[enabled, 2] for enabled in (None, True, False)] == [2, 2, 2]
    assert [found[enabled, 100] for enabled in (None, True, False)] == [8, 5, 3]
    assert all(page.has_more for page in counts.values())


async def test_an_empty_page_still_has_its_total(stores: Stores) -> None:
    await stored(stores, schedule("a"))
    page = await stores.schedules.page(ACME, EVERY, PageRequest(offset=5))
    assert (page.items, page.total_count, page.offset, page.has_more) == ((), 1, 5, False)


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "nonsense", "é", "WyJhIl0", "WyJhIiwieCJd", "WyJhIiwieCJd=="),
        encode_cursor("s1", "00000000-0000-7000-8000-000000000001"),
        encode_cursor("-1", "s1", "00000000-0000-7000-8000-000000000001"),
        encode_cursor("9" * 16, "s1", "00000000-0000-7000-8000-000000000001"),
    ],
)
async def test_a_foreign_cursor_is_refused(stores: Stores, cursor: str) -> None:
    with pytest.raises(DomainError) as refused:
        await stores.schedules.page(ACME, EVERY, PageRequest(cursor=cursor))
    assert refused.value.code == "INVALID_INPUT"
    assert [problem.field for problem in refused.value.problems] == ["cursor"]


async def test_the_stores_clock_is_rfc_3339_in_utc(stores: Stores) -> None:
    await stores.clock.set(START + timedelta(microseconds=1))
    assert await stores.schedules.clock() == "2026-03-01T12:00:00.000001Z"


async def test_an_id_that_was_given_out_already_is_a_bug_and_changes_nothing(stores: Stores) -> None:
    first, second = await stored(stores, schedule("a"), schedule("b"))
    for refused in (
        stores.schedules.insert_many(ACME, [schedule("c", id=first.id)], change()),
        stores.schedules.insert_many(ACME, [schedule("c", triggers=first.triggers)], change()),
        stores.schedules.insert_many(GLOBEX, [schedule("c", GLOBEX, triggers=first.triggers)], change()),
        stores.schedules.save_if_version(structs.replace(second, triggers=first.triggers), 1, change()),
        stores.schedules.save_if_version(structs.replace(second, triggers=second.triggers * 2), 1, change()),
    ):
        with pytest.raises(Bug, match="given out twice"):
            await refused
    assert (await stores.schedules.page(ACME, EVERY, PageRequest())).items == (first, second)
