import asyncio
from typing import Any

import httpx

from tests.integration.api.test_bindings import furnished, names, said
from tests.integration.api.world import ACME, GLOBEX, SCHEDULE, World

OFF: dict[str, Any] = {"enabled": False, "reason": "the warehouse is being moved"}


async def state(world: World, name: str = "firing", **rest: Any) -> dict[str, Any]:
    flags = (await world.call("GET", "/flags", role="viewer", **rest)).raise_for_status().json()["items"]
    return {one["name"]: one for one in flags}[name]


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


async def test_the_platform_sees_what_is_off_for_all_and_which_tenants_switched_off(world: World) -> None:
    (await world.call("PUT", "/flags/reconcile", OFF)).raise_for_status()
    (await world.call("PUT", "/flags/reconcile", OFF, tenant=GLOBEX)).raise_for_status()
    (await world.call("PUT", "/flags/milestones", OFF)).raise_for_status()
    (await world.call("PUT", "/flags/milestones", {"enabled": True})).raise_for_status()
    (await world.call("PUT", "/platform/flags/firing", OFF, role="platform_admin")).raise_for_status()
    shown = (await world.call("GET", "/platform/flags", role="platform_admin")).json()["items"]
    assert [(one["name"], one["enabled"], one["tenants_off"], one["tenants_off_count"]) for one in shown] == [
        ("firing", False, [], 0),
        ("milestones", True, [], 0),
        ("reconcile", True, [ACME, GLOBEX], 2),
    ]
    assert shown[0]["platform"]["reason"] == OFF["reason"]
    assert (await world.call("GET", "/platform/flags")).json()["code"] == "ROLE_FORBIDDEN"


async def test_with_reconcile_off_it_is_told_what_would_be_made_and_nothing_is(empty_world: World) -> None:
    world = await furnished(empty_world, "a", "b")
    (await world.call("PUT", "/flags/reconcile", OFF)).raise_for_status()
    told = await said(world, "POST", "/bindings/reconcile", {}, role="operator")
    assert [(one["subject"], one["schedule_id"]) for one in told["created"]] == [("a", None), ("b", None)]
    assert (told["dry_run"], told["reason"]) == (True, "flag_off")
    assert told["message"] == "the flag reconcile is off for the tenant: the warehouse is being moved"
    assert (await said(world, "POST", "/bindings/update", {}))["reason"] == "flag_off"
    assert await names(world) == []
    audited = "SELECT count(*) FROM scheduler.audit WHERE verb = 'reconcile' AND resource = 'binding'"
    assert await world.owner_pool.fetchval(audited) == 1
    events = (await world.call("GET", "/events?type=BindingsHeld,BindingsReconciled")).json()["items"]
    assert [(one["type"], one["data"]["verb"], one["data"].get("due")) for one in events] == [
        ("BindingsHeld", "update", 0),
        ("BindingsHeld", "reconcile", 2),
    ]
    text = (await world.call("GET", "/metrics", role="platform_admin")).text
    assert 'rota_binding_walks_total{outcome="held",verb="reconcile"} 1.0' in text

    (await world.call("PUT", "/flags/reconcile", {"enabled": True})).raise_for_status()
    made = await said(world, "POST", "/bindings/reconcile", {}, role="operator")
    assert (len(made["created"]), made["dry_run"], made["reason"], made["message"]) == (2, False, None, "")


async def test_what_is_made_while_reconcile_is_switched_off_was_made_before_that_is_answered(
    empty_world: World,
) -> None:
    world = await furnished(empty_world, *(f"s{number}" for number in range(30)))
    seen: list[int] = []

    async def switch_off() -> httpx.Response:
        answer = await world.call("PUT", "/flags/reconcile", OFF)
        seen.append(len(await names(world)))
        return answer

    walking = asyncio.create_task(said(world, "POST", "/bindings/reconcile", {}))
    await switch_off()
    walked = await walking
    made = len(await names(world))
    assert made == seen[0]
    assert made == sum(one["schedule_id"] is not None for one in walked["created"])
    assert {one["code"] for one in walked["failures"]} <= {"STATE_CONFLICT"}
