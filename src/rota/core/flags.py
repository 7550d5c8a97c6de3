"""What settings of flags come to. Pure."""

from collections.abc import Sequence

from rota.domain.flag import FlagSetting


def off_words(settings: Sequence[FlagSetting], name: str) -> str | None:
    """Why the flag is off, by what is set for one tenant and for all; None where it is on. The platform comes first."""
    off = sorted((one for one in settings if one.name == name and not one.enabled), key=lambda one: one.tenant_id or "")
    if not off:
        return None
    whose = "for all tenants" if off[0].tenant_id is None else "for the tenant"
    return f"the flag {name} is off {whose}" + (f": {off[0].reason}" if off[0].reason else "")
