"""Policy jobs of a tenant: rules are judged over a graph, wholly, by what has changed, or as a simulation."""

from typing import Any

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.api.rest.jobs_wire import (
    JOB_BODY_BYTES_MAX,
    RULES_EXAMPLE,
    ItemQuery,
    PolicyJobQuery,
    ReplayMark,
    with_header_key,
)
from rota.api.rest.page_wire import PageBody, page_body
from rota.domain.ids import JobId
from rota.domain.jobs import StoredItem
from rota.domain.policy_job import PolicyJob, PolicyRunRequest
from rota.ports.job_store import CreatedJob

READ = Access("policy_jobs", "read")
ONE = "/policy/runs/{policy_job_id}"
AGAIN_ERRORS = ("QUOTA_EXCEEDED", "STATE_CONFLICT")


@endpoint(
    "POST",
    "/policy/runs",
    Access("policy_jobs", "create"),
    body=PolicyRunRequest,
    body_bytes_max=JOB_BODY_BYTES_MAX,
    answers=(PolicyJob,),
    status=201,
    takes_key=True,
    errors=("IDEMPOTENCY_MISMATCH", *AGAIN_ERRORS),
    example={
        "policy_id": "P-7",
        "policy_version": "3",
        "mode": "full",
        "rules": RULES_EXAMPLE,
        "graph_job_id": "01990000-0000-7000-8000-000000000000",
        "overlay_job_ids": [],
    },
)
async def run_policy(call: Call[PolicyRunRequest, Nothing]) -> Answer:
    """Judge rules over a graph and its overlays; the same key again answers the same job."""
    request = with_header_key(call.body, call.idempotency_key)
    return await _made(call, await call.services.policy_jobs.run(call.actor, request))


@endpoint("GET", "/policy/runs", READ, query=PolicyJobQuery, answers=(PageBody[PolicyJob],))
async def list_policy_jobs(call: Call[Nothing, PolicyJobQuery]) -> Answer:
    """List policy jobs, newest first."""
    page = await call.services.ports.policy_jobs.page(call.tenant_id, call.query.filter(), call.query.request())
    return Answer(page_body(page.items, page))


@endpoint("GET", "/graphs/jobs/{graph_job_id}/policies/{policy_id}", READ, answers=(PolicyJob,))
async def get_effective_policy_job(call: Call[Nothing, Nothing]) -> Answer:
    """Read the last judgement that holds for a graph and a policy; a simulation never does."""
    policy_id, graph_job_id = call.path["policy_id"], JobId(call.path["graph_job_id"])
    return Answer(await call.services.ports.policy_jobs.effective(call.tenant_id, policy_id, graph_job_id))


@endpoint("GET", ONE, READ, answers=(PolicyJob,))
async def get_policy_job(call: Call[Nothing, Nothing]) -> Answer:
    """Read a policy job."""
    return Answer(await call.services.ports.policy_jobs.get(call.tenant_id, _id(call)))


@endpoint("GET", f"{ONE}/items", READ, query=ItemQuery, answers=(PageBody[StoredItem],))
async def list_policy_items(call: Call[Nothing, ItemQuery]) -> Answer:
    """List the verdicts of a judgement, or the changes that a simulation would make; none before it has succeeded."""
    request = call.query.request()
    page = await call.services.ports.policy_jobs.items(call.tenant_id, _id(call), call.query.part, request)
    return Answer(page_body(page.items, page))


@endpoint("POST", f"{ONE}/cancel", Access("policy_jobs", "cancel"), answers=(PolicyJob,), errors=("STATE_CONFLICT",))
async def cancel_policy_job(call: Call[Nothing, Nothing]) -> Answer:
    """Cancel a policy job: its run is cancelled, and the job follows within moments."""
    return Answer(await call.services.policy_jobs.cancel(call.actor, _id(call)))


@endpoint("POST", f"{ONE}/retry", Access("policy_jobs", "retry"), answers=(PolicyJob,), status=201, errors=AGAIN_ERRORS)
async def retry_policy_job(call: Call[Nothing, Nothing]) -> Answer:
    """Do an ended policy job again, as a new one whose `retry_of` names it."""
    return await _made(call, await call.services.policy_jobs.retry(call.actor, _id(call)))


@endpoint(
    "POST", f"{ONE}/replay", Access("policy_jobs", "replay"), answers=(PolicyJob,), status=201, errors=AGAIN_ERRORS
)
async def replay_policy_job(call: Call[Nothing, Nothing]) -> Answer:
    """Judge again from the same documents, as a new job whose `replay_of` names the old; it says whether they match."""
    return await _made(call, await call.services.policy_jobs.replay(call.actor, _id(call)))


@endpoint(
    "POST",
    f"{ONE}/replay-pending",
    Access("policy_jobs", "replay"),
    body=ReplayMark,
    answers=(PolicyJob,),
    errors=("STATE_CONFLICT",),
    example={"reason": "new advisories"},
)
async def mark_policy_replay(call: Call[ReplayMark, Nothing]) -> Answer:
    """Mark a judgement to be made again; `replay_pending=true` lists them, and a replay takes the mark off."""
    return Answer(await call.services.policy_jobs.mark_replay(call.actor, _id(call), call.body.reason))


async def _made(call: Call[Any, Any], made: CreatedJob) -> Answer:
    job = await call.services.ports.policy_jobs.get(call.tenant_id, made.job_id)
    return Answer(job, 201, {"Location": f"/api/v1/policy/runs/{job.id}"})


def _id(call: Call[Any, Any]) -> JobId:
    return JobId(call.path["policy_job_id"])


ENDPOINTS: tuple[Endpoint, ...] = (
    run_policy,
    list_policy_jobs,
    get_effective_policy_job,
    get_policy_job,
    list_policy_items,
    cancel_policy_job,
    retry_policy_job,
    replay_policy_job,
    mark_policy_replay,
)
