from datetime import datetime

from rota.domain.ids import RunId
from tests.integration.api.world import GLOBEX, SCHEDULE, World, execute_once


async def ended(world: World, verb: str = "succeed") -> None:
    run = (await world.call("POST", "/runs", {"task": "report"})).raise_for_status().json()
    await execute_once(world, RunId(run["id"]), verb)


async def test_hours_and_lifetime_tell_how_runs_ended_and_how_long_they_took(empty_world: World) -> None:
    world = empty_world
    await ended(world)
    hours = (await world.call("GET", "/stats/hours", role="viewer")).raise_for_status().json()
    (hour,) = hours["items"]
    assert hour["sums"] == hours["total"]
    assert (hour["sums"]["ended_count"], hour["sums"]["succeeded_count"], hour["sums"]["late_starts_count"]) == (
        1,
        1,
        0,
    )
    took = hour["sums"]
    assert 0 <= took["duration_seconds_p50"] <= took["duration_seconds_p95"] <= took["duration_seconds_max"] < 60
    assert datetime.fromisoformat(hours["since"]).minute == 0

    stats = (await world.call("GET", "/stats", role="viewer")).raise_for_status().json()
    assert (stats["lifetime"]["since"], stats["lifetime"]["sums"]) == (hour["hour"], hour["sums"])
    assert stats["runs"]["succeeded"] == 1
    await world.ports.run_counting.add_up(100)
    assert (await world.call("GET", "/stats/hours")).json()["items"] == hours["items"]


async def test_a_schedule_s_hours_are_its_own(empty_world: World) -> None:
    world = empty_world
    await ended(world)
    path = f"/schedules/{(await world.call('POST', '/schedules', SCHEDULE)).raise_for_status().json()['id']}"
    assert (await world.call("GET", f"{path}/hours")).json()["items"] == []
    run = (await world.call("POST", f"{path}/trigger")).raise_for_status().json()
    await execute_once(world, RunId(run["id"]), "fail")
    (hour,) = (await world.call("GET", f"{path}/hours")).json()["items"]
    assert (hour["sums"]["failed_count"], hour["sums"]["ended_count"]) == (1, 1)
    assert (await world.call("GET", "/stats/hours")).json()["total"]["ended_count"] == 2


async def test_nothing_of_another_tenant_is_in_any_figure_but_the_platform_s(empty_world: World) -> None:
    world = empty_world
    await ended(world)
    for path in ("/stats/hours", "/stats/drift"):
        assert (await world.call("GET", path, tenant=GLOBEX)).json()["items"] == []
    theirs = (await world.call("GET", "/stats", tenant=GLOBEX)).json()["lifetime"]
    assert (theirs["since"], theirs["sums"]["ended_count"]) == (None, 0)
    platform = (await world.call("GET", "/stats/platform", tenant=GLOBEX, role="platform_admin")).json()
    assert platform["lifetime"]["sums"]["ended_count"] == 1


async def test_a_drift_is_shown_by_get_and_repaired_by_post_alone(empty_world: World) -> None:
    world = empty_world
    await ended(world)
    for table in ("run_deltas", "run_summaries", "run_totals"):
        await world.owner_pool.execute(f"DELETE FROM scheduler.{table}")
    before = await world.row_versions()
    for _ in range(2):
        drift = (await world.call("GET", "/stats/drift", role="viewer")).json()
        assert (drift["found_count"], drift["uncounted_count"]) == (1, 1)
    assert await world.row_versions() == before
    assert (await world.call("POST", "/stats/reconcile", role="operator")).status_code == 403

    added = (await world.call("POST", "/stats/reconcile", {"window_hours": 2})).raise_for_status().json()

    assert added["uncounted_count"] == 1
    assert (await world.call("GET", "/stats/drift")).json()["uncounted_count"] == 0
    assert (await world.call("GET", "/stats")).json()["lifetime"]["sums"]["succeeded_count"] == 1
    too_far = await world.call("GET", "/stats/drift?window_hours=169")
    assert (too_far.status_code, too_far.json()["errors"][0]["field"]) == (422, "window_hours")
