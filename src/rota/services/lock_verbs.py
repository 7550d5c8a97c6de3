"""The verbs on locks: validate, try or wait, and say in words why a lock is not the caller's."""

from hashlib import sha256

from msgspec import Struct

from rota.core.lock_rules import holder_problems, name_problems, ttl_problems, wait_problems
from rota.domain.errors import DomainError, invalid_input
from rota.domain.ids import TenantId
from rota.domain.lock import Acquisition, Lock, LockClaim, LockHold, LockToken
from rota.domain.problems import FieldProblem
from rota.ports.clock import Clock
from rota.ports.lock_store import LockStore
from rota.ports.wakeups import Wakeups
from rota.services.acting import Actor
from rota.services.lock_waiting import LockQueues

SESSION_HOLDER = "a database session"


class LockRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`holder` says who will hold the lock, for people. Without `wait_seconds` the answer comes at once."""

    holder: str
    ttl_seconds: float
    wait_seconds: float = 0.0


class LockRenewal(Struct, frozen=True, forbid_unknown_fields=True):
    """`holder`, where it is given, must be the one that acquired."""

    token: int
    ttl_seconds: float
    holder: str | None = None


class LockRelease(Struct, frozen=True, forbid_unknown_fields=True):
    """`holder`, where it is given, must be the one that acquired."""

    token: int
    holder: str | None = None


class LockVerbs:
    """One per process: its queues are where requests wait."""

    def __init__(self, locks: LockStore, wakeups: Wakeups, clock: Clock) -> None:
        self._locks = locks
        self._queues = LockQueues(wakeups, clock)

    async def acquire(self, actor: Actor, name: str, request: LockRequest, key: str | None) -> Lock:
        """Raises INVALID_INPUT, LOCK_HELD, QUOTA_EXCEEDED, RATE_LIMITED.

        A repetition with the same key and holder gives what the first one got, as long as that is held.
        """
        _refuse(
            [
                *name_problems(name),
                *holder_problems(request.holder),
                *ttl_problems(request.ttl_seconds),
                *wait_problems(request.wait_seconds),
            ]
        )
        tenant_id = actor.tenant_id
        claim = LockClaim(request.holder, request.ttl_seconds, _request_key(key, request.holder))

        async def attempt() -> Acquisition:
            return await self._locks.acquire_if_free(tenant_id, name, claim, actor.audit("acquire", "lock", name))

        if request.wait_seconds == 0:
            decided = await self._queues.attempt(tenant_id, attempt)
        else:
            decided = await self._queues.wait(tenant_id, name, attempt, request.wait_seconds)
        if decided is None or not decided.acquired:
            raise await self._held(tenant_id, name, decided)
        return decided.lock

    async def renew(self, actor: Actor, name: str, request: LockRenewal) -> Lock:
        """Raises INVALID_INPUT, LOCK_LOST, NOT_FOUND."""
        _refuse([*ttl_problems(request.ttl_seconds)])
        hold = LockHold(LockToken(request.token), request.holder)
        renewed = await self._locks.renew_if_held(actor.tenant_id, name, hold, request.ttl_seconds)
        if renewed is None:
            raise await self._lost(actor.tenant_id, name, request.token)
        return renewed

    async def release(self, actor: Actor, name: str, request: LockRelease) -> Lock:
        """Raises LOCK_LOST, NOT_FOUND."""
        hold = LockHold(LockToken(request.token), request.holder)
        audit = actor.audit("release", "lock", name)
        released = await self._locks.release_if_held(actor.tenant_id, name, hold, audit)
        if released is None:
            raise await self._lost(actor.tenant_id, name, request.token)
        self._queues.released(actor.tenant_id, name)
        return released

    async def break_hold(self, actor: Actor, name: str) -> Lock:
        """End whoever's hold; its token is worth nothing from then on. Raises STATE_CONFLICT, NOT_FOUND."""
        broken = await self._locks.break_if_held(actor.tenant_id, name, actor.audit("break", "lock", name))
        if broken is None:
            seen = await self._locks.get(actor.tenant_id, name)
            why = "held by a database session: end that one" if seen.held else "free already"
            raise DomainError("STATE_CONFLICT", f"lock {name!r} is {why}")
        self._queues.released(actor.tenant_id, name)
        return broken

    async def _held(self, tenant_id: TenantId, name: str, decided: Acquisition | None) -> DomainError:
        """Who holds it, as of the last look."""
        lock = await self._locks.get(tenant_id, name) if decided is None else decided.lock
        if decided is not None and decided.by_session:
            until = f"{SESSION_HOLDER}, until that ends or unlocks it"
        elif lock.expires_at is None:
            until = f"{lock.holder!r} until its database session ends"
        else:
            until = f"{lock.holder!r} until {lock.expires_at.isoformat()}, unless it renews"
        return DomainError("LOCK_HELD", f"lock {name!r} is held by {until}")

    async def _lost(self, tenant_id: TenantId, name: str, token: int) -> DomainError:
        """Raises NOT_FOUND where there is no such lock at all."""
        lock = await self._locks.get(tenant_id, name)
        if lock.token != token:
            why = f"its token is {lock.token} now"
        elif lock.released_at is not None:
            why = "it was released or broken"
        elif lock.expires_at is None:
            why = "a database session holds it, and ends it"
        elif lock.held:
            why = "another holder was named"
        else:
            why = f"its time ended at {lock.expires_at.isoformat()}"
        return DomainError("LOCK_LOST", f"token {token} no longer holds lock {name!r}: {why}")


def _refuse(problems: list[FieldProblem]) -> None:
    if problems:
        raise invalid_input(problems)


def _request_key(key: str | None, holder: str) -> str:
    return "" if key is None else sha256(f"{key}\0{holder}".encode()).hexdigest()
