"""Every POST takes an Idempotency-Key, or says why not; repeated, it is answered as it was, and done once."""

import asyncio

from msgspec.structs import replace

from rota.api.rest.app import ENDPOINTS, create_app
from rota.api.rest.endpoint import NEEDS_NO_KEY, Endpoint
from rota.api.rest.repeating import CLAIM_SECONDS, REPLAYED_HEADER
from rota.domain.errors import Unavailable
from rota.ports.idempotency_store import IdempotencyStore
from tests.integration.api.raw_asgi import Exchange, answered
from tests.integration.api.test_every_endpoint import PREPARED, ask
from tests.integration.api.world import SCHEDULE, World

POSTS = [one for one in ENDPOINTS if one.method == "POST" and one.access is not None]
KEY = {"Idempotency-Key": "k-1"}


async def test_every_post_takes_a_key_or_says_why_it_needs_none(empty_world: World) -> None:
    document = (await empty_world.call("GET", "/openapi.json")).json()
    described = {
        operation["operationId"]
        for operations in document["paths"].values()
        for method, operation in operations.items()
        if method == "post" and any(one["name"] == "Idempotency-Key" for one in operation["parameters"])
    }
    posts = {one.operation_id for one in POSTS}

    assert len(posts) > 30
    assert posts - described == set(NEEDS_NO_KEY)
    assert all(NEEDS_NO_KEY.values())


def test_no_answer_with_a_secret_in_it_is_kept() -> None:
    telling = {
        one.operation_id
        for one in ENDPOINTS
        for kind in one.answers
        if one.method == "POST" and {"secret", "ping_path"} & set(getattr(kind, "__struct_fields__", ()))
    }
    assert telling >= {"issue_token", "create_check_in", "rotate_check_in"}
    assert telling == {one.operation_id for one in ENDPOINTS if one.tells_secret}


async def test_a_repeated_key_is_answered_as_the_first_was_and_changes_nothing(world: World) -> None:
    assert len([one for one in POSTS if one.keeps_answer]) > 20
    for one in ENDPOINTS:
        if one.method == "GET":
            continue
        ids = await PREPARED[one.operation_id](world) if one.operation_id in PREPARED else None
        first = await ask(world, one, ids=ids, headers=KEY)
        if not one.keeps_answer:
            continue
        assert first.status in {one.status, one.other_status}, (one.operation_id, first.body)
        before = await row_versions(world)
        again = await ask(world, one, ids=ids, headers=KEY)
        assert await row_versions(world) == before, one.operation_id
        if one.tells_secret:
            assert (again.status, again.json()["code"]) == (409, "STATE_CONFLICT"), one.operation_id
            continue
        assert (again.status, again.json()) == (first.status, first.json()), one.operation_id
        assert again.headers[REPLAYED_HEADER.lower()] == "true"
        assert again.headers.get("etag") == first.headers.get("etag")


async def row_versions(world: World) -> dict[str, str]:
    """Of all but the keys, which are claimed anew."""
    found = await world.row_versions()
    return {table: digest for table, digest in found.items() if table != "idempotency_keys"}


async def test_a_key_of_another_request_is_refused_and_one_of_a_refused_request_is_free(empty_world: World) -> None:
    run = (await empty_world.call("POST", "/runs", {"task": "report"})).json()
    refused = await empty_world.call("POST", f"/runs/{run['id']}/retry", headers=KEY)
    assert refused.json()["code"] == "STATE_CONFLICT"
    await empty_world.call("POST", f"/runs/{run['id']}/cancel")

    clone = await empty_world.call("POST", f"/runs/{run['id']}/retry", headers=KEY)
    assert clone.status_code == 201
    other = await empty_world.call("POST", f"/runs/{clone.json()['id']}/retry", headers=KEY)
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_MISMATCH")
    assert (await empty_world.call("GET", "/runs")).json()["total_count"] == 2


async def test_of_many_at_once_with_one_key_the_verb_is_done_once(empty_world: World) -> None:
    run = (await empty_world.call("POST", "/runs", {"task": "report"})).json()
    await empty_world.call("POST", f"/runs/{run['id']}/cancel")
    path = f"/runs/{run['id']}/retry"
    answers = await asyncio.gather(*(empty_world.call("POST", path, headers=KEY) for _ in range(8)))

    done = [one for one in answers if one.status_code == 201]
    assert done
    assert len({one.json()["id"] for one in done}) == 1
    assert {one.status_code for one in answers} <= {201, 503}
    assert (await empty_world.call("GET", "/runs")).json()["total_count"] == 2


class NoMemory:
    """Idempotency keys that can be claimed, and a store that is away when the answer is to be kept."""

    def __init__(self, inner: IdempotencyStore) -> None:
        self.claim = inner.claim

    async def settle_if_held(self, *_: object) -> None:
        raise Unavailable("the store does not answer", 3)


async def test_an_answer_that_could_not_be_kept_is_given_all_the_same(empty_world: World) -> None:
    ports = replace(empty_world.ports, idempotency=NoMemory(empty_world.ports.idempotency))
    made = (await empty_world.call("POST", "/schedules", SCHEDULE)).json()
    path = f"/api/v1/schedules/{made['id']}/pause"
    headers = {**empty_world.auth(), **KEY, "Content-Type": "application/json"}
    first: Exchange = await answered(create_app(ports), "POST", path, headers, b"{}")
    assert first.status == 200
    again = await answered(create_app(ports), "POST", path, headers, b"{}")
    assert (again.status, again.json()["code"]) == (503, "UNAVAILABLE"), "it may be under way"


class Away:
    """Schedules of a store that goes away in the midst of a change."""

    async def get(self, *_: object) -> None:
        raise Unavailable("the store does not answer", 3)


async def test_who_was_told_to_try_again_is_told_when_and_then_it_is_done(empty_world: World) -> None:
    made = (await empty_world.call("POST", "/schedules", SCHEDULE)).json()
    path = f"/api/v1/schedules/{made['id']}/pause"
    headers = {**empty_world.auth(), **KEY, "Content-Type": "application/json"}
    away = create_app(replace(empty_world.ports, schedules=Away()))
    first = await answered(away, "POST", path, headers, b"{}")
    assert (first.status, first.headers["retry-after"]) == (503, "3")

    early = await answered(empty_world.app, "POST", path, headers, b"{}")
    assert (early.status, early.json()["code"]) == (503, "UNAVAILABLE")
    assert 30 < int(early.headers["retry-after"]) <= CLAIM_SECONDS
    await empty_world.owner_pool.execute("UPDATE scheduler.idempotency_keys SET claimed_until = '-infinity'")
    done = await answered(empty_world.app, "POST", path, headers, b"{}")
    assert (done.status, REPLAYED_HEADER.lower() in done.headers) == (200, False)


def test_endpoints_that_see_to_keys_themselves_are_posts() -> None:
    odd: list[Endpoint] = [one for one in ENDPOINTS if one.takes_key and one.method != "POST"]
    assert odd == []
