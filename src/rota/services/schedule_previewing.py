"""When a schedule would fire: for a stored one and for a draft. Nothing is stored.

The work is done in a thread: twenty triggers looked at far ahead take a tenth of a second, which other requests do not
wait for.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct

from rota.core.calendar_rules import named_calendars, require_known_calendars
from rota.core.occurrences import Occurrences, PreviewItem, compile_trigger, preview
from rota.core.trigger_times import occurrences_of
from rota.core.validation import require_valid_draft
from rota.domain.calendar import calendar_names
from rota.domain.ids import ScheduleId
from rota.domain.schedule import Schedule, ScheduleDraft
from rota.ports.calendar_store import CalendarStore
from rota.ports.schedule_store import ScheduleStore
from rota.services.acting import Actor

DRAFT_HASH_KEY = "preview"


class TriggerPreview(Struct, frozen=True):
    """One line of a preview: which trigger, when, and whether it fires."""

    trigger: int
    item: PreviewItem


class SchedulePreviews:
    """Stateless; shared by every front door."""

    def __init__(self, schedules: ScheduleStore, calendars: CalendarStore) -> None:
        self._schedules = schedules
        self._calendars = calendars

    async def of_stored(
        self, actor: Actor, schedule_id: ScheduleId, after: datetime | None, limit: int
    ) -> tuple[TriggerPreview, ...]:
        """The next `limit` fires over all triggers, as if the schedule were not paused, with the skips between them."""
        schedule = await self._schedules.get(actor.tenant_id, schedule_id)
        return await asyncio.to_thread(_stored, schedule, after or await self._now(), limit)

    async def of_draft(
        self, actor: Actor, draft: ScheduleDraft, after: datetime | None, limit: int
    ) -> tuple[TriggerPreview, ...]:
        """The same for a schedule that is not stored. `H` is hashed over a stand-in for the id that it will get."""
        require_valid_draft(draft)
        names = {name for trigger in draft.triggers for name in calendar_names(trigger)}
        found = await self._calendars.find_named(actor.tenant_id, names) if names else ()
        calendars = {one.name: one for one in found}
        require_known_calendars(draft.triggers, calendars)
        now = await self._now()
        compiled = [
            compile_trigger(one, hash_key=DRAFT_HASH_KEY, anchor=now, calendars=named_calendars(one, calendars))
            for one in draft.triggers
        ]
        return await asyncio.to_thread(_drafted, compiled, after or now, limit)

    async def _now(self) -> datetime:
        return datetime.fromisoformat(await self._schedules.clock())


def _stored(schedule: Schedule, after: datetime, limit: int) -> tuple[TriggerPreview, ...]:
    return _first_fires(
        (
            TriggerPreview(place, item)
            for place, trigger in enumerate(schedule.triggers)
            for item in preview(occurrences_of(schedule.id, trigger), after, limit, fires_done=trigger.fires_count)
        ),
        limit,
    )


def _drafted(compiled: Sequence[Occurrences], after: datetime, limit: int) -> tuple[TriggerPreview, ...]:
    return _first_fires(
        (
            TriggerPreview(place, item)
            for place, occurrences in enumerate(compiled)
            for item in preview(occurrences, after, limit)
        ),
        limit,
    )


def _first_fires(found: Iterable[TriggerPreview], limit: int) -> tuple[TriggerPreview, ...]:
    """In order of time, up to the `limit`th fire; skips behind it belong to a later look."""
    chosen: list[TriggerPreview] = []
    fires = 0
    for one in sorted(found, key=lambda one: (one.item.fire_at, one.trigger)):
        chosen.append(one)
        fires += one.item.fires
        if fires == limit:
            break
    return tuple(chosen)
