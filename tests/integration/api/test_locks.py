"""Locks over the API: each refusal by its code, a wait that a release ends, and a repetition by its key."""

import asyncio

import pytest

from tests.integration.api.world import ACME, GLOBEX, World

CLAIM = {"holder": "a", "ttl_seconds": 60}


async def test_a_lock_goes_from_holder_to_holder_under_rising_tokens(empty_world: World) -> None:
    first = (await empty_world.call("POST", "/locks/x/acquire", CLAIM, role="operator")).raise_for_status().json()
    held = await empty_world.call("POST", "/locks/x/acquire", {**CLAIM, "holder": "b"})
    waiting = asyncio.create_task(empty_world.call("POST", "/locks/x/acquire", {**CLAIM, "wait_seconds": 10}))
    release = {"token": first["token"], "holder": "a"}
    released = (await empty_world.call("POST", "/locks/x/release", release)).raise_for_status().json()
    second = (await waiting).raise_for_status().json()
    stale = [await empty_world.call("POST", f"/locks/x/{verb}", body) for verb, body in (
        ("renew", {"token": first["token"], "ttl_seconds": 60}),
        ("release", release),
    )]  # fmt: skip

    assert (held.status_code, held.json()["code"], "'a' until" in held.json()["detail"]) == (409, "LOCK_HELD", True)
    assert (released["held"], second["held"]) == (False, True)
    assert second["token"] > first["token"]
    assert [(one.status_code, one.json()["code"]) for one in stale] == [(409, "LOCK_LOST")] * 2
    assert empty_world.wakeups.topics[-1].startswith("locks:")


async def test_a_repetition_with_its_key_gets_the_token_whose_answer_was_lost(empty_world: World) -> None:
    key = {"Idempotency-Key": "k"}
    tokens = [
        (await empty_world.call("POST", "/locks/x/acquire", CLAIM, headers=key)).raise_for_status().json()["token"]
        for _ in range(2)
    ]
    other = await empty_world.call("POST", "/locks/x/acquire", {**CLAIM, "holder": "b"}, headers=key)
    assert tokens == [1, 1]
    assert other.json()["code"] == "LOCK_HELD"


async def test_a_broken_lock_is_free_and_breaking_a_free_one_is_refused(empty_world: World) -> None:
    await empty_world.call("POST", "/locks/x/acquire", CLAIM)
    forbidden = await empty_world.call("POST", "/locks/x/break", role="operator")
    broken = await empty_world.call("POST", "/locks/x/break")
    again = await empty_world.call("POST", "/locks/x/break")
    assert [one.status_code for one in (forbidden, broken, again)] == [403, 200, 409]
    assert again.json()["code"] == "STATE_CONFLICT"


async def test_locks_are_listed_for_their_tenant_alone(empty_world: World) -> None:
    for name in ("y", "x"):
        await empty_world.call("POST", f"/locks/{name}/acquire", CLAIM)
    await empty_world.call("POST", "/locks/x/release", {"token": 1})
    listed = (await empty_world.call("GET", "/locks", role="viewer")).json()
    held = (await empty_world.call("GET", "/locks?held=true", role="viewer")).json()
    theirs = (await empty_world.call("GET", "/locks", tenant=GLOBEX)).json()
    assert [(one["name"], one["held"], one["tenant_id"]) for one in listed["items"]] == [
        ("x", False, ACME), ("y", True, ACME),
    ]  # fmt: skip
    assert [one["name"] for one in held["items"]] == ["y"]
    assert (theirs["items"], theirs["total_count"]) == ([], 0)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"ttl_seconds": 5}, "holder"),
        ({**CLAIM, "ttl_seconds": "long"}, "ttl_seconds"),
        ({**CLAIM, "ttl_seconds": 0}, "ttl_seconds"),
        ({**CLAIM, "wait_seconds": 31}, "wait_seconds"),
        ({**CLAIM, "wait": 3}, "wait"),
        ({**CLAIM, "holder": " a"}, "holder"),
    ],
)
async def test_a_wrong_field_is_named_and_nothing_is_stored(
    empty_world: World, body: dict[str, object], field: str
) -> None:
    before = await empty_world.row_versions()
    answer = await empty_world.call("POST", "/locks/x/acquire", body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert await empty_world.row_versions() == before
