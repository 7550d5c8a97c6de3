"""Limits of queues and tenants: the platform's business."""

from msgspec import Struct

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.api.rest.page_wire import PageBody, PageQuery, page_body
from rota.core.waiting import limit_words
from rota.domain.limit import Limit, LimitKind, LimitState
from rota.services.limit_verbs import LimitDraft

READ = Access("limits", "read")
CHANGE = Access("limits", "change")
DELETE = Access("limits", "delete")
OF_QUEUE = "/limits/queues/{queue_name}"
OF_TENANT = "/limits/tenants/{tenant_id}"
QUEUE_EXAMPLE = {"concurrency_max": 5, "rate_per_second": 10.0}


class LimitView(Struct, frozen=True):
    """A limit, how many runs are running under it, how many more may begin now, and what the others wait for."""

    kind: LimitKind
    name: str
    version: int
    concurrency_max: int | None
    rate_per_second: float | None
    burst: int | None
    running_count: int
    room: int
    waiting_for: str | None


@endpoint("GET", "/limits", READ, query=PageQuery, answers=(PageBody[LimitView],))
async def list_limits(call: Call[Nothing, PageQuery]) -> Answer:
    """List limits by kind and name."""
    page = await call.services.ports.limits.page(call.query.request())
    return Answer(page_body(tuple(limit_view(state) for state in page.items), page))


@endpoint("GET", OF_QUEUE, READ, answers=(LimitView,))
async def get_queue_limit(call: Call[Nothing, Nothing]) -> Answer:
    """Read the limit of a queue, with what runs under it."""
    return Answer(limit_view(await call.services.ports.limits.get("queue", call.path["queue_name"])))


@endpoint("GET", OF_TENANT, READ, answers=(LimitView,))
async def get_tenant_limit(call: Call[Nothing, Nothing]) -> Answer:
    """Read the limit of a tenant, with what runs under it."""
    return Answer(limit_view(await call.services.ports.limits.get("tenant", call.path["tenant_id"])))


@endpoint("PUT", OF_QUEUE, CHANGE, body=LimitDraft, answers=(Limit,), example=QUEUE_EXAMPLE)
async def put_queue_limit(call: Call[LimitDraft, Nothing]) -> Answer:
    """Set or replace the limit of a queue; what runs already counts, and is not ended."""
    return Answer(await call.services.limits.put_limit(call.actor, "queue", call.path["queue_name"], call.body))


@endpoint("PUT", OF_TENANT, CHANGE, body=LimitDraft, answers=(Limit,), example={"concurrency_max": 100})
async def put_tenant_limit(call: Call[LimitDraft, Nothing]) -> Answer:
    """Set or replace the limit of a tenant; what runs already counts, and is not ended."""
    return Answer(await call.services.limits.put_limit(call.actor, "tenant", call.path["tenant_id"], call.body))


@endpoint("DELETE", OF_QUEUE, DELETE, answers=(Limit,))
async def remove_queue_limit(call: Call[Nothing, Nothing]) -> Answer:
    """Remove the limit of a queue."""
    return Answer(await call.services.limits.remove_limit(call.actor, "queue", call.path["queue_name"]))


@endpoint("DELETE", OF_TENANT, DELETE, answers=(Limit,))
async def remove_tenant_limit(call: Call[Nothing, Nothing]) -> Answer:
    """Remove the limit of a tenant."""
    return Answer(await call.services.limits.remove_limit(call.actor, "tenant", call.path["tenant_id"]))


def limit_view(state: LimitState) -> LimitView:
    """With what a run of its owner waits for, where none may begin."""
    limit, running = state.limit, state.running_count
    waiting_for: str | None = None
    if not state.room:
        said = limit_words(running, limit.concurrency_max, limit.rate_per_second)
        waiting_for = f"limit of the {limit.kind} {limit.name}: {said}"
    return LimitView(
        limit.kind,
        limit.name,
        limit.version,
        limit.concurrency_max,
        limit.rate_per_second,
        limit.burst,
        running,
        state.room,
        waiting_for,
    )


ENDPOINTS: tuple[Endpoint, ...] = (
    list_limits,
    get_queue_limit,
    get_tenant_limit,
    put_queue_limit,
    put_tenant_limit,
    remove_queue_limit,
    remove_tenant_limit,
)
