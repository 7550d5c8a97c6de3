"""What holds for every listing, and for what is counted of every request."""

from msgspec.structs import fields

from rota.api.rest.app import ENDPOINTS
from rota.api.rest.page_wire import OFFSET_MAX, PageQuery
from tests.integration.api.raw_asgi import answered
from tests.integration.api.world import World, path_of


async def test_a_deep_offset_is_refused_with_the_cursor_as_the_remedy(world: World) -> None:
    listings = [one for one in ENDPOINTS if one.method == "GET" and issubclass(one.query, PageQuery)]
    assert len(listings) > 15
    for one in listings:
        path = path_of(one, world.ids)
        deep = await world.call("GET", f"{path}?offset={OFFSET_MAX + 1}", role="platform_admin")
        (problem,) = deep.json()["errors"]
        assert (deep.status_code, problem["field"]) == (422, "offset"), one.operation_id
        assert "use cursor" in problem["remedy"]
        within = await world.call("GET", f"{path}?offset={OFFSET_MAX}", role="platform_admin")
        assert (within.status_code, within.json()["items"]) == (200, []), one.operation_id
    assert {"limit", "offset", "cursor"} <= {one.name for one in fields(PageQuery)}


async def test_what_requests_are_counted_by_is_bounded_whatever_clients_send(world: World) -> None:
    run_id = world.ids["run_id"]
    for path in ("/schedules?offset=3", f"/runs/{run_id}", f"/runs/{run_id}/nope", "/a/b/c", "/schedules/x"):
        await world.call("GET", path)
    for method in ("BREW", "X" * 50):
        await answered(world.app, method, "/api/v1/schedules", world.auth())
    counted = [
        line
        for line in world.ports.metrics.exposition().decode().splitlines()
        if line.startswith(("rota_http_requests_total{", "rota_http_request_seconds_count{"))
    ]

    templates = {f'route="{one.full_path}"' for one in ENDPOINTS} | {'route="unmatched"'}
    methods = {f'method="{one}"' for one in ("GET", "POST", "PUT", "PATCH", "DELETE", "other")}
    assert len(counted) > 4
    for line in counted:
        assert any(template in line for template in templates), line
        assert any(method in line for method in methods), line
    assert not [line for line in counted if run_id in line or "offset" in line]
