from datetime import timedelta

import pytest

from rota.domain.errors import Bug, DomainError
from rota.domain.event import Event, EventDraft
from rota.domain.ids import TenantId
from rota.domain.page import PageRequest
from rota.ports.tenant_store import EventFilter
from rota.storage.page_cursor import encode_cursor
from tests.contract.records import ACME, GLOBEX, new_id
from tests.contract.stores import START, Stores

OF_ACME = EventFilter(ACME, types=("RunFailed", "RunRetried"))


def failed(subject: str, tenant_id: TenantId | None = ACME) -> EventDraft:
    return EventDraft("RunFailed", tenant_id, subject, "ada", {"n": 1, "ü": [None, True]})


def subjects(events: tuple[Event, ...]) -> list[str]:
    return [event.subject for event in events]


async def test_an_event_is_read_back_as_it_was_recorded(stores: Stores) -> None:
    await stores.events.append((failed("r1"),))
    (event,) = await stores.events.after(OF_ACME, None, 10)
    assert (event.type, event.at, event.tenant_id, event.subject, event.actor, event.data) == (
        "RunFailed",
        START,
        ACME,
        "r1",
        "ada",
        {"n": 1, "ü": [None, True]},
    )


async def test_events_of_one_transaction_keep_their_order(stores: Stores) -> None:
    given = [f"r{number:03}" for number in range(300)]
    await stores.events.append(tuple(failed(subject) for subject in given))
    assert subjects(await stores.events.after(OF_ACME, None, 1000)) == given


async def test_reading_resumes_behind_any_event(stores: Stores) -> None:
    for number in range(4):
        await stores.events.append((failed(f"a{number}"), failed(f"b{number}")))
    everything = await stores.events.after(OF_ACME, None, 100)
    assert subjects(everything) == ["a0", "b0", "a1", "b1", "a2", "b2", "a3", "b3"]
    for position, event in enumerate(everything):
        assert await stores.events.after(OF_ACME, event.cursor, 100) == everything[position + 1 :]
    assert await stores.events.after(OF_ACME, everything[1].cursor, 3) == everything[2:5]


async def test_an_unknown_type_is_a_bug_and_writes_nothing(stores: Stores) -> None:
    with pytest.raises(Bug, match="'RunEaten'"):
        await stores.events.append((failed("r1"), EventDraft("RunEaten", ACME)))
    assert await stores.events.after(OF_ACME, None, 10) == ()


async def test_a_tenant_sees_its_own_events_and_the_platform_all(stores: Stores) -> None:
    await stores.events.append((failed("mine"), failed("theirs", GLOBEX), failed("nobody's", None)))
    everyone = EventFilter(None, types=("RunFailed",))
    for where, expected in ((OF_ACME, ["mine"]), (everyone, ["mine", "theirs", "nobody's"])):
        assert subjects(await stores.events.after(where, None, 10)) == expected
        page = await stores.events.page(where, PageRequest())
        assert (subjects(page.items), page.total_count) == (expected[::-1], len(expected))


async def test_a_filter_admits_what_meets_all_its_conditions(stores: Stores) -> None:
    await stores.events.append((failed("r1"), EventDraft("RunRetried", ACME, "r1")))
    await stores.clock.advance(60)
    await stores.events.append((failed("r1"), EventDraft("RunRetried", ACME, "r2")))
    later = START + timedelta(seconds=60)
    for where, expected in (
        (EventFilter(ACME, types=("RunRetried",)), ["RunRetried r1", "RunRetried r2"]),
        (
            EventFilter(ACME, types=("RunRetried", "RunFailed"), subject="r1"),
            ["RunFailed r1", "RunRetried r1", "RunFailed r1"],
        ),
        (EventFilter(ACME, types=("RunRetried",), subject=""), ["RunRetried r1", "RunRetried r2"]),
        (EventFilter(None, types=("RunRetried",), subject="r1"), ["RunRetried r1"]),
        (EventFilter(GLOBEX, subject="r1"), []),
        (EventFilter(ACME, since=later), ["RunFailed r1", "RunRetried r2"]),
        (EventFilter(ACME, types=("RunRetried",), subject="r2", since=later), ["RunRetried r2"]),
        (EventFilter(ACME, since=later + timedelta(microseconds=1)), []),
    ):
        found = await stores.events.after(where, None, 10)
        page = await stores.events.page(where, PageRequest())
        seen = [f"{event.type} {event.subject}" for event in found]
        assert seen == expected
        assert page.items == found[::-1]
        assert page.total_count == len(expected)


async def test_history_is_paged_the_newest_first(stores: Stores) -> None:
    given = [f"r{number}" for number in range(7)]
    for subject in given:
        await stores.events.append((failed(subject),))
    first = await stores.events.page(OF_ACME, PageRequest(limit=3))
    second = await stores.events.page(OF_ACME, PageRequest(limit=3, cursor=first.next_cursor))
    third = await stores.events.page(OF_ACME, PageRequest(limit=3, cursor=second.next_cursor))
    assert subjects((*first.items, *second.items, *third.items)) == given[::-1]
    assert [page.has_more for page in (first, second, third)] == [True, True, False]
    assert [page.total_count for page in (first, second, third)] == [7, 7, 7]
    assert (await stores.events.page(OF_ACME, PageRequest(limit=3, offset=3))).items == second.items
    empty = await stores.events.page(OF_ACME, PageRequest(offset=7))
    assert (empty.items, empty.total_count, empty.has_more) == ((), 7, False)


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        encode_cursor("1"),
        encode_cursor("one", new_id()),
        encode_cursor("1", "id"),
        encode_cursor("-1", new_id()),
        encode_cursor(str(2**64), new_id()),
        encode_cursor("9" * 5000, new_id()),
    ],
)
async def test_a_foreign_cursor_is_refused(stores: Stores, cursor: str) -> None:
    with pytest.raises(DomainError, match="is not a cursor") as after:
        await stores.events.after(OF_ACME, cursor, 10)
    with pytest.raises(DomainError, match="is not a cursor") as page:
        await stores.events.page(OF_ACME, PageRequest(cursor=cursor))
    assert (after.value.code, page.value.code) == ("INVALID_INPUT", "INVALID_INPUT")
