"""Who acts, for which tenant, in which request: what every verb needs to record a change under the right name."""

from msgspec import Struct

from rota.domain.event import EventDraft
from rota.domain.ids import TenantId, TokenId
from rota.domain.tenancy import AuditEntry, Role


class Actor(Struct, frozen=True):
    """`tenant_id` is the tenant acted on: the token's own, or the one that a platform_admin named."""

    tenant_id: TenantId
    name: str
    token_id: TokenId
    role: Role
    request_id: str = ""

    def audit(self, verb: str, resource: str, resource_id: str) -> AuditEntry:
        """Names are free text and may repeat, so the token's id stands beside it."""
        return AuditEntry(f"{self.name} (token {self.token_id})", verb, resource, resource_id, self.request_id)

    def event(self, type: str, subject: str, **data: object) -> EventDraft:
        return EventDraft(type, self.tenant_id, subject, self.name, dict(data))
