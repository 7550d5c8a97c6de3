import asyncio
from typing import Any

from rota.domain.tenancy import Role
from tests.integration.api.world import World

TEMPLATE: dict[str, Any] = {
    "body": {
        "name": "insights of ${subject}",
        "triggers": [{"kind": "cron", "expression": "0 ${parameters.hour} * * *"}],
        "target": {"kind": "task", "task": "refresh", "args": {"who": "${subject}"}},
    },
    "defaults": {"hour": 3},
}


async def said(world: World, method: str, path: str, body: object = None, role: Role = "admin") -> Any:
    return (await world.call(method, path, body, role=role)).raise_for_status().json()


async def furnished(world: World, *subjects: str) -> World:
    await said(world, "PUT", "/schedule-templates/daily", TEMPLATE)
    for subject in subjects:
        await said(world, "PUT", f"/bindings/platform/{subject}", {"template": "daily"})
    return world


async def names(world: World) -> list[str]:
    return [one["name"] for one in (await said(world, "GET", "/schedules"))["items"]]


async def test_fifty_who_reconcile_at_once_make_one_schedule_skip_the_rest_and_fail_none(empty_world: World) -> None:
    world = await furnished(empty_world, "site-1")
    answers = await asyncio.gather(
        *(said(world, "POST", "/bindings/reconcile", {}, role="operator") for _ in range(50))
    )
    assert sum(len(one["created"]) for one in answers) == 1
    assert sum(len(one["skipped"]) for one in answers) == 49
    assert [one["failures"] for one in answers] == [[]] * 50
    assert await names(world) == ["insights of site-1"]
    audited = "SELECT count(*) FROM scheduler.audit WHERE verb = 'reconcile' AND resource = 'binding'"
    assert await world.owner_pool.fetchval(audited) == 50
    text = (await world.call("GET", "/metrics", role="platform_admin")).text
    assert 'rota_binding_walks_total{outcome="clean",verb="reconcile"} 50.0' in text


async def test_reading_and_declaring_make_no_schedule(empty_world: World) -> None:
    world = await furnished(empty_world, "site-1")
    shown = await said(world, "GET", "/bindings/platform/site-1", role="viewer")
    assert (shown["state"], shown["schedule_id"]) == ("missing", None)
    assert (await said(world, "GET", "/bindings?state=missing", role="viewer"))["total_count"] == 1
    assert await names(world) == []


async def test_one_that_cannot_be_made_is_told_and_holds_up_no_other(empty_world: World) -> None:
    world = await furnished(empty_world, "a", "b", "c")
    taken = {"name": "insights of b", **{name: TEMPLATE["body"][name] for name in ("target",)}}
    taken["triggers"] = [{"kind": "interval", "every_seconds": 3600}]
    await said(world, "POST", "/schedules", taken)
    foreseen = await said(world, "POST", "/bindings/reconcile", {"dry_run": True})
    walked = await said(world, "POST", "/bindings/reconcile", {})
    for answer in (foreseen, walked):
        assert [one["subject"] for one in answer["created"]] == ["a", "c"]
        ((failure),) = answer["failures"]
        assert (failure["subject"], failure["code"]) == ("b", "NAME_TAKEN")
        assert "insights of b" in failure["detail"]
    assert [one["schedule_id"] for one in foreseen["created"]] == [None, None]
    again = await said(world, "POST", "/bindings/reconcile", {})
    assert [one["subject"] for one in again["skipped"]] == ["a", "c"]


async def test_a_dry_run_stores_nothing(empty_world: World) -> None:
    world = await furnished(empty_world, "site-1")
    before = await world.row_versions()
    await said(world, "POST", "/bindings/reconcile", {"dry_run": True})
    await said(world, "POST", "/bindings/update", {"dry_run": True})
    assert await world.row_versions() == before


async def test_a_walk_goes_on_where_it_stopped(empty_world: World) -> None:
    world = await furnished(empty_world, "a", "b", "c")
    first = await said(world, "POST", "/bindings/reconcile", {"limit": 2})
    rest = await said(world, "POST", "/bindings/reconcile", {"limit": 2, "cursor": first["next_cursor"]})
    assert [[one["subject"] for one in answer["created"]] for answer in (first, rest)] == [["a", "b"], ["c"]]
    assert rest["next_cursor"] is None


async def test_a_new_version_of_the_template_changes_schedules_only_when_they_are_updated(empty_world: World) -> None:
    world = await furnished(empty_world, "a", "b")
    made = (await said(world, "POST", "/bindings/reconcile", {}))["created"][0]
    await said(world, "POST", f"/schedules/{made['schedule_id']}/pause")
    same = await world.call("PUT", "/schedule-templates/daily", TEMPLATE)
    assert same.headers["etag"] == '"1"'
    changed = await said(world, "PUT", "/schedule-templates/daily", {**TEMPLATE, "defaults": {"hour": 5}})
    assert changed["version"] == 2
    again = await said(world, "POST", "/bindings/reconcile", {})
    assert (again["created"], len(again["skipped"])) == ([], 2)
    outdated = (await said(world, "GET", "/bindings?state=outdated"))["items"]
    assert [(one["made_template_version"], one["template_version"]) for one in outdated] == [(1, 2), (1, 2)]
    updated = await said(world, "POST", "/bindings/update", {"kind": "platform", "subject": "a"})
    assert [one["schedule_id"] for one in updated["updated"]] == [made["schedule_id"]]
    schedule = await said(world, "GET", f"/schedules/{made['schedule_id']}")
    assert (schedule["triggers"][0]["expression"], schedule["enabled"]) == ("0 5 * * *", False)
    assert (await said(world, "GET", "/bindings?state=outdated"))["total_count"] == 1


async def test_a_schedule_that_was_deleted_by_hand_is_missing_and_made_again(empty_world: World) -> None:
    world = await furnished(empty_world, "a")
    (made,) = (await said(world, "POST", "/bindings/reconcile", {}))["created"]
    await said(world, "DELETE", f"/schedules/{made['schedule_id']}")
    assert (await said(world, "GET", "/bindings/platform/a"))["state"] == "missing"
    (remade,) = (await said(world, "POST", "/bindings/reconcile", {}))["created"]
    assert remade["schedule_id"] != made["schedule_id"]


async def test_deleting_a_binding_keeps_its_schedule_unless_told_otherwise(empty_world: World) -> None:
    world = await furnished(empty_world, "a", "b")
    await said(world, "POST", "/bindings/reconcile", {})
    await said(world, "DELETE", "/bindings/platform/a")
    await said(world, "DELETE", "/bindings/platform/b?schedule=delete")
    assert await names(world) == ["insights of a"]
    assert (await said(world, "GET", "/bindings"))["items"] == []


async def test_what_is_wrong_is_named(empty_world: World) -> None:
    world = await furnished(empty_world)
    cases: tuple[tuple[str, object, str], ...] = (
        ("/schedule-templates/x", {"body": {**TEMPLATE["body"], "name": "fixed"}}, "body.name"),
        ("/bindings/platform/a", {"template": "nope"}, "template"),
        ("/bindings/platform/a", {"template": "daily", "parameters": {"our": 3}}, "parameters.our"),
        ("/bindings/platform/a", {"template": "daily", "parameters": {"hour": 99}}, "body.triggers[0].expression"),
        ("/bindings/platform/-", {"template": "daily"}, "subject"),
        ("/bindings/Platform/a", {"template": "daily"}, "kind"),
    )
    for path, body, field in cases:
        answer = await world.call("PUT", path, body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), answer.text
        assert answer.json()["errors"][0]["remedy"]
    stale = await world.call("PUT", "/schedule-templates/daily", TEMPLATE, headers={"If-Match": '"7"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "VERSION_MISMATCH")
    assert (await world.call("DELETE", "/bindings/platform/a?schedule=burn")).status_code == 422
