"""Who acts, for which tenant, in which request: what every verb needs to record a change under the right name."""

from msgspec import Struct

from rota.domain.ids import TenantId, TokenId
from rota.domain.tenancy import AuditEntry, Role

TOKEN_ID_TAIL = 8


class Actor(Struct, frozen=True):
    """`tenant_id` is the tenant acted on: the token's own, or the one that a platform_admin named."""

    tenant_id: TenantId
    name: str
    token_id: TokenId
    role: Role
    request_id: str = ""

    @property
    def label(self) -> str:
        """How it is written wherever somebody asks who did it: names are free text and may repeat, tokens do not."""
        return f"{self.name} #{self.token_id[-TOKEN_ID_TAIL:]}"

    def audit(self, verb: str, resource: str, resource_id: str) -> AuditEntry:
        return AuditEntry(self.label, verb, resource, resource_id, self.request_id)
