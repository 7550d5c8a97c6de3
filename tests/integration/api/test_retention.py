from rota.domain.retention import KINDS
from tests.integration.api.world import World

ROOT = "platform_admin"


async def test_rules_are_shown_with_their_bounds_and_changed_in_part(empty_world: World) -> None:
    shown = (await empty_world.call("GET", "/retention", role=ROOT)).raise_for_status().json()
    runs = next(one for one in shown["items"] if one["kind"] == "runs")
    assert (runs["keep_days"], runs["least_days"], runs["within"], runs["changed_by"]) == (90, 1, None, None)

    changed = (await empty_world.call("PATCH", "/retention", {"keep_days": {"events": 60}}, role=ROOT)).json()

    assert {one["kind"]: one["keep_days"] for one in changed["items"]} == {
        one["kind"]: 60 if one["kind"] == "events" else one["keep_days"] for one in shown["items"]
    }
    events = next(one for one in changed["items"] if one["kind"] == "events")
    assert events["changed_by"].startswith("platform_admin of acme")


async def test_a_wrong_rule_names_field_problem_and_remedy(empty_world: World) -> None:
    answer = await empty_world.call("PATCH", "/retention", {"keep_days": {"log_lines": 91}}, role=ROOT)
    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_INPUT")
    (problem,) = answer.json()["errors"]
    assert problem == {
        "field": "keep_days.log_lines",
        "problem": "would be kept for 91 days, longer than runs (90)",
        "remedy": "keep at most 90 days of log_lines, or more of runs",
    }


async def test_nothing_is_dropped_unless_it_is_said(world: World) -> None:
    for body in (None, {}, {"dry_run": True}):
        before = await world.row_versions()
        planned = (await world.call("POST", "/retention/apply", body, role=ROOT)).raise_for_status().json()
        assert planned == {"dry_run": True, "days": [], "deleted": {}, "is_done": True}
        assert await world.row_versions() == before
    applied = (await world.call("POST", "/retention/apply", {"dry_run": False}, role=ROOT)).raise_for_status().json()
    assert applied == {
        "dry_run": False,
        "days": [],
        "deleted": dict.fromkeys((kind for kind, known in KINDS.items() if not known.by_day), 0),
        "is_done": True,
    }
