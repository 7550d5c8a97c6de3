from datetime import datetime, timedelta
from typing import Any

from tests.integration.api.world import GLOBEX, World, store_now

HOURLY: dict[str, Any] = {
    "name": "hourly",
    "triggers": [{"kind": "interval", "every_seconds": 3600, "start_at": "2026-01-01T00:00:00Z"}],
    "target": {"kind": "task", "task": "report"},
}


async def window(world: World, hours: int) -> dict[str, Any]:
    """So many hourly firings, all in the past."""
    now = await store_now(world.ports)
    start = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours)
    return {"from": start.isoformat(), "to": (start + timedelta(hours=hours - 1)).isoformat()}


async def hourly(world: World) -> str:
    made = (await world.call("POST", "/schedules", HOURLY)).raise_for_status().json()
    return f"/schedules/{made['id']}/backfill"


async def test_a_dry_run_shows_what_would_run_and_stores_nothing(world: World) -> None:
    path, asked = await hourly(world), await window(world, 5)
    before = await world.row_versions()
    shown = await world.call("POST", path, {**asked, "dry_run": True})
    body = shown.json()
    assert (shown.status_code, body["total_count"], body["new_count"], body["skipped_count"]) == (200, 5, 5, 0)
    assert [item["action"] for item in body["items"]] == ["run"] * 5
    assert datetime.fromisoformat(body["items"][0]["fire_at"]) == datetime.fromisoformat(asked["from"])
    assert body["backfill"] is None
    assert await world.row_versions() == before


async def test_a_backfill_is_started_once_by_its_key_seen_and_cancelled(world: World) -> None:
    path, asked = await hourly(world), await window(world, 5)
    keyed = {"Idempotency-Key": "k"}
    started = await world.call("POST", path, asked, role="operator", headers=keyed)
    again = await world.call("POST", path, asked, role="operator", headers=keyed)
    other = await world.call("POST", path, {**asked, "overlap": "allow"}, headers=keyed)
    assert (started.status_code, again.status_code, other.json()["code"]) == (201, 200, "IDEMPOTENCY_MISMATCH")
    one = started.json()["backfill"]
    assert again.json()["backfill"]["id"] == one["id"]
    assert (one["state"], one["total_count"], one["created_count"], one["from"][:19]) == (
        "running",
        5,
        0,
        asked["from"][:19],
    )
    assert started.headers["location"] == f"/api/v1/backfills/{one['id']}"
    assert "backfills" in world.wakeups.topics
    assert (await world.call("GET", "/backfills")).json()["items"][0] == one
    hidden = await world.call("GET", f"/backfills/{one['id']}", tenant=GLOBEX)
    assert hidden.status_code == 404
    ended = (await world.call("POST", f"/backfills/{one['id']}/cancel")).raise_for_status().json()
    assert (ended["state"], ended["reason"].startswith("cancelled by admin of acme")) == ("cancelled", True)
    assert (await world.call("POST", f"/backfills/{one['id']}/cancel")).json()["code"] == "STATE_CONFLICT"


async def test_a_window_without_bound_is_refused_with_where_to_end_it(world: World) -> None:
    fast = {**HOURLY, "name": "fast", "triggers": [{**HOURLY["triggers"][0], "every_seconds": 1}]}
    made = (await world.call("POST", "/schedules", fast)).raise_for_status().json()
    asked = {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}
    refused = await world.call("POST", f"/schedules/{made['id']}/backfill", asked)
    (problem,) = refused.json()["errors"]
    assert (refused.status_code, problem["field"]) == (422, "to")
    assert "2026-01-01T13:53:19" in problem["remedy"]


async def test_a_deleted_schedule_is_not_backfilled(world: World) -> None:
    path, asked = await hourly(world), await window(world, 2)
    await world.call("DELETE", path.removesuffix("/backfill"))
    assert (await world.call("POST", path, asked)).json()["code"] == "STATE_CONFLICT"
