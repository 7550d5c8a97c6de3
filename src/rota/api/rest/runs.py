"""Runs: enqueue one or many, read, cancel, retry, and their attempts."""

from typing import Any

from rota.api.authz import Access
from rota.api.rest.endpoint import BULK_BODY_BYTES_MAX, Answer, Call, Endpoint, Nothing, endpoint
from rota.api.rest.page_wire import PageBody, PageQuery, page_body, whole_page
from rota.api.rest.runs_wire import (
    RUN_EXAMPLE,
    RunDetail,
    RunQuery,
    RunRequest,
    RunsEnqueued,
    RunView,
    draft_of,
    in_the_callers_words,
    run_detail,
    run_view,
    with_header_key,
)
from rota.domain.dependencies import Dependencies
from rota.domain.errors import DomainError, invalid_input
from rota.domain.ids import RunId
from rota.domain.problems import FieldProblem
from rota.domain.run import Attempt, RunDraft
from rota.services.acting import Actor
from rota.services.run_waiting import reasons_of

READ = Access("runs", "read")
ONE = "/runs/{run_id}"


def _id(call: Call[Any, Any]) -> RunId:
    return RunId(call.path["run_id"])


@endpoint(
    "POST",
    "/runs",
    Access("runs", "create"),
    body=RunRequest | list[RunRequest],
    body_bytes_max=BULK_BODY_BYTES_MAX,
    answers=(RunView, RunsEnqueued),
    status=201,
    takes_key=True,
    errors=("IDEMPOTENCY_MISMATCH", "STATE_CONFLICT"),
    example=RUN_EXAMPLE,
)
async def create_run(call: Call[RunRequest | list[RunRequest], Nothing]) -> Answer:
    """Enqueue a run, or up to 10,000 by a list (all or none)."""
    try:
        if isinstance(call.body, list):
            return await _enqueue_many(call, call.body)
        return await _enqueue_one(call, call.body)
    except DomainError as refused:
        raise in_the_callers_words(refused) from refused


async def _enqueue_one(call: Call[Any, Any], request: RunRequest) -> Answer:
    draft = draft_of(with_header_key(request, call.idempotency_key), call.actor)
    (enqueued,) = await call.services.runs.enqueue(call.actor, (draft,))
    run = await call.services.runs.made(call.actor, enqueued)
    return Answer(run_view(run), 201 if enqueued.created else 200, {"Location": f"/api/v1/runs/{run.id}"})


async def _enqueue_many(call: Call[Any, Any], requests: list[RunRequest]) -> Answer:
    if call.idempotency_key is not None:
        problem = "is one key for many runs"
        raise invalid_input([FieldProblem("Idempotency-Key", problem, "give each run its own idempotency_key")])
    drafts = [_placed_draft(place, request, call.actor) for place, request in enumerate(requests)]
    enqueued = await call.services.runs.enqueue(call.actor, drafts)
    return Answer(RunsEnqueued(enqueued, sum(one.created for one in enqueued)), 201)


def _placed_draft(place: int, request: RunRequest, actor: Actor) -> RunDraft:
    try:
        return draft_of(request, actor)
    except DomainError as refused:
        raise invalid_input([problem.under(f"[{place}]") for problem in refused.problems]) from refused


@endpoint("GET", "/runs", READ, query=RunQuery, answers=(PageBody[RunView],))
async def list_runs(call: Call[Nothing, RunQuery]) -> Answer:
    """List runs, newest first."""
    page = await call.services.ports.run_reader.page(call.tenant_id, call.query.filter(), call.query.request())
    return Answer(page_body(tuple(run_view(one) for one in page.items), page))


@endpoint("GET", ONE, READ, answers=(RunDetail,))
async def get_run(call: Call[Nothing, Nothing]) -> Answer:
    """Read a run, and why it waits while it does."""
    run = await call.services.ports.run_reader.get(call.tenant_id, _id(call))
    return Answer(run_detail(run, await reasons_of(run, call.services.ports.waits)))


@endpoint("GET", f"{ONE}/attempts", READ, query=PageQuery, answers=(PageBody[Attempt],))
async def list_attempts(call: Call[Nothing, PageQuery]) -> Answer:
    """List the attempts of a run, oldest first; an open one is the last and has no outcome."""
    await call.services.ports.run_reader.get(call.tenant_id, _id(call))
    attempts = await call.services.ports.run_reader.attempts(call.tenant_id, _id(call))
    return Answer(whole_page(attempts, call.query))


@endpoint("GET", f"{ONE}/dependencies", READ, answers=(Dependencies,))
async def get_dependencies(call: Call[Nothing, Nothing]) -> Answer:
    """Read what a run waits for, and what waits for it, with their states."""
    return Answer(await call.services.ports.dependencies.of_run(call.tenant_id, _id(call)))


@endpoint("POST", f"{ONE}/cancel", Access("runs", "cancel"), answers=(RunView,), errors=("STATE_CONFLICT",))
async def cancel_run(call: Call[Nothing, Nothing]) -> Answer:
    """Cancel a run: a waiting one at once, a running one within seconds."""
    return Answer(run_view(await call.services.runs.cancel(call.actor, _id(call))))


@endpoint("POST", f"{ONE}/retry", Access("runs", "retry"), answers=(RunView,), status=201, errors=("STATE_CONFLICT",))
async def retry_run(call: Call[Nothing, Nothing]) -> Answer:
    """Run a finished run again, as a new run whose `retry_of` names it."""
    run = await call.services.runs.retry(call.actor, _id(call))
    return Answer(run_view(run), 201, {"Location": f"/api/v1/runs/{run.id}"})


@endpoint("POST", f"{ONE}/replay", Access("runs", "retry"), answers=(RunView,), errors=("STATE_CONFLICT",))
async def replay_run(call: Call[Nothing, Nothing]) -> Answer:
    """Run a dead-lettered run again, once: whoever asks later gets the run that was made first."""
    replayed = await call.services.runs.replay(call.actor, _id(call))
    run = await call.services.runs.made(call.actor, replayed)
    return Answer(run_view(run), headers={"Location": f"/api/v1/runs/{run.id}"})


ENDPOINTS: tuple[Endpoint, ...] = (
    create_run,
    list_runs,
    get_run,
    list_attempts,
    get_dependencies,
    cancel_run,
    retry_run,
    replay_run,
)
