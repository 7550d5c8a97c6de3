import hashlib

import pytest

from rota.api.authn import REMEMBERED_SECONDS
from rota.api.rest.app import create_app
from tests.integration.api.raw_asgi import answered
from tests.integration.api.world import GLOBEX, World


async def test_a_token_is_shown_once_and_kept_as_its_hash(world: World) -> None:
    issued = (await world.call("POST", "/tokens", {"name": "ci", "role": "operator"})).json()
    assert issued["secret"].startswith(issued["hint"])
    assert len(issued["secret"]) == len("rota_") + 43
    listed = (await world.call("GET", "/tokens?limit=500")).text
    assert issued["id"] in listed
    assert issued["secret"] not in listed
    stored = await world.owner_pool.fetchval("SELECT secret_hash FROM scheduler.api_tokens WHERE id = $1", issued["id"])
    assert stored == hashlib.sha256(issued["secret"].encode()).digest()
    who = await answered(world.app, "GET", "/api/v1/principal", {"Authorization": f"Bearer {issued['secret']}"})
    assert who.json() == {"token_id": issued["id"], "name": "ci", "tenant_id": "acme", "role": "operator"}


async def test_nobody_issues_more_than_their_own_role(world: World) -> None:
    refused = await world.call("POST", "/tokens", {"name": "x", "role": "platform_admin"})
    assert (refused.status_code, refused.json()["code"]) == (403, "ROLE_FORBIDDEN")
    assert refused.json()["errors"][0]["field"] == "role"
    assert (await world.call("POST", "/tokens", {"name": "x", "role": "admin"})).status_code == 201
    both = await world.call("POST", "/tokens", {"name": "x", "role": "platform_admin"}, role="platform_admin")
    assert both.status_code == 201


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "viewer"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x", "role": "root"}, "role"),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "expires_at": "2099-01-01T00:00:00"}, "expires_at"),
        ({"name": "x", "expires_at": "2999-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "secret": "rota_mine"}, "secret"),
    ],
)
async def test_a_wrong_token_request_names_its_field(empty_world: World, body: object, field: str) -> None:
    answer = await empty_world.call("POST", "/tokens", body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_a_revoked_token_is_refused_by_a_process_that_has_not_seen_it(world: World) -> None:
    issued = (await world.call("POST", "/tokens", {"name": "ci"})).json()
    revoked = (await world.call("POST", f"/tokens/{issued['id']}/revoke")).json()
    assert revoked["revoked_at"] is not None
    again = (await world.call("POST", f"/tokens/{issued['id']}/revoke")).json()
    assert again == revoked
    answer = await answered(
        create_app(world.ports), "GET", "/api/v1/principal", {"Authorization": f"Bearer {issued['secret']}"}
    )
    assert answer.status == 401
    assert REMEMBERED_SECONDS <= 5


async def test_a_closed_tenant_is_out_and_its_schedules_stop(world: World) -> None:
    path = "/tenants/acme/revoke"
    own = await world.call("POST", path, role="platform_admin")
    assert own.json()["code"] == "STATE_CONFLICT"
    closed = (await world.call("POST", path, role="platform_admin", tenant=GLOBEX)).json()
    assert closed["revoked_at"] is not None
    fresh = create_app(world.ports)
    assert (await answered(fresh, "GET", "/api/v1/schedules", world.auth())).status == 401
    firing = await world.owner_pool.fetchval(
        "SELECT count(*) FROM scheduler.triggers WHERE tenant_id = 'acme' AND next_fire_at IS NOT NULL"
    )
    assert firing == 0


@pytest.mark.parametrize(
    ("body", "field"), [({"id": ""}, "id"), ({"id": " a"}, "id"), ({"id": "a/b"}, "id"), ({}, "id"), ({"id": 7}, "id")]
)
async def test_a_wrong_tenant_names_its_field(empty_world: World, body: object, field: str) -> None:
    answer = await empty_world.call("POST", "/tenants", body, role="platform_admin")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_a_new_tenant_is_worked_for_through_the_header(empty_world: World) -> None:
    made = await empty_world.call("POST", "/tenants", {"id": "initech", "name": "Initech"}, role="platform_admin")
    assert (made.status_code, made.json()["name"]) == (201, "Initech")
    assert (await empty_world.call("POST", "/tenants", {"id": "initech"}, role="platform_admin")).status_code == 409
    headers = {"X-Rota-Tenant": "initech"}
    token = await empty_world.call("POST", "/tokens", {"name": "first", "role": "admin"}, role="platform_admin",
                                   headers=headers)  # fmt: skip
    auth = {"Authorization": f"Bearer {token.json()['secret']}"}
    assert (await answered(empty_world.app, "GET", "/api/v1/principal", auth)).json()["tenant_id"] == "initech"
    listed = (await empty_world.call("GET", "/tenants?limit=2", role="platform_admin")).json()
    assert ([one["id"] for one in listed["items"]], listed["total_count"]) == (["acme", "globex"], 3)
