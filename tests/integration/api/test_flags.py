from typing import Any

from tests.integration.api.world import GLOBEX, SCHEDULE, World

OFF: dict[str, Any] = {"enabled": False, "reason": "the warehouse is being moved"}


async def state(world: World, **rest: Any) -> dict[str, Any]:
    (flag,) = (await world.call("GET", "/flags", role="viewer", **rest)).raise_for_status().json()["items"]
    return flag


async def test_a_tenant_switches_its_own_and_the_platform_all(world: World) -> None:
    on = await state(world)
    assert (on["name"], on["enabled"], on["tenant"], on["platform"]) == ("firing", True, None, None)
    off = (await world.call("PUT", "/flags/firing", OFF)).raise_for_status().json()
    assert (off["enabled"], off["tenant"]["reason"], off["platform"]) == (False, OFF["reason"], None)
    assert off == await state(world)
    assert (await state(world, tenant=GLOBEX))["enabled"]
    assert (await world.call("PUT", "/platform/flags/firing", OFF)).json()["code"] == "ROLE_FORBIDDEN"
    (await world.call("PUT", "/platform/flags/firing", OFF, role="platform_admin")).raise_for_status()
    (await world.call("PUT", "/flags/firing", {"enabled": True})).raise_for_status()
    both = await state(world)
    assert (both["enabled"], both["tenant"]["enabled"], both["platform"]["enabled"]) == (False, True, False)
    assert not (await state(world, tenant=GLOBEX))["enabled"]


async def test_a_wrong_switch_is_refused(world: World) -> None:
    assert (await world.call("PUT", "/flags/fireing", OFF)).json()["code"] == "NOT_FOUND"
    refused = (await world.call("PUT", "/flags/firing", {"enabled": False, "reason": "a\nb"})).json()
    assert refused["errors"][0]["field"] == "reason"
    assert (await state(world))["enabled"]


async def test_switching_leaves_schedules_alone_that_have_nothing_due(world: World) -> None:
    made = (await world.call("POST", "/schedules", {**SCHEDULE, "name": "another"})).raise_for_status().json()
    (await world.call("PUT", "/flags/firing", OFF)).raise_for_status()
    assert (await world.call("GET", f"/schedules/{made['id']}")).json()["version"] == 1
