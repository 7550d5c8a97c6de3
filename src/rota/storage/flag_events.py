"""The event of a flag, the same words whichever store tells it."""

from rota.domain.event import EventDraft
from rota.domain.flag import FlagSetting


def flag_event(setting: FlagSetting) -> EventDraft:
    facts = {"enabled": setting.enabled, "reason": setting.reason}
    return EventDraft("FlagChanged", setting.tenant_id, setting.name, setting.changed_by, facts)
