import re
from typing import Any

import pytest

from rota.domain.ids import RunId
from rota.services import bulk_verbs
from tests.integration.api.world import GLOBEX, World, execute_once


async def dead_letters(world: World, count: int) -> list[str]:
    ids: list[str] = []
    for _ in range(count):
        run = (await world.call("POST", "/runs", {"task": "report"})).json()
        await execute_once(world, RunId(run["id"]), "fail")
        ids.append(run["id"])
    return ids


async def test_a_preview_changes_nothing_and_its_count_is_what_may_be_touched(empty_world: World) -> None:
    ids = await dead_letters(empty_world, 3)
    asked: dict[str, Any] = {"verb": "retry", "filter": {"task": "report", "dead_lettered": True}}
    before = await empty_world.row_versions()
    preview = (await empty_world.call("POST", "/runs/bulk", asked)).json()
    assert preview == {"dry_run": True, "matched_count": 3, "operation": None}
    assert await empty_world.row_versions() == before

    for count, field in ((None, "expected_count"), (2, "expected_count"), (4, "expected_count")):
        refused = await empty_world.call("POST", "/runs/bulk", {**asked, "dry_run": False, "expected_count": count})
        assert [one["field"] for one in refused.json()["errors"]] == [field]
    done = await empty_world.call("POST", "/runs/bulk", {**asked, "dry_run": False, "expected_count": 3})
    operation = done.json()["operation"]
    assert (operation["done_count"], operation["skipped_count"], operation["verb"]) == (3, 0, "retry")
    assert operation["finished_at"] is not None
    shown = await empty_world.call("GET", f"/runs/bulk/{operation['id']}", role="viewer")
    assert shown.json() == operation
    assert (await empty_world.call("POST", f"/runs/bulk/{operation['id']}/continue", {})).json() == operation
    queued = (await empty_world.call("GET", "/runs?state=queued")).json()["items"]
    assert sorted(run["retry_of"] for run in queued) == sorted(ids)
    assert (await empty_world.call("GET", "/runs?dead_lettered=true")).json()["total_count"] == 0


async def test_deleting_needs_an_admin_a_condition_and_the_count_and_is_for_good(empty_world: World) -> None:
    ids = await dead_letters(empty_world, 2)
    asked: dict[str, Any] = {"filter": {"task": "report"}}
    path = "/runs/bulk/delete"
    refused = await empty_world.call("POST", path, asked, role="operator")
    assert (refused.status_code, refused.json()["code"]) == (403, "ROLE_FORBIDDEN")
    everything = await empty_world.call("POST", path, {"dry_run": True})
    assert [one["field"] for one in everything.json()["errors"]] == ["filter"]
    live = await empty_world.call("POST", path, {"filter": {"states": ["running"]}})
    assert [one["field"] for one in live.json()["errors"]] == ["filter.states[0]"]

    before = await empty_world.row_versions()
    assert (await empty_world.call("POST", path, asked)).json()["matched_count"] == 2
    assert await empty_world.row_versions() == before
    for_real = {**asked, "dry_run": False, "expected_count": 2}
    key = {"Idempotency-Key": "k"}
    first, again = [(await empty_world.call("POST", path, for_real, headers=key)).json() for _ in range(2)]
    assert first == again
    assert (first["operation"]["verb"], first["operation"]["done_count"]) == ("delete", 2)
    for run_id in ids:
        for of_run in ("", "/attempts", "/logs"):
            assert (await empty_world.call("GET", f"/runs/{run_id}{of_run}")).status_code == 404
    lifetime = (await empty_world.call("GET", "/stats")).json()["lifetime"]
    assert lifetime["sums"]["failed_count"] == 2
    assert (await empty_world.call("GET", "/stats/drift")).json()["uncounted_count"] == 0


async def test_what_one_call_leaves_the_next_goes_on_with_whoever_calls(
    empty_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_verbs, "BATCH_DELETIONS_MAX", 1)
    monkeypatch.setattr(bulk_verbs, "BATCHES_PER_CALL_MAX", 2)
    await dead_letters(empty_world, 3)
    asked = {"filter": {"states": ["failed"]}, "dry_run": False, "expected_count": 3}
    begun = (await empty_world.call("POST", "/runs/bulk/delete", asked)).json()["operation"]
    assert (begun["done_count"], begun["finished_at"]) == (2, None)
    path = f"/runs/bulk/{begun['id']}/continue"
    refused = await empty_world.call("POST", path, {}, role="operator")
    assert (refused.status_code, refused.json()["code"]) == (403, "ROLE_FORBIDDEN")
    ended, again = [(await empty_world.call("POST", path, {})).json() for _ in range(2)]
    assert ended == again
    assert ended["done_count"] == 3
    assert ended["finished_at"] is not None
    assert (await empty_world.call("GET", "/runs")).json()["total_count"] == 0


async def test_a_key_of_a_deleted_run_says_so_and_makes_none(empty_world: World) -> None:
    body = {"task": "report", "idempotency_key": "k"}
    run = (await empty_world.call("POST", "/runs", body)).json()
    await empty_world.call("POST", f"/runs/{run['id']}/cancel")
    asked = {"filter": {"task": "report"}, "dry_run": False, "expected_count": 1}
    await empty_world.call("POST", "/runs/bulk/delete", asked)
    again = await empty_world.call("POST", "/runs", body)
    assert (again.status_code, again.json()["code"]) == (409, "STATE_CONFLICT")
    assert run["id"] in again.json()["detail"]
    assert (await empty_world.call("GET", "/runs")).json()["total_count"] == 0


async def test_every_history_that_is_kept_with_runs_goes_with_them(empty_world: World) -> None:
    """A new kind of it is to be deleted, too."""
    kinds = await empty_world.owner_pool.fetch("SELECT kind FROM scheduler.retention WHERE is_with_runs")
    source = await empty_world.owner_pool.fetchval(
        "SELECT pg_get_functiondef('scheduler.delete_ended_runs(text, uuid[], text, integer)'::regprocedure)"
    )
    assert set(re.findall(r"DELETE FROM scheduler\.(\w+)", source)) == {row["kind"] for row in kinds}


async def test_a_repeated_request_begins_one_operation(empty_world: World) -> None:
    await dead_letters(empty_world, 1)
    body = {"verb": "retry", "dry_run": False, "expected_count": 1}
    answers = [await empty_world.call("POST", "/runs/bulk", body, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    other = await empty_world.call(
        "POST", "/runs/bulk", {**body, "expected_count": 2}, headers={"Idempotency-Key": "k"}
    )
    assert other.json()["code"] == "IDEMPOTENCY_MISMATCH"
    assert (await empty_world.call("GET", "/runs?state=queued")).json()["total_count"] == 1


async def test_a_dead_letter_is_listed_and_replayed_once(empty_world: World) -> None:
    (dead,) = await dead_letters(empty_world, 1)
    listed = (await empty_world.call("GET", "/runs?dead_lettered=true&failure_class=unknown")).json()["items"]
    assert [run["id"] for run in listed] == [dead]
    first = await empty_world.call("POST", f"/runs/{dead}/replay", role="operator")
    again = await empty_world.call("POST", f"/runs/{dead}/replay", role="operator")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["id"] == again.json()["id"]
    assert first.json()["retry_of"] == dead
    refused = await empty_world.call("POST", f"/runs/{first.json()['id']}/replay")
    assert (refused.status_code, refused.json()["code"]) == (409, "STATE_CONFLICT")
    assert (await empty_world.call("POST", f"/runs/{dead}/replay", tenant=GLOBEX)).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"verb": "retry", "filter": {"states": ["failed", "running"]}}, "filter.states[1]"),
        ({"verb": "cancel", "filter": {"states": ["failed"]}}, "filter.states[0]"),
        ({"verb": "retry", "filter": {"created_after": "1969-01-01T00:00:00Z"}}, "filter.created_after"),
        ({"verb": "delete"}, "verb"),
        ({"filter": {}}, "verb"),
    ],
)
async def test_what_is_wrong_is_told_by_field(empty_world: World, body: dict[str, object], field: str) -> None:
    refused = await empty_world.call("POST", "/runs/bulk", body)
    assert (refused.status_code, [one["field"] for one in refused.json()["errors"]]) == (422, [field])
