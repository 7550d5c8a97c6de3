from typing import Any

from rota.domain.ids import RunId
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.interventions import PostgresInterventionDuties
from tests.integration.api.world import World, execute_once

SCHEDULE: dict[str, Any] = {
    "name": "nightly",
    "triggers": [{"kind": "cron", "expression": "0 2 * * *"}],
    "target": {"kind": "task", "task": "report"},
}


async def stopped(world: World, service_pool: Pool) -> str:
    """A schedule that failed three times, by its path."""
    made = (await world.call("POST", "/schedules", SCHEDULE)).raise_for_status().json()
    path = f"/schedules/{made['id']}"
    for _ in range(3):
        run = (await world.call("POST", f"{path}/trigger")).raise_for_status().json()
        await execute_once(world, RunId(run["id"]), "fail")
    assert (await PostgresInterventionDuties(service_pool).note_failures(10)).stopped == ("unknown",)
    return path


async def test_a_schedule_that_needs_intervention_says_so_wherever_it_is_shown(
    empty_world: World, service_pool: Pool
) -> None:
    quiet = (await empty_world.call("GET", "/interventions/summary", role="viewer")).json()
    assert (quiet["total_count"], quiet["oldest"], quiet["requires_immediate_attention"]) == (0, None, False)
    path = await stopped(empty_world, service_pool)
    shown = (await empty_world.call("GET", path, role="viewer")).json()
    assert (shown["enabled"], shown["needs_intervention"], shown["next_fire_at"]) == (False, True, None)
    assert shown["paused_reason"] == "needs intervention after 3 failures (unknown: no)"
    assert (shown["intervention"]["cause"], shown["intervention"]["pattern"]) == ("streak", "no")
    assert shown["intervention"]["cool_off_until"] is not None
    (listed,) = (await empty_world.call("GET", "/schedules?needs_intervention=true")).json()["items"]
    assert listed["id"] == shown["id"]
    summary = (await empty_world.call("GET", "/interventions/summary", role="viewer")).json()
    assert (summary["by_type"], summary["by_class"]) == ({"report": 1}, {"unknown": 1})
    assert (summary["oldest"]["schedule_id"], summary["critical_count"]) == (shown["id"], 0)
    events = (await empty_world.call("GET", "/events?type=ScheduleNeedsIntervention")).json()["items"]
    assert [(one["subject"], one["data"]["failures_count"]) for one in events] == [(shown["id"], 3)]


async def test_a_stopped_schedule_runs_once_by_hand_and_resumes_on_probation_or_forgiven(
    empty_world: World, service_pool: Pool
) -> None:
    path = await stopped(empty_world, service_pool)
    tried = await empty_world.call("POST", f"{path}/trigger", role="operator")
    assert tried.status_code == 201
    assert (await empty_world.call("GET", path)).json()["needs_intervention"] is True
    resumed = (await empty_world.call("POST", f"{path}/resume", role="operator")).json()
    assert (resumed["enabled"], resumed["needs_intervention"]) == (True, False)
    assert resumed["intervention"]["on_probation"] is True
    run = (await empty_world.call("POST", f"{path}/trigger", {"overlap": "allow"})).json()
    await execute_once(empty_world, RunId(run["id"]), "fail")
    await PostgresInterventionDuties(service_pool).note_failures(10)
    again = (await empty_world.call("GET", path)).json()
    assert (again["needs_intervention"], again["intervention"]["cause"]) == (True, "probation")
    forgiven = (await empty_world.call("POST", f"{path}/resume", {"reset_streak": True})).json()
    assert (forgiven["enabled"], forgiven["intervention"]["on_probation"]) == (True, False)


async def test_numbers_of_the_rule_that_are_wrong_are_named(empty_world: World) -> None:
    for rule, field in (({"streak": 0}, "streak"), ({"cool_off_seconds": 1}, "cool_off_seconds")):
        body = {**SCHEDULE, "policies": {"intervention": rule}}
        answer = await empty_world.call("POST", "/schedules", body)
        assert answer.json()["errors"][0]["field"] == f"policies.intervention.{field}"
