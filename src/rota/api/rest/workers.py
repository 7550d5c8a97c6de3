"""Workers: the platform's own, seen by a platform_admin."""

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.api.rest.page_wire import PageBody, PageQuery, whole_page
from rota.domain.errors import not_found
from rota.domain.worker import Worker

WORKERS_SHOWN_MAX = 5_000
READ = Access("workers", "read")


@endpoint("GET", "/workers", READ, query=PageQuery, answers=(PageBody[Worker],))
async def list_workers(call: Call[Nothing, PageQuery]) -> Answer:
    """List workers, live ones first, then the latest to leave."""
    return Answer(whole_page(await call.services.ports.workers.list_recent(WORKERS_SHOWN_MAX), call.query))


@endpoint("GET", "/workers/{worker_id}", READ, answers=(Worker,))
async def get_worker(call: Call[Nothing, Nothing]) -> Answer:
    """Read a worker."""
    worker_id = call.path["worker_id"]
    for worker in await call.services.ports.workers.list_recent(WORKERS_SHOWN_MAX):
        if worker.id == worker_id:
            return Answer(worker)
    raise not_found("worker", worker_id)


ENDPOINTS: tuple[Endpoint, ...] = (list_workers, get_worker)
