from typing import Any

from tests.integration.api.world import GLOBEX, World

DAILY: dict[str, Any] = {
    "name": "daily",
    "triggers": [{"kind": "cron", "expression": "0 9 * * *", "calendar": {"only_on": ["open"]}}],
    "target": {"kind": "task", "task": "report"},
}


async def put(world: World, name: str, days: dict[str, Any], **rest: Any) -> Any:
    return await world.call("PUT", f"/calendars/{name}", days, **rest)


async def test_a_schedule_follows_a_calendar_from_its_making_through_every_change(world: World) -> None:
    unknown = await world.call("POST", "/schedules", DAILY)
    assert unknown.json()["errors"][0]["field"] == "triggers[0].calendar.only_on[0]"
    made = (await put(world, "open", {"yearly": ["12-25"]})).json()
    assert (made["version"], made["schedules_count"]) == (1, 0)
    daily = (await world.call("POST", "/schedules", DAILY)).raise_for_status().json()
    assert daily["next_fire_at"].endswith("-12-25T09:00:00Z")

    changed = await put(world, "open", {"yearly": ["07-14"]})

    assert (changed.json()["version"], changed.headers["etag"], changed.json()["schedules_count"]) == (2, '"2"', 1)
    after = (await world.call("GET", f"/schedules/{daily['id']}")).json()
    assert after["next_fire_at"].endswith("-07-14T09:00:00Z")
    assert (after["version"], after["triggers"][0]["calendar"]["only_on"]) == (2, ["open"])
    stale = await world.call("PATCH", f"/schedules/{daily['id']}", {"description": "x"}, headers={"If-Match": '"1"'})
    assert stale.json()["code"] == "VERSION_MISMATCH"
    shown = (await world.call("GET", f"/schedules/{daily['id']}/preview?limit=2")).json()
    assert all(item["fire_at"].endswith("-07-14T09:00:00Z") for item in shown["items"])
    assert "the date is not in calendar 'open'" in shown["skipped"][0]["note"]


async def test_a_draft_is_previewed_by_its_calendars(world: World) -> None:
    await put(world, "open", {"yearly": ["12-25"]})
    shown = (await world.call("POST", "/schedules/preview?limit=1", DAILY)).raise_for_status().json()
    assert shown["items"][0]["fire_at"].endswith("-12-25T09:00:00Z")


async def test_a_calendar_in_use_is_not_deleted_and_one_of_a_deleted_schedule_is(world: World) -> None:
    await put(world, "open", {"yearly": ["12-25"]})
    daily = (await world.call("POST", "/schedules", DAILY)).json()
    refused = await world.call("DELETE", "/calendars/open")
    assert (refused.status_code, refused.json()["code"]) == (409, "STATE_CONFLICT")
    await world.call("DELETE", f"/schedules/{daily['id']}")
    assert (await world.call("DELETE", "/calendars/open")).status_code == 200
    lost = await world.call("POST", f"/schedules/{daily['id']}/restore")
    assert lost.json()["errors"][0]["field"] == "triggers[0].calendar.only_on[0]"

    await put(world, "open", {"yearly": ["07-14"]})
    assert (await world.call("POST", f"/schedules/{daily['id']}/restore")).status_code == 200
    resumed = (await world.call("POST", f"/schedules/{daily['id']}/resume", {})).raise_for_status().json()
    assert resumed["next_fire_at"].endswith("-07-14T09:00:00Z")


async def test_a_version_that_is_asked_for_must_be_there(world: World) -> None:
    missing = await put(world, "open", {"yearly": ["12-25"]}, headers={"If-Match": '"1"'})
    await put(world, "open", {"yearly": ["12-25"]})
    stale = await put(world, "open", {"yearly": ["07-14"]}, headers={"If-Match": '"9"'})
    right = await put(world, "open", {"yearly": ["07-14"]}, headers={"If-Match": '"1"'})
    assert [one.status_code for one in (missing, stale, right)] == [404, 412, 200]


async def test_a_file_is_shown_first_and_then_imported(world: World) -> None:
    event = "BEGIN:VEVENT\nSUMMARY:{0}\nDTSTART{1}\nEND:VEVENT\n"
    ics = "BEGIN:VCALENDAR\n" + event.format("A", ";VALUE=DATE:20260515") + event.format("B", ":20260515T090000Z")
    shown = (await world.call("POST", "/calendars/fr/import", {"ics": ics, "dry_run": True})).raise_for_status().json()
    assert (shown["calendar"], shown["days"]["dates"]) == (None, ["2026-05-15"])
    assert shown["ignored"] == [{"line": 6, "summary": "B", "reason": "it is no all-day event"}]
    assert (await world.call("GET", "/calendars/fr")).status_code == 404
    stored = (await world.call("POST", "/calendars/fr/import", {"ics": ics})).raise_for_status().json()
    assert stored["calendar"]["dates"] == ["2026-05-15"]
    empty = await world.call("POST", "/calendars/fr/import", {"ics": "BEGIN:VCALENDAR\n"})
    assert empty.json()["code"] == "INVALID_INPUT"


async def test_putting_the_name_of_anothers_calendar_makes_an_own_one(world: World) -> None:
    await put(world, "open", {"yearly": ["12-25"]})
    own = (await put(world, "open", {"yearly": ["07-14"]}, tenant=GLOBEX)).raise_for_status().json()
    assert (own["tenant_id"], own["version"], own["schedules_count"]) == (GLOBEX, 1, 0)
    assert (await world.call("GET", "/calendars/open")).json()["yearly"] == ["12-25"]


async def test_more_firings_are_given_by_a_patch_that_keeps_the_triggers_progress(world: World) -> None:
    draft = {**DAILY, "triggers": [{"kind": "interval", "every_seconds": 3600, "fires_max": 3}]}
    before = (await world.call("POST", "/schedules", draft)).raise_for_status().json()
    assert (before["triggers"][0]["fires_count"], before["triggers"][0]["fires_left"]) == (0, 3)
    patch = {"triggers": [{"kind": "interval", "every_seconds": 3600, "fires_max": 5}]}
    path = f"/schedules/{before['id']}"
    after = (await world.call("PATCH", path, patch, headers={"If-Match": '"1"'})).raise_for_status().json()
    assert after["triggers"][0]["id"] == before["triggers"][0]["id"]
    assert (after["triggers"][0]["fires_left"], after["next_fire_at"]) == (5, before["next_fire_at"])
