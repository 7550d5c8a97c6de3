"""The events that one step of a trigger tells, for every store alike: one of a kind, whatever number it covers."""

from collections.abc import Mapping

from rota.domain.event import EventDraft
from rota.domain.firing import TriggerAdvance

REASONS_TOLD_MAX = 5

OVERLAP_CANCEL_REASON = "cancelled by its schedule's overlap policy: a newer firing took its place"


def firing_events(advance: TriggerAdvance) -> tuple[EventDraft, ...]:
    """FireSkipped where nominal times were decided not to run, FireLate where runs were fired late."""
    events: list[EventDraft] = []
    if advance.skipped or advance.dropped_count:
        reasons = sorted({skipped.reason for skipped in advance.skipped})[:REASONS_TOLD_MAX]
        counts = {"skipped_count": len(advance.skipped), "dropped_count": advance.dropped_count}
        events.append(_event("FireSkipped", advance, counts | {"reasons": reasons}))
    if advance.late_count:
        events.append(_event("FireLate", advance, {"late_count": advance.late_count}))
    return tuple(events)


def _event(event_type: str, advance: TriggerAdvance, facts: Mapping[str, object]) -> EventDraft:
    data = {"trigger_id": advance.trigger_before.id, "fired_through": advance.fired_through, **facts}
    return EventDraft(event_type, advance.tenant_id, advance.schedule_id, "schedule", data)
