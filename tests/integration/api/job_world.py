"""Jobs in the API's world: made by requests, executed as a worker would, ended as the leader would."""

from typing import Any

from rota.core.job_execution import execute
from rota.core.packing import pack
from rota.domain.ids import WorkerId
from rota.domain.jobs import JobClaim, JobFamily
from rota.domain.run import Settlement
from rota.domain.worker import WorkerSpec
from tests.integration.api.world import World
from tests.samples import advisories, sbom

QUEUE = "jobs"
RULES = {"severity_threshold": "high", "licences_allowed": ["Apache-2.0", "MIT", "BSD-3-Clause"]}


async def asked(world: World, path: str, **body: Any) -> dict[str, Any]:
    answer = await world.call("POST", path, {"queue": QUEUE, **body})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def execute_waiting(world: World, family: JobFamily = "graph") -> int:
    """All jobs that wait, to their ends; how many there were."""
    worker_id = WorkerId(world.ports.ids.new_id())
    await world.ports.workers.register(WorkerSpec(worker_id, "w", (QUEUE,), 4, (), "host", 7, "0.1.0"), 600.0)
    runs = [run for run in await world.claims.claim_batch(worker_id, (QUEUE,), 10) if hasattr(run.target, "task")]
    claims = [JobClaim(family, run.tenant_id, run.run_id, run.token) for run in runs]
    inputs = await world.work.begin(claims)
    for claim in claims:
        result = execute(inputs[claim.run_id].kind, inputs[claim.run_id].documents)
        assert await world.work.save_result(claim, pack(result), result)
        await world.claims.settle_batch([Settlement(claim.run_id, claim.token, "succeed", "succeeded", "done")])
    return (await world.ends.settle_ended(family, 100)).taken_count


async def built(world: World, **fields: Any) -> dict[str, Any]:
    job = await asked(world, "/graphs/build", sbom=sbom(), sbom_id="shop", **fields)
    await execute_waiting(world)
    return await shown(world, f"/graphs/jobs/{job['id']}")


async def overlaid(world: World, graph: dict[str, Any], **fields: Any) -> dict[str, Any]:
    given = {"graph_job_id": graph["id"], "advisories": advisories(), **fields}
    job = await asked(world, "/graphs/overlays", **given)
    await execute_waiting(world)
    return await shown(world, f"/graphs/jobs/{job['id']}")


async def judged(world: World, graph: dict[str, Any], **fields: Any) -> dict[str, Any]:
    given = {"policy_id": "P-7", "policy_version": "3", "rules": RULES, "graph_job_id": graph["id"], **fields}
    job = await asked(world, "/policy/runs", **given)
    await execute_waiting(world, "policy")
    return await shown(world, f"/policy/runs/{job['id']}")


async def shown(world: World, path: str) -> dict[str, Any]:
    return (await world.call("GET", path, role="viewer")).raise_for_status().json()


async def furnish_jobs(world: World) -> None:
    """A graph and a judgement of it, with items, for the walks over all endpoints."""
    graph = await built(world)
    judgement = await judged(world, graph, overlay_job_ids=[(await overlaid(world, graph))["id"]])
    world.ids |= {"graph_job_id": graph["id"], "policy_job_id": judgement["id"], "policy_id": "P-7"}
