from typing import Any

import pytest

from tests.integration.api.world import GLOBEX, SCHEDULE, UNKNOWN_ID, World


async def create(world: World, **changes: object) -> dict[str, Any]:
    answer = await world.call("POST", "/schedules", {**SCHEDULE, **changes})
    assert answer.status_code == 201, answer.text
    return answer.json()


def problem_fields(answer: Any) -> list[str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return [one["field"] for one in answer.json()["errors"]]


async def test_a_schedule_is_created_with_everything_that_a_client_relies_on(empty_world: World) -> None:
    answer = await empty_world.call("POST", "/schedules", SCHEDULE)
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["location"] == f"/api/v1/schedules/{made['id']}"
    assert (made["version"], made["enabled"], made["tenant_id"]) == (1, True, "acme")
    assert made["next_fire_at"] == min(one["next_fire_at"] for one in made["triggers"])
    assert [one["kind"] for one in made["triggers"]] == ["cron", "interval", "at"]
    assert made["triggers"][0]["gap"] == "next_valid"
    assert made["triggers"][1]["start_at"] == "2026-01-01T00:00:00Z"
    assert made["policies"]["retry"]["attempts_max"] == 5
    assert made["created_by"].startswith("admin of acme #")
    assert (await empty_world.call("GET", f"/schedules/{made['id']}")).json() == made
    assert "schedules" in empty_world.wakeups.topics


async def test_a_name_in_use_is_refused_and_names_the_field(empty_world: World) -> None:
    await create(empty_world)
    answer = await empty_world.call("POST", "/schedules", SCHEDULE)
    assert (answer.status_code, answer.json()["code"]) == (409, "NAME_TAKEN")
    assert problem_fields(answer) == ["name"]


async def test_a_key_repeated_with_the_same_body_answers_the_same_schedule(empty_world: World) -> None:
    key = {"Idempotency-Key": "first"}
    made = await empty_world.call("POST", "/schedules", SCHEDULE, headers=key)
    again = await empty_world.call("POST", "/schedules", SCHEDULE, headers=key)
    assert (made.status_code, again.status_code) == (201, 200)
    assert again.json() == made.json()
    other = await empty_world.call("POST", "/schedules", {**SCHEDULE, "name": "other"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_MISMATCH")
    assert (await empty_world.call("GET", "/schedules")).json()["total_count"] == 1


async def test_a_key_belongs_to_its_tenant(empty_world: World) -> None:
    key = {"Idempotency-Key": "shared"}
    mine = await empty_world.call("POST", "/schedules", SCHEDULE, headers=key)
    theirs = await empty_world.call("POST", "/schedules", SCHEDULE, headers=key, tenant=GLOBEX)
    assert theirs.status_code == 201
    assert theirs.json()["id"] != mine.json()["id"]


@pytest.mark.parametrize(("method", "body"), [("PUT", SCHEDULE), ("PATCH", {"description": "x"})])
async def test_a_change_needs_the_version_that_was_read(empty_world: World, method: str, body: object) -> None:
    made = await create(empty_world)
    path = f"/schedules/{made['id']}"
    missing = await empty_world.call(method, path, body)
    assert (missing.status_code, missing.json()["code"]) == (428, "VERSION_REQUIRED")
    for wrong in ('"2"', "1", 'W/"1"'):
        stale = await empty_world.call(method, path, body, headers={"If-Match": wrong})
        assert (stale.status_code, stale.json()["code"]) == (412, "VERSION_MISMATCH")
    assert (await empty_world.call("GET", path)).json()["version"] == 1


async def test_replacing_keeps_the_triggers_that_stay(empty_world: World) -> None:
    made = await create(empty_world)
    body = {**SCHEDULE, "triggers": SCHEDULE["triggers"][:1], "description": "shorter"}
    path = f"/schedules/{made['id']}"
    answer = await empty_world.call("PUT", path, body, headers={"If-Match": '"1"'})
    after = answer.json()
    assert (answer.status_code, answer.headers["etag"], after["version"]) == (200, '"2"', 2)
    assert [one["id"] for one in after["triggers"]] == [made["triggers"][0]["id"]]


async def test_a_patch_changes_what_it_names_and_null_takes_back_the_default(empty_world: World) -> None:
    made = await create(empty_world, description="old", policies={"priority": 4, "queue": "slow"})
    patch = {"description": None, "policies": {"priority": 7}, "labels": {"team": None, "tier": "1"}}
    headers = {"If-Match": '"1"', "Content-Type": "application/merge-patch+json"}
    after = (await empty_world.call("PATCH", f"/schedules/{made['id']}", patch, headers=headers)).json()
    assert (after["description"], after["labels"]) == ("", {"tier": "1"})
    assert (after["policies"]["priority"], after["policies"]["queue"]) == (7, "slow")


@pytest.mark.parametrize(
    ("patch", "field"),
    [({"nope": 1}, "nope"), ({"name": None}, "name"), ({"policies": {"priority": 99}}, "policies.priority")],
)
async def test_a_wrong_patch_names_its_field(empty_world: World, patch: object, field: str) -> None:
    made = await create(empty_world)
    answer = await empty_world.call("PATCH", f"/schedules/{made['id']}", patch, headers={"If-Match": "*"})
    assert answer.status_code == 422
    assert problem_fields(answer) == [field]


async def test_pause_and_resume_are_told_on_the_schedule(empty_world: World) -> None:
    made = await create(empty_world)
    path = f"/schedules/{made['id']}"
    paused = (await empty_world.call("POST", f"{path}/pause", {"reason": "moving"}, role="operator")).json()
    assert (paused["enabled"], paused["paused_reason"], paused["next_fire_at"]) == (False, "moving", None)
    resumed = (await empty_world.call("POST", f"{path}/resume", role="operator")).json()
    assert (resumed["enabled"], resumed["paused_reason"]) == (True, None)
    assert resumed["next_fire_at"] is not None
    again = await empty_world.call("POST", f"{path}/resume", role="operator")
    assert (again.status_code, again.json()["code"]) == (409, "STATE_CONFLICT")


async def test_resuming_from_the_past_makes_the_missed_times_due(empty_world: World) -> None:
    made = await create(empty_world)
    path = f"/schedules/{made['id']}"
    await empty_world.call("POST", f"{path}/pause")
    (now,) = [(await empty_world.call("GET", "/stats")).json()["as_of"]]
    since = now[:8] + "01T00:00:00Z"
    resumed = (await empty_world.call("POST", f"{path}/resume", {"from": since})).json()
    assert resumed["next_fire_at"] <= now
    for wrong in ("2020-01-01T00:00:00Z", "2026-01-01T00:00:00", "soon"):
        await empty_world.call("POST", f"{path}/pause")
        answer = await empty_world.call("POST", f"{path}/resume", {"from": wrong})
        assert (answer.status_code, problem_fields(answer)) == (422, ["from"])


async def test_a_deleted_schedule_frees_its_name_and_comes_back_paused(empty_world: World) -> None:
    made = await create(empty_world)
    path = f"/schedules/{made['id']}"
    gone = (await empty_world.call("DELETE", path, headers={"If-Match": '"1"'})).json()
    assert gone["deleted_at"] is not None
    assert gone["deleted_by"].startswith("admin of acme #")
    assert (await empty_world.call("GET", "/schedules")).json()["items"] == []
    assert len((await empty_world.call("GET", "/schedules?deleted=true")).json()["items"]) == 1
    assert (await empty_world.call("POST", f"{path}/trigger")).json()["code"] == "STATE_CONFLICT"
    other = await create(empty_world)
    assert (await empty_world.call("POST", f"{path}/restore")).json()["code"] == "NAME_TAKEN"
    await empty_world.call("DELETE", f"/schedules/{other['id']}")
    back = (await empty_world.call("POST", f"{path}/restore")).json()
    assert (back["deleted_at"], back["enabled"]) == (None, False)


async def test_a_trigger_by_hand_makes_a_run_with_its_arguments(empty_world: World) -> None:
    made = await create(empty_world)
    path = f"/schedules/{made['id']}/trigger"
    answer = await empty_world.call("POST", path, {"args": {"days": 7}}, role="operator")
    run = answer.json()
    assert answer.status_code == 201
    assert (run["schedule_id"], run["state"], run["target"]["args"]) == (made["id"], "queued", {"days": 7})
    assert "operator of acme" in run["reason"]
    assert "queue:default" in empty_world.wakeups.topics
    refused = await empty_world.call("POST", path, {"overlap": "skip"}, role="operator")
    assert (refused.status_code, refused.json()["code"]) == (409, "STATE_CONFLICT")
    queued = await empty_world.call("POST", path, {"overlap": "queue_one"}, role="operator")
    assert queued.json()["code"] == "STATE_CONFLICT"
    replaced = await empty_world.call("POST", path, {"overlap": "cancel_running"}, role="operator")
    assert replaced.status_code == 201
    assert (await empty_world.call("GET", f"/runs/{run['id']}")).json()["state"] == "cancelled"


async def test_a_trigger_by_hand_sets_nothing_but_what_it_may(world: World) -> None:
    path = f"/schedules/{world.ids['schedule_id']}/trigger"
    before = (await world.call("GET", "/runs")).json()["total_count"]
    for extra in ({"status": "succeeded"}, {"priority": 9}, {"user_id": 7}):
        answer = await world.call("POST", path, extra)
        assert (answer.status_code, problem_fields(answer)) == (422, list(extra))
    named = await world.call("POST", path, {"tenant_id": "globex"})
    assert (named.status_code, named.json()["code"]) == (403, "TENANT_FORBIDDEN")
    assert (await world.call("GET", "/runs")).json()["total_count"] == before


async def test_a_preview_tells_fires_and_skips_and_stores_nothing(world: World) -> None:
    before = await world.row_versions()
    query = "limit=3&after=2026-03-27T12:00:00Z"
    draft = {**SCHEDULE, "triggers": [{"kind": "cron", "expression": "30 2 * * *", "timezone": "Europe/Paris"}]}
    shown = (await world.call("POST", f"/schedules/preview?{query}", draft, role="viewer")).json()
    assert [one["fire_at"] for one in shown["items"]] == [
        "2026-03-28T01:30:00Z",
        "2026-03-29T01:00:00Z",
        "2026-03-30T00:30:00Z",
    ]
    assert "02:30" in shown["items"][1]["note"]
    stored = await world.call("GET", f"/schedules/{world.ids['schedule_id']}/preview?limit=500", role="viewer")
    assert len(stored.json()["items"]) == 500
    assert await world.row_versions() == before


async def test_many_are_created_all_or_none(empty_world: World) -> None:
    drafts = [{**SCHEDULE, "name": f"s{number}"} for number in range(3)]
    wrong = await empty_world.call("POST", "/schedules/bulk", [*drafts, {**SCHEDULE, "name": ""}])
    assert (wrong.status_code, problem_fields(wrong)) == (422, ["[3].name"])
    taken = await empty_world.call("POST", "/schedules/bulk", [*drafts, drafts[0]])
    assert (taken.status_code, problem_fields(taken)) == (409, ["[3].name"])
    assert (await empty_world.call("GET", "/schedules")).json()["total_count"] == 0
    made = await empty_world.call("POST", "/schedules/bulk", drafts)
    assert (made.status_code, made.json()["created_count"]) == (201, 3)
    too_many = await empty_world.call("POST", "/schedules/bulk", [])
    assert too_many.status_code == 422


async def test_a_list_is_filtered_and_paged_both_ways(empty_world: World) -> None:
    drafts = [{**SCHEDULE, "name": f"s{number}", "labels": {"n": str(number % 2)}} for number in range(5)]
    await empty_world.call("POST", "/schedules/bulk", drafts)
    page = (await empty_world.call("GET", "/schedules?limit=2&offset=1")).json()
    assert [one["name"] for one in page["items"]] == ["s1", "s2"]
    assert (page["total_count"], page["limit"], page["offset"], page["has_more"]) == (5, 2, 1, True)
    rest = (await empty_world.call("GET", f"/schedules?limit=5&cursor={page['next_cursor']}")).json()
    assert [one["name"] for one in rest["items"]] == ["s3", "s4"]
    assert (rest["has_more"], rest["next_cursor"]) == (False, None)
    for query, names in {
        "name=s3": ["s3"],
        "name_prefix=s": ["s0", "s1", "s2", "s3", "s4"],
        "label=n=1": ["s1", "s3"],
        "enabled=false": [],
        "deleted=true": [],
    }.items():
        found = (await empty_world.call("GET", f"/schedules?{query}")).json()
        assert [one["name"] for one in found["items"]] == names
        assert found["total_count"] == len(names)


async def test_what_cannot_be_an_id_is_as_unknown_as_an_id_that_is_not_there(empty_world: World) -> None:
    for name in (UNKNOWN_ID, "nightly", "0", "%00", "..%2f", UNKNOWN_ID.upper()):
        answer = await empty_world.call("GET", f"/schedules/{name}")
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND"), name
