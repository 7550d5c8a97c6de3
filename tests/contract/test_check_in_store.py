import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from rota.core.check_ins import on_pause, on_ping, on_resume, opened
from rota.domain.check_in import CheckIn, PingSignal
from rota.domain.errors import DomainError
from rota.domain.ids import CheckInId, TenantId
from rota.domain.page import PageRequest
from rota.domain.tenancy import AuditEntry
from rota.ports.check_in_store import CheckInDeadlines, CheckInStore
from rota.ports.tenant_store import EventFilter
from rota.storage.memory.check_ins import MemoryCheckInStore
from rota.storage.postgres.check_ins import PostgresCheckInDeadlines, PostgresCheckInStore
from tests.contract.records import ACME, GLOBEX, new_id
from tests.contract.stores import START, Stores

CREATE = AuditEntry("ada", "create", "check_in", "c", "req-1")
PAUSE = AuditEntry("ada", "pause", "check_in", "c", "req-4")
ROTATE = AuditEntry("ada", "rotate", "check_in", "c", "req-5")
DELETE = AuditEntry("ada", "delete", "check_in", "c", "req-2")
REVOKE = AuditEntry("root", "revoke", "tenant", "acme", "req-3")


@pytest.fixture
def with_room_for(backend: str, stores: Stores, request: pytest.FixtureRequest) -> Callable[[int], CheckInStore]:
    del stores
    if backend == "memory":
        database = request.getfixturevalue("memory_database")
        return lambda room: MemoryCheckInStore(database, room)
    pool = request.getfixturevalue("api_pool")
    return lambda room: PostgresCheckInStore(pool, room)


@pytest.fixture
def check_ins(with_room_for: Callable[[int], CheckInStore]) -> CheckInStore:
    return with_room_for(10_000)


@pytest.fixture
def deadlines(check_ins: CheckInStore, request: pytest.FixtureRequest) -> CheckInDeadlines:
    if isinstance(check_ins, MemoryCheckInStore):
        return check_ins
    return PostgresCheckInDeadlines(request.getfixturevalue("service_pool"))


def record(name: str = "dump", tenant_id: TenantId = ACME, every: float = 60.0) -> CheckIn:
    """Expected every minute, with ten seconds of grace."""
    name_id = CheckInId(new_id())
    return opened(CheckIn(name_id, tenant_id, name, None, "UTC", every, 10.0, "waiting", START, "ada"))


async def ping(check_ins: CheckInStore, token: bytes, signal: PingSignal = "success") -> bool:
    return await check_ins.ping(token, lambda check_in, now: on_ping(check_in, signal, now))


async def told(stores: Stores, tenant_id: TenantId = ACME) -> list[str]:
    events = await stores.events.after(EventFilter(tenant_id), None, 100)
    return [one.type.removeprefix("CheckIn") for one in events if one.type.startswith("CheckIn")]


async def test_what_is_made_is_read_and_listed_by_name(check_ins: CheckInStore) -> None:
    made = [await check_ins.create(record(name), name.encode(), CREATE) for name in ("b", "a", "c")]
    assert await check_ins.get(ACME, made[0].id) == made[0]
    first = await check_ins.page(ACME, PageRequest(limit=2))
    rest = await check_ins.page(ACME, PageRequest(limit=2, cursor=first.next_cursor))
    assert [one.name for one in (*first.items, *rest.items)] == ["a", "b", "c"]
    assert (first.total_count, rest.next_cursor) == (3, None)


async def test_a_ping_finds_its_check_in_and_is_judged_by_the_stores_clock(
    stores: Stores, check_ins: CheckInStore
) -> None:
    made = await check_ins.create(record(), b"secret", CREATE)
    await stores.clock.advance(5)
    assert await ping(check_ins, b"secret", "start")
    await stores.clock.advance(5)
    assert await ping(check_ins, b"secret")
    found = await check_ins.get(ACME, made.id)
    assert (found.started_at, found.succeeded_at) == (START + timedelta(seconds=5), START + timedelta(seconds=10))
    assert (found.state, found.deadline_at) == ("on_time", START + timedelta(seconds=80))
    assert not await ping(check_ins, b"guess")


async def test_a_deadline_that_passes_is_one_miss_however_often_and_by_however_many_it_is_looked_for(
    stores: Stores, check_ins: CheckInStore, deadlines: CheckInDeadlines
) -> None:
    assert await deadlines.next_deadline_in_seconds() is None
    made = await check_ins.create(record(), b"secret", CREATE)
    await check_ins.create(record("later", every=600), b"later", CREATE)
    assert await deadlines.next_deadline_in_seconds() == 70
    await stores.clock.advance(69.9)
    assert await deadlines.mark_missed(10) == 0
    await stores.clock.advance(0.1)
    assert await deadlines.next_deadline_in_seconds() == 0
    assert sorted(await asyncio.gather(*(deadlines.mark_missed(10) for _ in range(4)))) == [0, 0, 0, 1]
    await stores.clock.advance(100)
    assert await deadlines.mark_missed(10) == 0
    missing = await check_ins.get(ACME, made.id)
    assert (missing.state, missing.missed_at) == ("missing", START + timedelta(seconds=70))
    assert await ping(check_ins, b"secret")
    assert await told(stores) == ["Created", "Created", "Missed", "Recovered"]


async def test_misses_are_marked_in_bounded_rounds(
    stores: Stores, check_ins: CheckInStore, deadlines: CheckInDeadlines
) -> None:
    for number in range(5):
        await check_ins.create(record(str(number)), bytes([number]), CREATE)
    await stores.clock.advance(100)
    assert [await deadlines.mark_missed(2) for _ in range(4)] == [2, 2, 1, 0]


async def test_pings_at_once_recover_once(stores: Stores, check_ins: CheckInStore, deadlines: CheckInDeadlines) -> None:
    await check_ins.create(record(), b"secret", CREATE)
    await stores.clock.advance(100)
    await deadlines.mark_missed(10)
    assert all(await asyncio.gather(*(ping(check_ins, b"secret") for _ in range(5))))
    assert await told(stores) == ["Created", "Missed", "Recovered"]


async def test_names_and_numbers_are_bounded_and_anothers_do_not_count(
    with_room_for: Callable[[int], CheckInStore],
) -> None:
    check_ins = with_room_for(2)
    await check_ins.create(record("a"), b"1", CREATE)
    with pytest.raises(DomainError) as taken:
        await check_ins.create(record("a"), b"2", CREATE)
    assert taken.value.code == "NAME_TAKEN"
    await check_ins.create(record("a", GLOBEX), b"3", CREATE)
    await check_ins.create(record("b"), b"4", CREATE)
    with pytest.raises(DomainError) as full:
        await check_ins.create(record("c"), b"5", CREATE)
    assert full.value.code == "QUOTA_EXCEEDED"
    with pytest.raises(DomainError) as nobody:
        await check_ins.create(record("c", TenantId("nobody")), b"6", CREATE)
    assert nobody.value.code == "NOT_FOUND"


async def test_a_deleted_one_is_gone_and_its_address_dead(stores: Stores, check_ins: CheckInStore) -> None:
    made = await check_ins.create(record(), b"secret", CREATE)
    await stores.clock.advance(1)
    assert await check_ins.delete(ACME, made.id, DELETE) == made
    assert not await ping(check_ins, b"secret")
    assert (await check_ins.page(ACME, PageRequest())).items == ()
    assert await told(stores) == ["Created", "Deleted"]
    entries = [one for one in await stores.audit.audit_of(ACME) if one.resource == "check_in"]
    assert entries == [CREATE, DELETE]


async def test_anothers_check_in_is_unknown(check_ins: CheckInStore) -> None:
    made = await check_ins.create(record(), b"secret", CREATE)
    for unknown in (made.id, CheckInId(new_id()), CheckInId("nonsense")):
        for attempt in (check_ins.get(GLOBEX, unknown), check_ins.delete(GLOBEX, unknown, DELETE)):
            with pytest.raises(DomainError) as refused:
                await attempt
            assert refused.value.code == "NOT_FOUND"
    assert (await check_ins.page(GLOBEX, PageRequest())).items == ()


async def test_nobody_waits_for_a_revoked_tenants_jobs(
    stores: Stores, check_ins: CheckInStore, deadlines: CheckInDeadlines
) -> None:
    await check_ins.create(record(), b"secret", CREATE)
    await stores.tenants.revoke(ACME, REVOKE)
    await stores.clock.advance(100)
    assert not await ping(check_ins, b"secret")
    assert await deadlines.next_deadline_in_seconds() is None
    assert await deadlines.mark_missed(10) == 0


async def test_while_it_is_paused_nothing_is_missed_and_pings_are_noted_only(
    stores: Stores, check_ins: CheckInStore, deadlines: CheckInDeadlines
) -> None:
    made = await check_ins.create(record(), b"secret", CREATE)
    await stores.clock.advance(1)
    paused = await check_ins.change(ACME, made.id, on_pause, "CheckInPaused", PAUSE)
    assert await check_ins.change(ACME, made.id, on_pause, "CheckInPaused", PAUSE) == paused
    assert (paused.paused_at, paused.deadline_at) == (START + timedelta(seconds=1), None)
    await stores.clock.advance(1_000)
    assert (await deadlines.next_deadline_in_seconds(), await deadlines.mark_missed(10)) == (None, 0)
    for signal in ("start", "fail", "success"):
        assert await ping(check_ins, b"secret", signal)
    noted = await check_ins.get(ACME, made.id)
    assert (noted.state, noted.deadline_at) == ("waiting", None)
    assert noted.succeeded_at == noted.failed_at == noted.started_at == START + timedelta(seconds=1_001)

    resumed = await check_ins.change(ACME, made.id, on_resume, "CheckInResumed", PAUSE)
    assert (resumed.paused_at, resumed.deadline_at) == (None, START + timedelta(seconds=1_071))
    assert await check_ins.get(ACME, made.id) == resumed
    assert await told(stores) == ["Created", "Paused", "Resumed"]
    entries = [one for one in await stores.audit.audit_of(ACME) if one.resource == "check_in"]
    assert entries == [CREATE, PAUSE, PAUSE]


async def test_one_that_was_missing_waits_anew_when_it_is_resumed(
    stores: Stores, check_ins: CheckInStore, deadlines: CheckInDeadlines
) -> None:
    made = await check_ins.create(record(), b"secret", CREATE)
    await stores.clock.advance(70)
    await deadlines.mark_missed(10)
    await check_ins.change(ACME, made.id, on_pause, "CheckInPaused", PAUSE)
    resumed = await check_ins.change(ACME, made.id, on_resume, "CheckInResumed", PAUSE)
    assert (resumed.state, resumed.missed_at) == ("waiting", None)
    await stores.clock.advance(70)
    assert await deadlines.mark_missed(10) == 1
    assert await told(stores) == ["Created", "Missed", "Paused", "Resumed", "Missed"]


async def test_an_old_address_is_good_for_its_overlap_and_never_longer(stores: Stores, check_ins: CheckInStore) -> None:
    made = await check_ins.create(record(), b"first", CREATE)
    rotated = await check_ins.rotate(ACME, made.id, b"second", 100.0, ROTATE)
    assert rotated.old_address_until == START + timedelta(seconds=100)
    assert [await ping(check_ins, token) for token in (b"first", b"second")] == [True, True]
    await stores.clock.advance(100)
    assert [await ping(check_ins, token) for token in (b"first", b"second")] == [False, True]

    await check_ins.rotate(ACME, made.id, b"third", 100.0, ROTATE)
    await check_ins.rotate(ACME, made.id, b"fourth", 0.0, ROTATE)
    alive = [await ping(check_ins, token) for token in (b"first", b"second", b"third", b"fourth")]
    assert alive == [False, False, False, True]
    assert (await told(stores)).count("Rotated") == 3


async def test_anothers_check_in_is_neither_changed_nor_given_an_address(check_ins: CheckInStore) -> None:
    made = await check_ins.create(record(), b"secret", CREATE)
    for unknown in (made.id, CheckInId(new_id()), CheckInId("nonsense")):
        for attempt in (
            check_ins.change(GLOBEX, unknown, on_pause, "CheckInPaused", PAUSE),
            check_ins.rotate(GLOBEX, unknown, b"mine", 0.0, ROTATE),
        ):
            with pytest.raises(DomainError) as refused:
                await attempt
            assert refused.value.code == "NOT_FOUND"
    assert await check_ins.get(ACME, made.id) == made
    assert await ping(check_ins, b"secret")
