"""Fan-outs over REST: what a run covers, and previews."""

from typing import Any

import pytest

from rota.domain.fan_out import FanOut, TaskSelector
from rota.domain.ids import RunId, WorkerId
from rota.domain.worker import WorkerSpec
from rota.ports.fan_out_store import PlanningAttempt
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.fan_outs import PostgresFanOutPlans
from tests.integration.api.world import UNKNOWN_ID, World

SELECTOR: dict[str, Any] = {"kind": "task", "task": "images.of", "args": {"namespaces": [], "labels": {}}}
TARGET: dict[str, Any] = {
    "kind": "task",
    "task": "images.scan",
    "args": {"depth": 2},
    "fan_out": {"selector": SELECTOR, "segment_size": 2},
}
WITHOUT_WAITING = {"wait_seconds": 0}


async def planned(world: World, service_pool: Pool, body: dict[str, Any]) -> RunId:
    """A run of `body` as a worker plans it."""
    run = (await world.call("POST", "/runs", body)).json()
    worker = WorkerId("01990000-0000-7000-8000-00000000f00d")
    await world.ports.workers.register(WorkerSpec(worker, "w", ("fan",), 1, (), "h", 1, "0"), 60.0)
    (claimed,) = await world.claims.claim_batch(worker, ("fan",), 10)
    attempt, plans = (
        PlanningAttempt(claimed.tenant_id, claimed.run_id, claimed.token),
        PostgresFanOutPlans(service_pool),
    )
    await plans.stage_items(attempt, ['"a"', '"b"', '{"k":1}'])
    await plans.cut_segments(attempt, 2, 10)
    await plans.launch(attempt, FanOut(TaskSelector("images.of"), segment_size=2))
    assert run["id"] == claimed.run_id
    return claimed.run_id


async def test_what_a_run_covers_is_told_with_the_selector_as_it_was_given(world: World, service_pool: Pool) -> None:
    run_id = await planned(world, service_pool, {"target": TARGET, "queue": "fan"})
    impact = (await world.call("GET", f"/runs/{run_id}/impact", role="viewer")).json()
    items = (await world.call("GET", f"/runs/{run_id}/impact/items?limit=2", role="viewer")).json()
    segments = (await world.call("GET", f"/runs/{run_id}/segments", role="viewer")).json()
    child = (await world.call("GET", f"/runs/{segments['items'][1]['child_run_id']}")).json()

    assert impact["snapshot"]["selector"] == SELECTOR
    assert (impact["snapshot"]["items_total"], impact["segments"]["queued"]) == (3, 2)
    assert (items["items"], items["total_count"], items["has_more"]) == (["a", "b"], 3, True)
    assert [segment["items_count"] for segment in segments["items"]] == [2, 1]
    assert (child["parent_id"], child["target"]["segment_no"]) == (run_id, 2)
    run = (await world.call("GET", f"/runs/{run_id}")).json()
    assert (run["state"], run["worker_id"]) == ("running", None)


async def test_a_run_without_a_plan_has_no_impact(world: World) -> None:
    run = (await world.call("POST", "/runs", {"target": TARGET})).json()
    for path in ("impact", "impact/items", "segments"):
        for run_id in (run["id"], UNKNOWN_ID):
            assert (await world.call("GET", f"/runs/{run_id}/{path}")).status_code == 404


async def test_a_preview_is_a_run_that_plans_and_launches_nothing(world: World) -> None:
    body = {"target": TARGET, **WITHOUT_WAITING}
    answer = await world.call("POST", "/fan-outs/preview", body, headers={"Idempotency-Key": "p-1"})
    again = await world.call("POST", "/fan-outs/preview", body, headers={"Idempotency-Key": "p-1"})
    made = answer.json()

    assert (answer.status_code, made["items_total"], made["sample"]) == (202, None, [])
    assert made["run"]["target"]["fan_out"]["plan_only"] is True
    assert answer.headers["Location"] == f"/api/v1/runs/{made['run']['id']}"
    assert again.json()["run"]["id"] == made["run"]["id"]


async def test_a_preview_of_a_schedule_takes_no_turn_of_it(world: World) -> None:
    schedule = {"name": "scan", "triggers": [{"kind": "cron", "expression": "0 2 * * *"}], "target": TARGET}
    made = (await world.call("POST", "/schedules", schedule)).json()
    answer = await world.call("POST", f"/schedules/{made['id']}/fan-out/preview", WITHOUT_WAITING, role="operator")

    assert (answer.status_code, answer.json()["run"]["schedule_id"]) == (202, None)
    refused = await world.call("POST", f"/schedules/{world.ids['schedule_id']}/fan-out/preview", WITHOUT_WAITING)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "target.fan_out")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"segment_size": 0}, "target.fan_out.segment_size"),
        ({"segment_size": 1_001}, "target.fan_out.segment_size"),
        ({"segments_max": 10_001}, "target.fan_out.segments_max"),
        ({"tolerated_failures": -1}, "target.fan_out.tolerated_failures"),
        ({"timeout_seconds": 0}, "target.fan_out.timeout_seconds"),
        ({"again_for": UNKNOWN_ID}, "target.fan_out.again_for"),
        ({"on_segment_failure": "panic"}, "target.fan_out.on_segment_failure"),
        ({"selector": {"kind": "task", "task": "not a task"}}, "target.fan_out.selector.task"),
        ({"selector": {"kind": "http", "url": "http://169.254.1.1/"}}, "target.fan_out.selector.url"),
        ({"selector": {"kind": "static", "items": ["x" * 2_001]}}, "target.fan_out.selector.items[0]"),
    ],
)
async def test_a_wrong_fan_out_is_told_by_its_field(world: World, change: dict[str, Any], field: str) -> None:
    target = {**TARGET, "fan_out": {**TARGET["fan_out"], **change}}
    answer = await world.call("POST", "/runs", {"target": target})
    assert answer.status_code == 422
    assert field in [error["field"] for error in answer.json()["errors"]]


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ({**TARGET, "args": {"items": []}}, "args.items"),
        ({"kind": "http", "url": "https://a.example/", "body": "text"}, "target.body"),
        ({"kind": "http", "url": "https://a.example/", "body": {"items": 1}}, "target.body.items"),
        ({"kind": "http", "url": "https://a.example/", "method": "GET"}, "target.method"),
        ({"kind": "segment", "run_id": UNKNOWN_ID, "segment_no": 1}, "target.kind"),
    ],
)
async def test_items_must_find_a_place_and_segments_are_not_asked_for(
    world: World, target: dict[str, Any], field: str
) -> None:
    fan_out = {} if target["kind"] == "segment" else {"fan_out": TARGET["fan_out"]}
    answer = await world.call("POST", "/runs", {"target": {**target, **fan_out}})
    assert answer.status_code == 422
    assert field in [error["field"] for error in answer.json()["errors"]]
