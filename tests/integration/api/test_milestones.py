"""The tick's contract over the API and PostgreSQL, evidence, and what operators do."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from structlog.testing import capture_logs

from rota.domain.ids import RunId
from tests.integration.api.world import ACME, GLOBEX, SCHEDULE, World, execute_once
from tests.support.waiting import wait_until

PAST = {"occurred_at": "2026-03-01T08:30:00Z"}
SITE = "ari:cloud:jira::site/a%2Fb//c d"
HALF_DAY, DAY = {"kind": "milestone", "name": "AUTO_12H"}, {"kind": "milestone", "name": "AUTO_24H"}


async def define(world: World, *triggers: Mapping[str, object], **fields: object) -> dict[str, Any]:
    body = {**SCHEDULE, "name": "reports", "triggers": list(triggers), **fields}
    return (await world.call("POST", "/schedules", body)).raise_for_status().json()


async def record(world: World, subject: str = SITE) -> httpx.Response:
    return await world.call("PUT", f"/evidence/installation/{quote(subject)}", PAST)


async def tick(world: World, subject: str = SITE, wait_seconds: float = 0, **rest: Any) -> httpx.Response:
    asked = {"tenant_id": ACME, "subject": subject, "wait_seconds": wait_seconds}
    return await world.call("POST", "/milestones/evaluate", asked, role="operator", **rest)


async def shown(world: World, name: str = "AUTO_12H") -> dict[str, Any]:
    (found,) = (await world.call("GET", f"/milestones?name={name}", role="viewer")).json()["items"]
    return found


async def test_evidence_is_written_once_whatever_its_subject_is_called(empty_world: World) -> None:
    first, again = await record(empty_world), await record(empty_world)
    assert (first.status_code, again.status_code, first.json()) == (201, 200, again.json())
    assert first.json()["subject"] == SITE
    other = {"occurred_at": "2026-03-01T08:30:01Z"}
    path = f"/evidence/installation/{quote(SITE)}"
    refused = await empty_world.call("PUT", path, other)
    assert (refused.status_code, refused.json()["code"]) == (409, "EVIDENCE_EXISTS")
    assert "2026-03-01T08:30:00" in refused.json()["detail"]
    read = await empty_world.call("GET", path, role="viewer")
    assert read.json() == first.json()
    for wrong in ({"occurred_at": "yesterday"}, {"occurred_at": "2999-01-01T00:00:00Z"}, {"occurred_at": 17}, {}):
        answer = await empty_world.call("PUT", "/evidence/installation/new", wrong)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "occurred_at")
    assert (await empty_world.call("GET", "/evidence?kind=installation")).json()["total_count"] == 1
    assert (await empty_world.call("PUT", path, PAST, role="viewer")).status_code == 403


async def test_a_tick_without_a_tenant_is_refused_and_there_is_no_fall_back(empty_world: World) -> None:
    await define(empty_world, HALF_DAY)
    await record(empty_world)
    for tenant in ({}, *({"tenant_id": value} for value in ("", "  ", "\t", None, 7, ["acme"], {"id": "acme"}, True))):
        answer = await empty_world.call("POST", "/milestones/evaluate", {"subject": SITE, **tenant})
        assert (answer.status_code, answer.json()["code"]) == (400, "TENANT_CONTEXT_UNAVAILABLE"), tenant
    for raw in (b"", b"[]", b'"acme"', b"null"):
        answer = await empty_world.call("POST", "/milestones/evaluate", content=raw)
        assert (answer.status_code, answer.json()["code"]) == (400, "TENANT_CONTEXT_UNAVAILABLE"), raw
    foreign = await tick(empty_world, tenant=GLOBEX)
    assert (foreign.status_code, foreign.json()["code"]) == (403, "TENANT_FORBIDDEN")
    assert (await empty_world.call("GET", "/runs")).json()["items"] == []


async def test_two_ticks_at_once_make_one_report_that_carries_the_tenant(empty_world: World) -> None:
    await define(empty_world, HALF_DAY)
    await record(empty_world)
    ticks = [asyncio.create_task(tick(empty_world, wait_seconds=20)) for _ in range(2)]
    await wait_until(lambda: has_a_run(empty_world))
    (run,) = (await empty_world.call("GET", "/runs")).json()["items"]
    order = run["target"]["args"]["milestone"]
    assert (order["tenant_id"], order["subject"], order["occurred_at"]) == (ACME, SITE, "2026-03-01T08:30:00Z")
    assert run["target"]["args"]["days"] == 1
    await execute_once(empty_world, RunId(run["id"]))
    answers = [(await one) for one in ticks]
    assert [(one.status_code, one.json()["reason"], one.json()["report_generated"]) for one in answers] == [
        (200, "generated", True)
    ] * 2
    assert len((await empty_world.call("GET", "/runs")).json()["items"]) == 1
    marker = await empty_world.call("GET", f"/milestones/AUTO_12H/marker/{quote(SITE)}", role="viewer")
    assert (marker.json()["result"], marker.json()["run_id"], marker.json()["tenant_id"]) == (
        {"rows": 3},
        run["id"],
        ACME,
    )
    done = await tick(empty_world)
    assert (done.status_code, done.json()["reason"], done.json()["backoff_until"]) == (200, "done", None)
    foreign = await empty_world.call("GET", f"/milestones/AUTO_12H/marker/{quote(SITE)}", tenant=GLOBEX)
    assert foreign.status_code == 404


async def has_a_run(world: World) -> bool:
    return bool((await world.call("GET", "/runs")).json()["items"])


async def test_what_a_tick_says(empty_world: World) -> None:
    nothing = (await tick(empty_world)).json()
    assert (nothing["success"], nothing["reason"], nothing["triggers"]) == (True, "nothing_due", [])
    week = {"kind": "milestone", "name": "far", "evidence": "installation", "age_seconds": 300_000_000}
    await define(empty_world, HALF_DAY, week, policies={"retry": {"delays_seconds": [600]}})
    missing = await tick(empty_world)
    assert (missing.status_code, missing.json()["reason"]) == (200, "evidence_missing")
    await record(empty_world)
    begun = await tick(empty_world)
    assert (begun.status_code, begun.json()["reason"], begun.json()["attempt_count"]) == (202, "in_progress", 1)
    waiting = asyncio.create_task(tick(empty_world, wait_seconds=20))
    await execute_once(empty_world, RunId(begun.json()["triggers"][0]["run_id"]), "fail")
    failed = (await waiting).json()
    assert ((await waiting).status_code, failed["success"], failed["reason"]) == (202, False, "failed")
    assert (failed["due_trigger"], failed["attempt_count"]) == ("AUTO_12H", 1)
    backing_off = await tick(empty_world)
    assert (backing_off.status_code, backing_off.json()["reason"]) == (200, "backoff_active")
    assert backing_off.json()["backoff_until"] == failed["backoff_until"] == (await shown(empty_world))["backoff_until"]
    assert [one["reason"] for one in backing_off.json()["triggers"]] == ["backoff_active", "nothing_due"]
    assert (await tick(empty_world, subject="")).json()["errors"][0]["field"] == "subject"
    assert (await tick(empty_world, wait_seconds=26)).json()["errors"][0]["field"] == "wait_seconds"
    last = (await shown(empty_world))["last_error"]
    assert (last["message"], last["type"]) == ("no", "ValueError")


async def test_operators_reset_retry_and_clear_and_it_is_written_down(empty_world: World) -> None:
    await define(empty_world, HALF_DAY)
    await record(empty_world)
    path, marker, body = "/milestones/AUTO_12H", f"/milestones/AUTO_12H/marker/{quote(SITE)}", {"subject": SITE}
    run_id = (await tick(empty_world)).json()["triggers"][0]["run_id"]
    assert (await empty_world.call("POST", f"{path}/reset", body)).json()["code"] == "STATE_CONFLICT"
    (await empty_world.call("POST", f"/runs/{run_id}/cancel")).raise_for_status()
    cancelled = await shown(empty_world)
    assert (cancelled["state"], cancelled["attempts_count"]) == ("waiting", 1)
    retried = await empty_world.call("POST", f"{path}/retry", body, role="operator")
    assert (retried.status_code, retried.json()["attempts_count"], retried.json()["state"]) == (202, 2, "in_progress")
    await execute_once(empty_world, RunId(retried.json()["run_id"]), "fail")
    reset = await empty_world.call("POST", f"{path}/reset", body, role="operator")
    assert (reset.json()["attempts_count"], reset.json()["backoff_until"], reset.json()["last_error"]) == (
        0,
        None,
        None,
    )
    assert (await empty_world.call("DELETE", marker)).json()["code"] == "STATE_CONFLICT"
    await execute_once(empty_world, RunId((await tick(empty_world)).json()["triggers"][0]["run_id"]))
    assert (await empty_world.call("POST", f"{path}/retry", body)).json()["code"] == "STATE_CONFLICT"
    assert (await empty_world.call("DELETE", marker, role="operator")).json()["state"] == "waiting"
    assert (await tick(empty_world)).json()["reason"] == "in_progress"
    assert (await empty_world.call("POST", f"{path}/reset", body, role="viewer")).status_code == 403
    assert (await empty_world.call("POST", f"{path}/reset", body, tenant=GLOBEX)).status_code == 404
    rows = await empty_world.owner_pool.fetch(
        "SELECT verb, resource_id FROM scheduler.audit WHERE resource IN ('milestone', 'evidence')"
    )
    assert {row["resource_id"] for row in rows} == {f"AUTO_12H/{SITE}", f"installation/{SITE}"}
    verbs = sorted(row["verb"] for row in rows)
    assert verbs == ["clear", "generate", "generate", "generate", "record", "reset", "retry"]


@pytest.mark.parametrize("broken", ["milestones", "done_markers"])
async def test_a_table_that_cannot_be_read_is_no_reason_to_make_a_report(empty_world: World, broken: str) -> None:
    await define(empty_world, HALF_DAY)
    await record(empty_world)
    await empty_world.owner_pool.execute(f"ALTER TABLE scheduler.{broken} RENAME TO gone")
    with capture_logs():
        answer = await tick(empty_world)
    assert answer.status_code >= 500
    assert answer.json()["code"] in ("UNAVAILABLE", "INTERNAL")
    assert (await empty_world.call("GET", "/runs")).json()["items"] == []
