"""Graph jobs of a tenant: a graph is built from a bill of materials, and overlaid with advisories."""

from typing import Any

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.api.rest.jobs_wire import (
    ADVISORY_EXAMPLE,
    BUILD_EXAMPLE,
    JOB_BODY_BYTES_MAX,
    GraphJobQuery,
    ItemQuery,
    with_header_key,
)
from rota.api.rest.page_wire import PageBody, PageQuery, page_body, whole_page
from rota.domain.graph_job import GraphBuildRequest, GraphJob, GraphOverlayRequest, JobEvent
from rota.domain.ids import JobId
from rota.domain.jobs import StoredItem
from rota.ports.job_store import CreatedJob

READ = Access("graph_jobs", "read")
CREATE = Access("graph_jobs", "create")
ONE = "/graphs/jobs/{graph_job_id}"
CREATE_ERRORS = ("IDEMPOTENCY_MISMATCH", "QUOTA_EXCEEDED", "STATE_CONFLICT")


@endpoint(
    "POST",
    "/graphs/build",
    CREATE,
    body=GraphBuildRequest,
    body_bytes_max=JOB_BODY_BYTES_MAX,
    answers=(GraphJob,),
    status=201,
    takes_key=True,
    errors=CREATE_ERRORS,
    example=BUILD_EXAMPLE,
)
async def build_graph(call: Call[GraphBuildRequest, Nothing]) -> Answer:
    """Build the graph of a CycloneDX document; the same key again answers the same job."""
    request = with_header_key(call.body, call.idempotency_key)
    return await _made(call, await call.services.graph_jobs.build(call.actor, request))


@endpoint(
    "POST",
    "/graphs/overlays",
    CREATE,
    body=GraphOverlayRequest,
    body_bytes_max=JOB_BODY_BYTES_MAX,
    answers=(GraphJob,),
    status=201,
    takes_key=True,
    errors=CREATE_ERRORS,
    example={"graph_job_id": "01990000-0000-7000-8000-000000000000", "advisories": [ADVISORY_EXAMPLE]},
)
async def overlay_graph(call: Call[GraphOverlayRequest, Nothing]) -> Answer:
    """Lay advisories over a graph that was built; the same key again answers the same job."""
    request = with_header_key(call.body, call.idempotency_key)
    return await _made(call, await call.services.graph_jobs.overlay(call.actor, request))


@endpoint("GET", "/graphs/jobs", READ, query=GraphJobQuery, answers=(PageBody[GraphJob],))
async def list_graph_jobs(call: Call[Nothing, GraphJobQuery]) -> Answer:
    """List graph jobs, newest first."""
    page = await call.services.ports.graph_jobs.page(call.tenant_id, call.query.filter(), call.query.request())
    return Answer(page_body(page.items, page))


@endpoint("GET", ONE, READ, answers=(GraphJob,))
async def get_graph_job(call: Call[Nothing, Nothing]) -> Answer:
    """Read a graph job."""
    return Answer(await call.services.ports.graph_jobs.get(call.tenant_id, _id(call)))


@endpoint("GET", f"{ONE}/items", READ, query=ItemQuery, answers=(PageBody[StoredItem],))
async def list_graph_items(call: Call[Nothing, ItemQuery]) -> Answer:
    """List the components, dependencies or findings that a graph job has made; none before it has succeeded."""
    request = call.query.request()
    page = await call.services.ports.graph_jobs.items(call.tenant_id, _id(call), call.query.part, request)
    return Answer(page_body(page.items, page))


@endpoint("GET", f"{ONE}/events", READ, query=PageQuery, answers=(PageBody[JobEvent],))
async def list_graph_job_events(call: Call[Nothing, PageQuery]) -> Answer:
    """List the states that a graph job came into, in order."""
    events = await call.services.ports.graph_jobs.events(call.tenant_id, _id(call))
    return Answer(whole_page(events, call.query))


@endpoint("POST", f"{ONE}/cancel", Access("graph_jobs", "cancel"), answers=(GraphJob,), errors=("STATE_CONFLICT",))
async def cancel_graph_job(call: Call[Nothing, Nothing]) -> Answer:
    """Cancel a graph job: its run is cancelled, and the job follows within moments."""
    return Answer(await call.services.graph_jobs.cancel(call.actor, _id(call)))


@endpoint(
    "POST",
    f"{ONE}/retry",
    Access("graph_jobs", "retry"),
    answers=(GraphJob,),
    status=201,
    errors=("QUOTA_EXCEEDED", "STATE_CONFLICT"),
)
async def retry_graph_job(call: Call[Nothing, Nothing]) -> Answer:
    """Do an ended graph job again, as a new one whose `retry_of` names it."""
    return await _made(call, await call.services.graph_jobs.retry(call.actor, _id(call)))


async def _made(call: Call[Any, Any], made: CreatedJob) -> Answer:
    job = await call.services.ports.graph_jobs.get(call.tenant_id, made.job_id)
    return Answer(job, 201, {"Location": f"/api/v1/graphs/jobs/{job.id}"})


def _id(call: Call[Any, Any]) -> JobId:
    return JobId(call.path["graph_job_id"])


ENDPOINTS: tuple[Endpoint, ...] = (
    build_graph,
    overlay_graph,
    list_graph_jobs,
    get_graph_job,
    list_graph_items,
    list_graph_job_events,
    cancel_graph_job,
    retry_graph_job,
)
