"""The verbs on flags. Switching off is answered when nothing that was decided before can be written any more.

Who makes milestones or schedules of bindings shares the flag in the transaction that does so, and the switch waits for
it. Firing shares nothing, so that it costs nothing there. Its switch takes two transactions: the first stores the flag,
so that whoever reads due triggers after it knows of it. The second gives every schedule with a due trigger a new
version: what the leader read before the first were triggers that were due by then, so that its step is refused, or was
written before the second returned.
"""

from collections.abc import Sequence

from msgspec import Struct

from rota.domain.errors import invalid_input, not_found
from rota.domain.flag import FIRING, FLAGS, MILESTONES, FlagChange, FlagSetting, PlatformSetting
from rota.domain.ids import TenantId
from rota.domain.problems import FieldProblem
from rota.ports.flag_store import FlagStore
from rota.ports.wakeups import Wakeups
from rota.services.acting import Actor
from rota.services.milestone_generating import MILESTONES_TOPIC

REASON_CHARACTERS_MAX = 500


class Flag(Struct, frozen=True):
    """A flag as it is for a tenant; `tenant` and `platform` are what was set, null where nothing ever was."""

    name: str
    what: str
    enabled: bool
    tenant: FlagSetting | None
    platform: FlagSetting | None


class PlatformFlag(Struct, frozen=True):
    """A flag as it is for all: `enabled` unless the platform switched it off. Tenants may have, for themselves."""

    name: str
    what: str
    enabled: bool
    platform: FlagSetting | None
    tenants_off_count: int
    tenants_off: tuple[TenantId, ...]


class FlagVerbs:
    """Stateless; shared by every front door."""

    def __init__(self, flags: FlagStore, wakeups: Wakeups) -> None:
        self._flags = flags
        self._wakeups = wakeups

    async def of_platform(self) -> tuple[PlatformFlag, ...]:
        """Every flag that there is."""
        known = {one.name: one for one in await self._flags.platform()}
        return tuple(_platform_flag(known.get(name, PlatformSetting(name, None, 0, ()))) for name in FLAGS)

    async def of_tenant(self, tenant_id: TenantId) -> tuple[Flag, ...]:
        """Every flag that there is."""
        return flags_of(await self._flags.settings(tenant_id))

    async def change(self, actor: Actor, tenant_id: TenantId | None, name: str, change: FlagChange) -> Flag:
        """For one tenant, or (None) for all. Raises NOT_FOUND, INVALID_INPUT."""
        if name not in FLAGS:
            raise not_found("flag", name)
        if len(change.reason) > REASON_CHARACTERS_MAX or not all(one.isprintable() for one in change.reason):
            remedy = f"send one line of at most {REASON_CHARACTERS_MAX} printable characters"
            raise invalid_input([FieldProblem("reason", "is too long or not printable", remedy)])
        audit = actor.audit("switch_on" if change.enabled else "switch_off", "flag", name)
        await self._flags.change(tenant_id, name, change, audit)
        if name == FIRING and not change.enabled:
            await self._flags.refuse_planned(tenant_id)
        if name == MILESTONES:
            self._wakeups.announce(MILESTONES_TOPIC)
        return next(flag for flag in await self.of_tenant(actor.tenant_id) if flag.name == name)


def _platform_flag(one: PlatformSetting) -> PlatformFlag:
    return PlatformFlag(
        one.name, FLAGS[one.name], _is_on(one.platform), one.platform, one.tenants_off_count, one.tenants_off
    )


def flags_of(settings: Sequence[FlagSetting]) -> tuple[Flag, ...]:
    """Every flag, by what is set for one tenant and for all."""
    tenants = {one.name: one for one in settings if one.tenant_id is not None}
    platform = {one.name: one for one in settings if one.tenant_id is None}
    return tuple(
        Flag(
            name, what, _is_on(tenants.get(name)) and _is_on(platform.get(name)), tenants.get(name), platform.get(name)
        )
        for name, what in FLAGS.items()
    )


def _is_on(setting: FlagSetting | None) -> bool:
    return setting is None or setting.enabled
