"""Whatever is sent, the answer is one that the description allows: never a 500; a problem where it is no success."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.core import NotSet
from schemathesis.core.result import Ok

from rota.api.rest.app import ENDPOINTS
from rota.api.rest.endpoint import Endpoint
from tests.integration.api.world import World, path_of

EXAMPLES = settings(
    max_examples=25,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
WRITES = [one for one in ENDPOINTS if one.method != "GET" and one.operation_id != "revoke_tenant"]
READS = [one for one in ENDPOINTS if one.query.__struct_fields__ and one.content_type == "application/json"]

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**18, max_value=10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["\x00", "2026-01-01", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999-18:00", "* * * * *"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


async def judged(world: World, one: Endpoint, path: str, document: dict[str, Any], raw: bytes) -> int:
    answer = await world.call(one.method, path, content=raw, role="platform_admin", headers={"If-Match": "*"})
    assert answer.status_code < 500, (one.operation_id, raw[:500], answer.text)
    described = document["paths"][one.full_path][one.method.lower()]["responses"]
    assert str(answer.status_code) in described, (one.operation_id, answer.status_code, answer.text)
    assert_problem(answer)
    return answer.status_code


def assert_problem(answer: httpx.Response) -> None:
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
        if answer.status_code == 422:
            assert all(one["problem"] and one["remedy"] for one in answer.json()["errors"])


async def hypothetically(test: Callable[[Callable[[Any], None]], None], ask: Callable[[Any], Any]) -> None:
    """Runs a Hypothesis test in a thread; what it asks is awaited on the loop that the pools belong to."""
    loop = asyncio.get_running_loop()

    def wait(given_value: Any) -> None:
        asyncio.run_coroutine_threadsafe(ask(given_value), loop).result(30)

    await asyncio.to_thread(test, wait)


def mutated(example: Any) -> st.SearchStrategy[Any]:
    """The example with one value somewhere in it replaced."""
    places = list(_places(example, ()))
    return st.tuples(st.sampled_from(places), JSON).map(lambda change: _put(example, *change))


def _places(value: Any, path: tuple[Any, ...]) -> Any:
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from _places(value[key], (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _places(inner, (*path, index))


def _put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = _put(value[path[0]], path[1:], new)
    return copy


@pytest.mark.parametrize("one", WRITES, ids=lambda one: one.operation_id)
async def test_no_body_breaks_an_endpoint(world: World, one: Endpoint) -> None:
    document = (await world.call("GET", "/openapi.json")).json()
    path = path_of(one, world.ids)
    bodies = JSON | mutated(one.example if one.example is not None else {})
    encoded = bodies.map(msgspec.json.encode) | st.binary(max_size=60)

    def fuzz(wait: Callable[[Any], None]) -> None:
        EXAMPLES(given(encoded)(wait))()

    statuses: set[int] = set()

    async def ask(raw: bytes) -> None:
        statuses.add(await judged(world, one, path, document, raw))

    await hypothetically(fuzz, ask)
    assert 400 in statuses, "nothing that was sent was refused as malformed"


async def test_what_the_description_allows_is_answered_as_it_says(world: World) -> None:
    document = (await world.call("GET", "/openapi.json")).json()
    schema = schemathesis.openapi.from_dict(document)
    by_id = {one.operation_id: one for one in ENDPOINTS}
    asked: dict[str, int] = {}
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        one = by_id[operation.definition.raw["operationId"]]
        if one not in WRITES:
            continue

        def fuzz(wait: Callable[[Any], None], cases: Any = operation.as_strategy()) -> None:  # noqa: B008
            settings(EXAMPLES, max_examples=8)(given(cases)(wait))()

        async def ask(case: Any, one: Endpoint = one) -> None:
            raw = b"" if isinstance(case.body, NotSet) else msgspec.json.encode(case.body)
            asked[one.operation_id] = await judged(world, one, path_of(one, world.ids), document, raw)

        await hypothetically(fuzz, ask)
    assert set(asked) == {one.operation_id for one in WRITES}


@pytest.mark.parametrize("one", READS, ids=lambda one: one.operation_id)
async def test_no_query_breaks_an_endpoint(world: World, one: Endpoint) -> None:
    names = st.sampled_from(list(one.query.__struct_fields__)) | st.text(max_size=5)
    values = st.text(max_size=12) | st.integers().map(str) | st.sampled_from(["", "true", "1.20", "W10", "\x00", "%"])
    queries = st.dictionaries(names, values, max_size=3)
    body = b"" if one.example is None else msgspec.json.encode(one.example)
    path = path_of(one, world.ids)

    async def ask(query: dict[str, str]) -> None:
        answer = await world.client.request(
            one.method, path, params=query, content=body, headers=world.auth("platform_admin")
        )
        assert answer.status_code < 500, (one.operation_id, query, answer.text)
        assert_problem(answer)

    def fuzz(wait: Callable[[Any], None]) -> None:
        EXAMPLES(given(queries)(wait))()

    await hypothetically(fuzz, ask)
