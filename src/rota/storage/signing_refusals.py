"""What the stores of signing secrets answer alike: refusals, and the facts that they record."""

from rota.domain.errors import DomainError
from rota.domain.event import EventDraft
from rota.domain.signing import LIVE_PER_NAME_MAX, LIVE_PER_TENANT_MAX, SigningSecret
from rota.domain.tenancy import AuditEntry


def refuse_beyond_bounds(name: str, of_name_count: int, of_tenant_count: int) -> None:
    """Raises STATE_CONFLICT or QUOTA_EXCEEDED where one more live secret would be too many."""
    if of_name_count >= LIVE_PER_NAME_MAX:
        detail = f"{of_name_count} secrets named {name!r} are live, the most there may be; retire the older one first"
        raise DomainError("STATE_CONFLICT", detail)
    if of_tenant_count >= LIVE_PER_TENANT_MAX:
        raise DomainError("QUOTA_EXCEEDED", f"a tenant may have {LIVE_PER_TENANT_MAX} live signing secrets")


def secret_event(event_type: str, secret: SigningSecret, audit: AuditEntry) -> EventDraft:
    return EventDraft(event_type, secret.tenant_id, secret.id, audit.actor, {"name": secret.name})
