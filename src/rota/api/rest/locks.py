"""Locks of a tenant: acquire, renew and release under a token; an administrator may break one.

A lock is named by its tenant, so that a name is never another tenant's lock.
"""

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.api.rest.locks_wire import ACQUIRE_EXAMPLE, RELEASE_EXAMPLE, RENEW_EXAMPLE, LockQuery
from rota.api.rest.page_wire import PageBody, page_body
from rota.domain.lock import Lock
from rota.services.lock_verbs import LockRelease, LockRenewal, LockRequest

READ = Access("locks", "read")
ONE = "/locks/{lock_name}"


@endpoint(
    "POST",
    f"{ONE}/acquire",
    Access("locks", "acquire"),
    body=LockRequest,
    answers=(Lock,),
    takes_key=True,
    errors=("LOCK_HELD", "QUOTA_EXCEEDED", "STATE_CONFLICT"),
    example=ACQUIRE_EXAMPLE,
)
async def acquire_lock(call: Call[LockRequest, Nothing]) -> Answer:
    """Take a lock under a new fencing token, waiting for it up to 30 seconds."""
    name = call.path["lock_name"]
    return Answer(await call.services.locks.acquire(call.actor, name, call.body, call.idempotency_key))


@endpoint("GET", "/locks", READ, query=LockQuery, answers=(PageBody[Lock],))
async def list_locks(call: Call[Nothing, LockQuery]) -> Answer:
    """List locks by name."""
    page = await call.services.ports.locks.page(call.tenant_id, call.query.held, call.query.request())
    return Answer(page_body(page.items, page))


@endpoint("GET", ONE, READ, answers=(Lock,))
async def get_lock(call: Call[Nothing, Nothing]) -> Answer:
    """Read a lock: who holds it, or held it last."""
    return Answer(await call.services.ports.locks.get(call.tenant_id, call.path["lock_name"]))


@endpoint(
    "POST",
    f"{ONE}/renew",
    Access("locks", "renew"),
    body=LockRenewal,
    answers=(Lock,),
    errors=("LOCK_LOST",),
    example=RENEW_EXAMPLE,
)
async def renew_lock(call: Call[LockRenewal, Nothing]) -> Answer:
    """Hold a lock for `ttl_seconds` from now."""
    return Answer(await call.services.locks.renew(call.actor, call.path["lock_name"], call.body))


@endpoint(
    "POST",
    f"{ONE}/release",
    Access("locks", "release"),
    body=LockRelease,
    answers=(Lock,),
    errors=("LOCK_LOST",),
    example=RELEASE_EXAMPLE,
)
async def release_lock(call: Call[LockRelease, Nothing]) -> Answer:
    """Give a lock back; the next in line has it at once."""
    return Answer(await call.services.locks.release(call.actor, call.path["lock_name"], call.body))


@endpoint("POST", f"{ONE}/break", Access("locks", "break"), answers=(Lock,), errors=("STATE_CONFLICT",))
async def break_lock(call: Call[Nothing, Nothing]) -> Answer:
    """End a hold without its token; what still carries the token must be refused by what the lock protects."""
    return Answer(await call.services.locks.break_hold(call.actor, call.path["lock_name"]))


ENDPOINTS: tuple[Endpoint, ...] = (acquire_lock, list_locks, get_lock, renew_lock, release_lock, break_lock)
