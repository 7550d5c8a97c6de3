"""Flags: what is switched off for a tenant or for all, and switching."""

from msgspec import Struct

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.domain.flag import FlagChange
from rota.services.flag_verbs import Flag, PlatformFlag

EXAMPLE = {"enabled": False, "reason": "the warehouse is being moved"}


class FlagsView(Struct, frozen=True):
    """Every flag that there is; what the platform switched off is off for every tenant."""

    items: tuple[Flag, ...]


class PlatformFlagsView(Struct, frozen=True):
    """Every flag that there is, as it is for all tenants, and who switched it off for themselves."""

    items: tuple[PlatformFlag, ...]


@endpoint("GET", "/platform/flags", Access("platform_flags", "read"), answers=(PlatformFlagsView,))
async def list_platform_flags(call: Call[Nothing, Nothing]) -> Answer:
    """List flags as they are for all tenants, and which tenants switched them off for themselves."""
    return Answer(PlatformFlagsView(await call.services.flags.of_platform()))


@endpoint("GET", "/flags", Access("flags", "read"), answers=(FlagsView,))
async def list_flags(call: Call[Nothing, Nothing]) -> Answer:
    """List flags as they are for the tenant."""
    return Answer(FlagsView(await call.services.flags.of_tenant(call.tenant_id)))


@endpoint(
    "PUT",
    "/flags/{flag_name}",
    Access("flags", "change"),
    body=FlagChange,
    answers=(Flag,),
    errors=("STATE_CONFLICT",),
    example=EXAMPLE,
)
async def change_flag(call: Call[FlagChange, Nothing]) -> Answer:
    """Switch a flag of the tenant; off is in force when this is answered."""
    return Answer(await call.services.flags.change(call.actor, call.tenant_id, call.path["flag_name"], call.body))


@endpoint(
    "PUT",
    "/platform/flags/{flag_name}",
    Access("platform_flags", "change"),
    body=FlagChange,
    answers=(Flag,),
    example=EXAMPLE,
)
async def change_platform_flag(call: Call[FlagChange, Nothing]) -> Answer:
    """Switch a flag for all tenants; off is in force when this is answered."""
    return Answer(await call.services.flags.change(call.actor, None, call.path["flag_name"], call.body))


ENDPOINTS: tuple[Endpoint, ...] = (list_flags, change_flag, list_platform_flags, change_platform_flag)
