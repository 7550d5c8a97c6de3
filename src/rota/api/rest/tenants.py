"""Tenants: the platform's business. Anybody else who names one that is not their own is refused without a look-up."""

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.api.rest.page_wire import PageBody, PageQuery, page_body
from rota.domain.ids import TenantId
from rota.domain.tenancy import Tenant
from rota.services.tenant_verbs import TenantPatch, TenantRequest

READ = Access("tenants", "read")
ONE = "/tenants/{tenant_id}"
EXAMPLE = {"id": "initech", "name": "Initech Inc."}


@endpoint(
    "POST",
    "/tenants",
    Access("tenants", "create"),
    body=TenantRequest,
    answers=(Tenant,),
    status=201,
    errors=("NAME_TAKEN",),
    example=EXAMPLE,
)
async def create_tenant(call: Call[TenantRequest, Nothing]) -> Answer:
    """Create a tenant."""
    tenant = await call.services.tenants.create_tenant(call.actor, call.body)
    return Answer(tenant, 201)


@endpoint("GET", "/tenants", READ, query=PageQuery, answers=(PageBody[Tenant],))
async def list_tenants(call: Call[Nothing, PageQuery]) -> Answer:
    """List tenants by id."""
    page = await call.services.ports.tenants.page(call.query.request())
    return Answer(page_body(page.items, page))


@endpoint("GET", ONE, READ, answers=(Tenant,))
async def get_tenant(call: Call[Nothing, Nothing]) -> Answer:
    """Read a tenant."""
    return Answer(await call.services.ports.tenants.get(TenantId(call.path["tenant_id"])))


@endpoint(
    "PATCH",
    ONE,
    Access("tenants", "change"),
    body=TenantPatch,
    answers=(Tenant,),
    example={"weight": 10},
)
async def weigh_tenant(call: Call[TenantPatch, Nothing]) -> Answer:
    """Change a tenant's share of what workers pick up."""
    return Answer(await call.services.tenants.weigh_tenant(call.actor, TenantId(call.path["tenant_id"]), call.body))


@endpoint("POST", f"{ONE}/revoke", Access("tenants", "revoke"), answers=(Tenant,), errors=("STATE_CONFLICT",))
async def revoke_tenant(call: Call[Nothing, Nothing]) -> Answer:
    """Close a tenant: its tokens stop working, its schedules stop firing, nothing is deleted."""
    return Answer(await call.services.tenants.revoke_tenant(call.actor, TenantId(call.path["tenant_id"])))


ENDPOINTS: tuple[Endpoint, ...] = (create_tenant, list_tenants, get_tenant, weigh_tenant, revoke_tenant)
