"""One suite for the keys, over memory and PostgreSQL; and requests that race for one key."""

import asyncio
from datetime import datetime

import pytest
from msgspec.structs import replace

from rota.domain.errors import DomainError
from rota.domain.ids import TenantId
from rota.ports.idempotency_store import IdempotencyStore, KeyClaim, KeyUse
from rota.storage.memory.idempotency import MemoryIdempotencyStore
from tests.contract.stores import START
from tests.integration.api.world import ACME, GLOBEX, SCHEDULE, World

pytestmark = pytest.mark.both_engines


def memory_now() -> datetime:
    return START


@pytest.fixture(params=["memory", "postgres"])
def keys(request: pytest.FixtureRequest, empty_world: World) -> IdempotencyStore:
    return (
        MemoryIdempotencyStore(memory_now, {ACME, GLOBEX})
        if request.param == "memory"
        else empty_world.ports.idempotency
    )


async def test_the_first_use_of_a_key_wins_for_ever(keys: IdempotencyStore) -> None:
    first, second = KeyUse("k", b"1", "a"), KeyUse("k", b"2", "b")
    assert await keys.reserve_many(ACME, "s", [first]) == (first,)
    assert await keys.reserve_many(ACME, "s", [second, KeyUse("new", b"3")]) == (first, KeyUse("new", b"3"))
    assert await keys.reserve_many(ACME, "s", [KeyUse("new", b"4"), second]) == (KeyUse("new", b"3"), first)


async def test_keys_of_another_tenant_or_scope_are_other_keys(keys: IdempotencyStore) -> None:
    uses = [KeyUse("k", bytes([number])) for number in range(3)]
    places: list[tuple[TenantId, str]] = [(ACME, "s"), (GLOBEX, "s"), (ACME, "t")]
    for use, (tenant_id, scope) in zip(uses, places, strict=True):
        assert await keys.reserve_many(tenant_id, scope, [use]) == (use,)


async def test_of_many_at_once_all_read_the_same_first_use(keys: IdempotencyStore) -> None:
    uses = [KeyUse("k", bytes([number])) for number in range(20)]
    answers = await asyncio.gather(*(keys.reserve_many(ACME, "s", [use]) for use in uses))
    assert len({answer[0].fingerprint for answer in answers}) == 1


async def test_requests_with_many_keys_in_any_order_do_not_wait_for_each_other(empty_world: World) -> None:
    forward = [KeyUse(f"k{number}", b"x") for number in range(200)]
    orders = [forward, forward[::-1]] * 5
    store = empty_world.ports.idempotency
    answers = await asyncio.gather(*(store.reserve_many(ACME, "s", uses) for uses in orders))
    assert [list(answer) for answer in answers] == orders


async def test_a_schedule_asked_for_many_times_at_once_is_made_once(empty_world: World) -> None:
    key = {"Idempotency-Key": "once"}
    answers = await asyncio.gather(*(empty_world.call("POST", "/schedules", SCHEDULE, headers=key) for _ in range(10)))
    assert sorted(one.status_code for one in answers) == [200] * 9 + [201]
    assert len({one.json()["id"] for one in answers}) == 1
    assert (await empty_world.call("GET", "/schedules")).json()["total_count"] == 1


async def test_a_key_whose_first_request_made_nothing_makes_it_later(empty_world: World) -> None:
    key = {"Idempotency-Key": "later"}
    taken = (await empty_world.call("POST", "/schedules", SCHEDULE)).json()
    refused = await empty_world.call("POST", "/schedules", SCHEDULE, headers=key)
    assert refused.json()["code"] == "NAME_TAKEN"
    await empty_world.call("DELETE", f"/schedules/{taken['id']}")
    made = await empty_world.call("POST", "/schedules", SCHEDULE, headers=key)
    assert made.status_code == 201
    again = await empty_world.call("POST", "/schedules", SCHEDULE, headers=key)
    assert (again.status_code, again.json()["id"]) == (200, made.json()["id"])


async def test_a_run_asked_for_many_times_at_once_is_made_once(empty_world: World) -> None:
    body = {"task": "report", "idempotency_key": "once"}
    answers = await asyncio.gather(*(empty_world.call("POST", "/runs", body) for _ in range(10)))
    assert sorted(one.status_code for one in answers) == [200] * 9 + [201]
    assert len({one.json()["id"] for one in answers}) == 1


async def test_changes_without_a_version_all_go_through_when_they_race(empty_world: World) -> None:
    made = (await empty_world.call("POST", "/schedules", SCHEDULE)).json()
    path = f"/schedules/{made['id']}/pause"
    answers = await asyncio.gather(*(empty_world.call("POST", path, {"reason": f"r{n}"}) for n in range(3)))
    assert [one.status_code for one in answers] == [200] * 3
    assert (await empty_world.call("GET", f"/schedules/{made['id']}")).json()["version"] == 4


async def test_a_claim_is_told_to_the_next_until_it_is_settled_and_then_its_answer(keys: IdempotencyStore) -> None:
    first, second = KeyUse("k", b"1", "a"), KeyUse("k", b"1", "b")
    for use in (first, second):
        known = await keys.claim(ACME, "s", use, 60.0)
        assert replace(known, left_seconds=60.0) == KeyClaim("a", b"1", None, 60.0)
        assert 30.0 < known.left_seconds <= 60.0
    assert (await keys.claim(GLOBEX, "s", second, 60.0)).holder == "b"
    await keys.settle_if_held(ACME, "s", second, b"not mine")
    await keys.settle_if_held(ACME, "s", first, b"done")
    for use in (second, KeyUse("k", b"2", "c")):
        assert await keys.claim(ACME, "s", use, 0.0) == KeyClaim("a", b"1", b"done")


async def test_a_claim_that_is_given_back_or_over_is_the_next_ones(keys: IdempotencyStore) -> None:
    first, second, third = KeyUse("k", b"1", "a"), KeyUse("k", b"2", "b"), KeyUse("k", b"3", "c")
    await keys.claim(ACME, "s", first, 60.0)
    await keys.settle_if_held(ACME, "s", first, None)
    assert await keys.claim(ACME, "s", second, 0.0) == KeyClaim("b", b"2")
    assert (await keys.claim(ACME, "s", third, 60.0)).holder == "c"
    await keys.settle_if_held(ACME, "s", second, b"too late")
    known = await keys.claim(ACME, "s", second, 60.0)
    assert (known.holder, known.fingerprint, known.answer) == ("c", b"3", None)


async def test_a_tenant_that_is_not_there_has_no_keys(keys: IdempotencyStore) -> None:
    nobody, use = TenantId("no-such"), KeyUse("k", b"1", "a")
    for asked in (keys.claim(nobody, "s", use, 60.0), keys.reserve_many(nobody, "s", [use])):
        with pytest.raises(DomainError) as refused:
            await asked
        assert refused.value.code == "NOT_FOUND"


async def test_of_many_claims_at_once_one_has_the_key(keys: IdempotencyStore) -> None:
    uses = [KeyUse("k", b"1", str(number)) for number in range(20)]
    claims = await asyncio.gather(*(keys.claim(ACME, "s", use, 60.0) for use in uses))
    assert len({claim.holder for claim in claims}) == 1
