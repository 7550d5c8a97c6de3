from typing import Any

from tests.integration.api.job_world import QUEUE, RULES, asked, built, execute_waiting, judged, overlaid, shown
from tests.integration.api.world import GLOBEX, UNKNOWN_ID, World
from tests.samples import advisories, sbom


async def test_a_document_becomes_a_graph_is_overlaid_and_judged(empty_world: World) -> None:
    graph = await built(empty_world, metadata={"team": "web"}, correlation_id="release-7")
    assert (graph["state"], graph["correlation_id"], graph["sbom_digest"][:7]) == ("succeeded", "release-7", "sha256:")
    nodes = await shown(empty_world, f"/graphs/jobs/{graph['id']}/items?part=node&limit=3")
    assert (len(nodes["items"]), nodes["total_count"], nodes["has_more"]) == (3, 7, True)
    overlay = await overlaid(empty_world, graph)
    assert overlay["summary"]["findings_by_severity"] == {"low": 1, "high": 1, "critical": 1}
    judgement = await judged(empty_world, graph, overlay_job_ids=[overlay["id"]])
    verdicts = (await shown(empty_world, f"/policy/runs/{judgement['id']}/items"))["items"]
    violations = {(one["subject"], one["data"]["rule"]) for one in verdicts if one["data"]["is_violation"]}
    assert violations == {
        ("pkg:generic/tinyssl@3.0.0-rc2", "severity"),
        ("pkg:generic/tinyssl@3.0.0-rc2", "licence"),
        ("pkg:npm/qs@6.5.2", "severity"),
        ("pkg:npm/left-pad@1.3.0", "licence"),
    }
    holds = await shown(empty_world, f"/graphs/jobs/{graph['id']}/policies/P-7")
    assert holds["id"] == judgement["id"]
    states = (await shown(empty_world, f"/graphs/jobs/{graph['id']}/events"))["items"]
    assert [one["state"] for one in states] == ["queued", "running", "succeeded"]


async def test_a_simulation_makes_nothing_so_and_shows_what_would_change(empty_world: World) -> None:
    graph = await built(empty_world)
    overlay = await overlaid(empty_world, graph)
    full = await judged(empty_world, graph, overlay_job_ids=[overlay["id"]])
    before = await empty_world.row_versions()
    ignoring = {**RULES, "ignore": [{"advisory_id": "DEMO-2026-0001", "reason": "not reachable"}]}
    simulated = await judged(
        empty_world,
        graph,
        mode="simulate",
        overlay_job_ids=[overlay["id"]],
        rules=ignoring,
        sample=["pkg:npm/qs@6.5.2"],
    )
    after = await empty_world.row_versions()
    assert simulated["base_job_id"] == full["id"]
    (change,) = (await shown(empty_world, f"/policy/runs/{simulated['id']}/items"))["items"]
    assert (change["part"], change["subject"], change["data"]["change"]) == ("change", "pkg:npm/qs@6.5.2", "changed")
    assert change["data"]["reason"] == "ignored: not reachable"
    untouched = [name for name in before if name.startswith(("policy_verdicts", "graph_"))]
    assert len(untouched) > 10
    assert [name for name in untouched if before[name] != after[name]] == []
    assert (await shown(empty_world, f"/graphs/jobs/{graph['id']}/policies/P-7"))["id"] == full["id"]


async def test_an_incremental_judgement_judges_what_changed_and_comes_to_the_same(empty_world: World) -> None:
    graph = await built(empty_world)
    first = await overlaid(empty_world, graph, advisories=advisories()[:2])
    await judged(empty_world, graph, overlay_job_ids=[first["id"]])
    second = await overlaid(empty_world, graph)
    given = {"overlay_job_ids": [first["id"], second["id"]]}
    incremental = await judged(empty_world, graph, mode="incremental", **given)
    full = await judged(empty_world, graph, **given)
    assert (incremental["summary"]["judged_count"], full["summary"]["judged_count"]) == (2, 3)
    assert incremental["determinism_hash"] == full["determinism_hash"]


async def test_the_same_key_answers_the_same_job_and_another_body_is_refused(empty_world: World) -> None:
    body = {"sbom": sbom(), "sbom_id": "shop", "queue": QUEUE}
    key = {"Idempotency-Key": "release-7"}
    first = (await empty_world.call("POST", "/graphs/build", body, headers=key)).json()
    again = await empty_world.call("POST", "/graphs/build", {**body, "idempotency_key": "release-7"})
    assert (again.status_code, again.json()["id"]) == (201, first["id"])
    other = await empty_world.call("POST", "/graphs/build", {**body, "priority": "high"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_MISMATCH")
    both = await empty_world.call("POST", "/graphs/build", {**body, "idempotency_key": "x"}, headers=key)
    assert (both.status_code, both.json()["errors"][0]["field"]) == (422, "idempotency_key")
    assert await execute_waiting(empty_world) == 1


async def test_a_priority_is_that_of_the_run(empty_world: World) -> None:
    priorities = {}
    for word in ("normal", "high", "emergency"):
        job = await asked(empty_world, "/graphs/build", sbom=sbom(), sbom_id="shop", priority=word)
        priorities[word] = (await shown(empty_world, f"/runs/{job['run_id']}"))["priority"]
    assert priorities == {"normal": 0, "high": 5, "emergency": 9}


async def test_cancel_reaches_the_job_by_its_run_and_what_has_ended_is_done_again_as_a_new_one(
    empty_world: World,
) -> None:
    job = await asked(empty_world, "/graphs/build", sbom=sbom(), sbom_id="shop")
    path = f"/graphs/jobs/{job['id']}"
    assert (await empty_world.call("POST", f"{path}/retry")).status_code == 409
    (await empty_world.call("POST", f"{path}/cancel")).raise_for_status()
    await empty_world.ends.settle_ended("graph", 10)
    assert (await shown(empty_world, path))["state"] == "cancelled"
    assert (await empty_world.call("POST", f"{path}/cancel")).json()["code"] == "STATE_CONFLICT"
    again = (await empty_world.call("POST", f"{path}/retry")).raise_for_status().json()
    assert (again["retry_of"], again["state"], again["finished_at"]) == (job["id"], "queued", None)
    await execute_waiting(empty_world)
    done = await shown(empty_world, f"/graphs/jobs/{again['id']}")
    assert (done["state"], done["sbom_digest"]) == ("succeeded", job["sbom_digest"])


async def test_a_judgement_is_marked_and_replayed(empty_world: World) -> None:
    graph = await built(empty_world)
    full = await judged(empty_world, graph)
    path = f"/policy/runs/{full['id']}"
    marked = (await empty_world.call("POST", f"{path}/replay-pending", {"reason": "new feed"})).json()
    assert marked["replay_pending"] == "new feed"
    pending = await shown(empty_world, "/policy/runs?replay_pending=true")
    assert [one["id"] for one in pending["items"]] == [full["id"]]
    replay = (await empty_world.call("POST", f"{path}/replay")).raise_for_status().json()
    await execute_waiting(empty_world, "policy")
    done = await shown(empty_world, f"/policy/runs/{replay['id']}")
    assert (done["replay_of"], done["replay_matches"]) == (full["id"], True)
    assert (await shown(empty_world, "/policy/runs?replay_pending=true"))["items"] == []


WRONG: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("/graphs/build", {"sbom": {"bomFormat": "SPDX"}}, "sbom.bomFormat"),
    ("/graphs/build", {"sbom": {"bomFormat": "CycloneDX", "components": [{}]}}, "sbom.components[0].name"),
    ("/graphs/build", {"sbom_id": ""}, "sbom_id"),
    ("/graphs/build", {"webhook": {"url": "ftp://example.com"}}, "webhook.url"),
    ("/graphs/build", {"metadata": {"a b": "c"}}, "metadata.a b"),
    ("/graphs/overlays", {"advisories": []}, "advisories"),
    ("/graphs/overlays", {"advisories": [{**advisories()[0], "affected": ["six"]}, {}]}, "advisories[1].id"),
    ("/graphs/overlays", {"advisories": [{**advisories()[0], "affected": ["< "]}]}, "advisories[0].affected[0]"),
    ("/graphs/overlays", {"advisories": [{**advisories()[0], "purl": "left-pad"}]}, "advisories[0].purl"),
    ("/policy/runs", {"policy_id": "P 7"}, "policy_id"),
    ("/policy/runs", {"mode": "full", "sample": ["x"]}, "sample"),
    ("/policy/runs", {"rules": {"severity_threshold": "dire"}}, "rules.severity_threshold"),
)


async def test_what_is_wrong_is_named(empty_world: World) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "/graphs/build": {"sbom": sbom(), "sbom_id": "shop"},
        "/graphs/overlays": {"graph_job_id": UNKNOWN_ID, "advisories": advisories()},
        "/policy/runs": {"policy_id": "P-7", "policy_version": "3", "rules": RULES, "graph_job_id": UNKNOWN_ID},
    }
    for path, fields, field in WRONG:
        refused = await empty_world.call("POST", path, {**bodies[path], **fields})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field), refused.text
        assert refused.json()["errors"][0]["remedy"]


async def test_a_job_builds_on_what_has_succeeded_in_its_own_tenant(empty_world: World) -> None:
    waiting = await asked(empty_world, "/graphs/build", sbom=sbom(), sbom_id="shop")
    body = {"graph_job_id": waiting["id"], "advisories": advisories()}
    early = await empty_world.call("POST", "/graphs/overlays", body)
    assert (early.status_code, early.json()["code"]) == (409, "STATE_CONFLICT")
    await execute_waiting(empty_world)
    foreign = await empty_world.call("POST", "/graphs/overlays", body, tenant=GLOBEX)
    assert (foreign.status_code, foreign.json()["code"]) == (404, "NOT_FOUND")
    asked_for = {"policy_id": "P-7", "policy_version": "3", "rules": RULES, "graph_job_id": waiting["id"]}
    for fields, status in (
        ({"mode": "incremental"}, 409),
        ({"overlay_job_ids": [waiting["id"]]}, 422),
        ({"base_job_id": UNKNOWN_ID, "mode": "incremental"}, 404),
    ):
        refused = await empty_world.call("POST", "/policy/runs", {**asked_for, **fields})
        assert refused.status_code == status, refused.text
