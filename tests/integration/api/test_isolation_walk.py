"""Every route of the API's own description, walked with a second tenant's token. A new route is walked by itself; one
with a path parameter that `furnish` does not know fails here until it does.
"""

from typing import Any

import msgspec
import pytest

from rota.api.rest.schedule_templates import TEMPLATE_EXAMPLE
from rota.domain.flag import FLAGS
from tests.integration.api.raw_asgi import Exchange, answered
from tests.integration.api.world import ACME, GLOBEX, UNKNOWN_ID, World

NOT_COMPARED = {"request_id", "instance"}

# These are named by their tenant: who uses another's name makes one of their own; see the tests after the walk.
MAKES_ITS_OWN = {
    ("POST", "/api/v1/locks/{lock_name}/acquire"),
    ("PUT", "/api/v1/schedule-templates/{template_name}"),
    ("PUT", "/api/v1/bindings/{kind}/{subject}"),
    ("PUT", "/api/v1/evidence/{kind}/{subject}"),
    ("PUT", "/api/v1/flags/{flag_name}"),
}


async def described_routes(world: World) -> list[tuple[str, str, dict[str, Any]]]:
    """(method, path template, operation) of everything that needs a token."""
    document = (await world.call("GET", "/openapi.json")).raise_for_status().json()
    routes = [
        (method.upper(), path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if operation.get("security") != []
    ]
    assert len(routes) > 30
    return routes


def body_of(operation: dict[str, Any]) -> Any:
    """The documented example, so that the request gets as far as the object."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return content.get("example")


async def ask(
    world: World, route: tuple[str, str, dict[str, Any]], ids: dict[str, str], body: Any, **extra: str
) -> Exchange:
    method, template, _ = route
    headers = {**world.auth("admin", GLOBEX), "If-Match": '"1"', "Content-Type": "application/json", **extra}
    raw = b"" if body is None else msgspec.json.encode(body)
    return await answered(world.app, method, template.format_map(ids), headers, raw)


async def rows_of_acme(world: World) -> dict[str, str]:
    tables = await world.owner_pool.fetch(
        "SELECT c.relname::text AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid"
        " WHERE c.relnamespace = 'scheduler'::regnamespace AND c.relkind = 'r' AND a.attname = 'tenant_id'"
    )
    assert len(tables) > 10
    return {
        row["name"]: await world.owner_pool.fetchval(
            "SELECT count(*)::text || md5(coalesce(string_agg(t::text || xmin::text, ',' ORDER BY ctid), ''))"
            f" FROM scheduler.\"{row['name']}\" t WHERE tenant_id = 'acme'"
        )
        for row in tables
    }


@pytest.mark.both_engines
async def test_anothers_object_answers_exactly_as_one_that_does_not_exist(world: World) -> None:
    before = await rows_of_acme(world)
    unknown = dict.fromkeys(world.ids, UNKNOWN_ID)
    walked = 0
    for route in await described_routes(world):
        method, template, operation = route
        if "{" not in template or (method, template) in MAKES_ITS_OWN:
            continue
        body = body_of(operation)
        foreign, missing = await ask(world, route, world.ids, body), await ask(world, route, unknown, body)
        assert foreign.status == missing.status, (method, template, foreign.body)
        told = {name: value for name, value in foreign.json().items() if name not in NOT_COMPARED}
        assert told == {name: value for name, value in missing.json().items() if name not in NOT_COMPARED}
        expected = {"tenant_id": "TENANT_FORBIDDEN", "worker_id": "ROLE_FORBIDDEN", "queue_name": "ROLE_FORBIDDEN"}
        code = next((code for name, code in expected.items() if f"{{{name}}}" in template), "NOT_FOUND")
        code = "ROLE_FORBIDDEN" if template.startswith("/api/v1/platform/") else code
        assert told["code"] == code, (method, template, told)
        assert not [value for value in world.ids.values() if value in str(told)], (method, template, told)
        walked += 1
    assert walked > 15
    assert await rows_of_acme(world) == before


async def test_acquiring_the_name_of_anothers_lock_makes_an_own_one_and_tells_nothing_of_it(world: World) -> None:
    before = await rows_of_acme(world)
    request = {"holder": "mallory", "ttl_seconds": 60}
    name = world.ids["lock_name"]
    own, new = [
        (await world.call("POST", f"/locks/{one}/acquire", request, tenant=GLOBEX)).json() for one in (name, "new")
    ]
    assert (own["tenant_id"], own["token"], own["holder"]) == (new["tenant_id"], new["token"], new["holder"])
    assert (own["tenant_id"], own["holder"]) == (GLOBEX, "mallory")
    assert await rows_of_acme(world) == before


async def test_putting_the_name_of_anothers_template_or_binding_makes_an_own_one(world: World) -> None:
    before = await rows_of_acme(world)
    binding = "/bindings/{kind}/{subject}".format_map(world.ids)
    named = {"template": world.ids["template_name"]}
    unknown = await world.call("PUT", binding, named, tenant=GLOBEX)
    assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (422, "template")
    path = f"/schedule-templates/{world.ids['template_name']}"
    made = (await world.call("PUT", path, {**TEMPLATE_EXAMPLE, "defaults": {"hour": 9}}, tenant=GLOBEX)).json()
    assert (made["tenant_id"], made["version"]) == (GLOBEX, 1)
    own = (await world.call("PUT", binding, named, tenant=GLOBEX)).json()
    assert (own["tenant_id"], own["state"]) == (GLOBEX, "missing")
    walk = (await world.call("POST", "/bindings/reconcile", {}, tenant=GLOBEX)).json()
    assert len(walk["created"]) == 1
    assert await rows_of_acme(world) == before


async def test_switching_a_flag_switches_ones_own_and_shows_nothing_of_anothers(world: World) -> None:
    off = {"enabled": False, "reason": "acme is being moved"}
    theirs = (await world.call("PUT", "/flags/firing", off)).raise_for_status().json()
    before = await rows_of_acme(world)
    assert theirs["tenant"]["reason"] == off["reason"]
    seen = (await world.call("GET", "/flags", tenant=GLOBEX)).json()["items"]
    assert {(one["name"], one["tenant"]) for one in seen} == {(name, None) for name in FLAGS}
    own = (await world.call("PUT", "/flags/firing", {**off, "reason": "ours"}, tenant=GLOBEX)).json()
    assert own["tenant"]["reason"] == "ours"
    assert await rows_of_acme(world) == before


async def test_nothing_of_another_tenant_is_in_any_answer(world: World) -> None:
    before = await rows_of_acme(world)
    # Flags are the platform's own words; what a tenant has set of them is its own.
    secrets = [value for name, value in world.ids.items() if name not in {"tenant_id", "flag_name"}]
    for route in await described_routes(world):
        if "{" in route[1] or route[1].endswith("openapi.json"):
            continue
        answer = await ask(world, route, {}, body_of(route[2]))
        assert answer.status < 500, (route[:2], answer.body)
        text = answer.body.decode()
        assert not [one for one in secrets if one in text], route[:2]
        assert '"acme"' not in text, route[:2]
    assert await rows_of_acme(world) == before


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
async def test_naming_another_tenant_is_forbidden_wherever_it_stands(world: World, role: Any) -> None:
    """Also where the role would not do, and whether or not the tenant exists."""
    for method, template, operation in await described_routes(world):
        path = template.format_map({**world.ids, "tenant_id": GLOBEX})
        for name in (ACME, "no-such-tenant"):
            headers = {**world.auth(role, GLOBEX), "X-Rota-Tenant": name}
            answer = await answered(world.app, method, path, headers)
            assert (answer.status, answer.json()["code"]) == (403, "TENANT_FORBIDDEN"), (method, template)
        body = body_of(operation)
        if role == "admin" and isinstance(body, dict):
            named = await ask(world, (method, path, operation), {}, {**body, "tenant_id": "acme"})
            assert named.json()["code"] in {"TENANT_FORBIDDEN", "ROLE_FORBIDDEN"}, (method, template)
            listed = await ask(world, (method, path, operation), {}, [{**body, "tenant_id": "acme"}])
            assert listed.json()["code"] in {"TENANT_FORBIDDEN", "ROLE_FORBIDDEN"}, (method, template)
        if role == "admin":
            queried = await ask(world, (method, f"{path}?tenant_id=acme", operation), {}, body)
            assert queried.json()["code"] in {"TENANT_FORBIDDEN", "ROLE_FORBIDDEN"}, (method, template)


async def test_every_route_without_a_token_is_unauthenticated(world: World) -> None:
    routes = [(method, path.format_map(world.ids)) for method, path, _ in await described_routes(world)]
    unknown = [("GET", "/api"), ("GET", "/api/v1/nope"), ("POST", "/api/v2/schedules"), ("PUT", "/api/v1/runs")]
    for method, path in [*routes, *unknown]:
        for headers in ({}, {"Authorization": "Bearer rota_" + "x" * 43}, {"Authorization": "Basic YTpi"}):
            answer = await answered(world.app, method, path, headers)
            assert (answer.status, answer.json()["code"]) == (401, "UNAUTHENTICATED"), (method, path)
            assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_platform_admin_acts_for_the_tenant_that_the_header_names(world: World) -> None:
    theirs = await world.call(
        "GET", "/schedules", role="platform_admin", tenant=GLOBEX, headers={"X-Rota-Tenant": "acme"}
    )
    assert [one["id"] for one in theirs.json()["items"]] == [world.ids["schedule_id"]]
    own = await world.call("GET", "/schedules", role="platform_admin", tenant=GLOBEX)
    assert own.json()["items"] == []
    unknown = await world.call("GET", "/schedules", role="platform_admin", headers={"X-Rota-Tenant": "no-such"})
    assert unknown.status_code == 404
