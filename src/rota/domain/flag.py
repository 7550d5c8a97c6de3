"""Flags: audited switches over what the leader does, of the whole platform or of one tenant.

Off means recorded but not acted on: what comes due is written down as skipped, with the flag as its reason. A flag is
on unless somebody switched it off; what the platform switched off is off for every tenant.
"""

from datetime import datetime

from msgspec import Struct

from rota.domain.ids import TenantId

FIRING = "firing"
MILESTONES = "milestones"
RECONCILE = "reconcile"
FLAGS: dict[str, str] = {
    FIRING: "due times become runs; off: they are recorded as skipped, and backfills wait",
    MILESTONES: "milestones that are due are made; off: they are recorded as held, and made when it is on again",
    RECONCILE: "schedules of bindings are made and updated; off: it is told what would be done, and nothing is",
}
TENANTS_SHOWN_MAX = 100


class FlagSetting(Struct, frozen=True):
    """What somebody set, for a tenant or (`tenant_id` None) for all."""

    name: str
    tenant_id: TenantId | None
    enabled: bool
    reason: str
    changed_at: datetime
    changed_by: str


class PlatformSetting(Struct, frozen=True):
    """What is set of one flag for all tenants (None: nothing ever was), and by how many tenants it was switched off for
    themselves: the first hundred by name.
    """

    name: str
    platform: FlagSetting | None
    tenants_off_count: int
    tenants_off: tuple[TenantId, ...]


class FlagChange(Struct, frozen=True, forbid_unknown_fields=True):
    """`reason` is kept with the flag and shown wherever it is off."""

    enabled: bool
    reason: str = ""
