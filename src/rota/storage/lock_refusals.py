"""What both stores of locks say alike: the refusal of one lock too many, and the facts that they record."""

from rota.domain.errors import DomainError
from rota.domain.event import EventDraft
from rota.domain.ids import TenantId
from rota.domain.lock import LOCKS_PER_TENANT_MAX, Lock


def quota_exceeded() -> DomainError:
    return DomainError(
        "QUOTA_EXCEEDED", f"{LOCKS_PER_TENANT_MAX} locks of this tenant are held, which is its limit; release some"
    )


def lock_lost(tenant_id: TenantId, name: str, lost: tuple[int, str], taken: tuple[int, str], actor: str) -> EventDraft:
    """`lost` and `taken` are the token and holder of before and of now."""
    data = {"token": lost[0], "holder": lost[1], "next_token": taken[0], "next_holder": taken[1]}
    return EventDraft("LockLost", tenant_id, name, actor, data)


def lock_broken(lock: Lock, actor: str) -> EventDraft:
    return EventDraft("LockBroken", lock.tenant_id, lock.name, actor, {"token": lock.token, "holder": lock.holder})
