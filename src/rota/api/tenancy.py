"""Which tenant a request acts on, decided from the token alone (design law 11).

The tenant is the token's. A platform_admin names another by the header `X-Rota-Tenant`; for everybody else, naming one
that is not their own, wherever it stands, is TENANT_FORBIDDEN without a look-up: the answer never tells whether that
tenant exists.
"""

from rota.domain.errors import DomainError
from rota.domain.ids import TenantId
from rota.domain.tenancy import Principal, is_canonical_tenant_id

TENANT_HEADER = "X-Rota-Tenant"


def acting_tenant(principal: Principal, named_by_header: str | None) -> TenantId:
    """The tenant acted on. Raises TENANT_FORBIDDEN."""
    if named_by_header is None or named_by_header == principal.tenant_id:
        return principal.tenant_id
    if principal.role != "platform_admin" or not is_canonical_tenant_id(named_by_header):
        raise DomainError("TENANT_FORBIDDEN", f"the header {TENANT_HEADER} names a tenant that is not the token's")
    return TenantId(named_by_header)


def refuse_other_tenant(acting: TenantId, named: object, where: str) -> None:
    """A tenant named in a query or a body must be the one acted on; `where` says where it stood."""
    if named != acting:
        raise DomainError(
            "TENANT_FORBIDDEN",
            f"{where} names a tenant that is not acted on; only a platform_admin may name another, by {TENANT_HEADER}",
        )
