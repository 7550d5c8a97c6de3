"""Flags: audited switches over what the leader does, of the whole platform or of one tenant.

Off means recorded but not acted on: what comes due is written down as skipped, with the flag as its reason. A flag is
on unless somebody switched it off; what the platform switched off is off for every tenant.
"""

from datetime import datetime

from msgspec import Struct

from rota.domain.ids import TenantId

FIRING = "firing"
FLAGS: dict[str, str] = {
    FIRING: "due times become runs; off: they are recorded as skipped, and backfills wait",
}


class FlagSetting(Struct, frozen=True):
    """What somebody set, for a tenant or (`tenant_id` None) for all."""

    name: str
    tenant_id: TenantId | None
    enabled: bool
    reason: str
    changed_at: datetime
    changed_by: str


class FlagChange(Struct, frozen=True, forbid_unknown_fields=True):
    """`reason` is kept with the flag and shown wherever it is off."""

    enabled: bool
    reason: str = ""
