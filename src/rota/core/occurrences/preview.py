"""What is to come, for people: the next fires, and between them each skip with its reason."""

from datetime import datetime
from typing import Final

from msgspec import Struct

from rota.core.occurrences.calendars import SkippingSource
from rota.core.occurrences.compiled import Occurrences
from rota.core.occurrences.explaining import clock_note, clock_skips
from rota.core.occurrences.instants import DAY_US, HORIZON_US, SECOND_US, date_of, to_datetime, to_microseconds
from rota.core.occurrences.moving import CalendarSource
from rota.core.occurrences.sources import CronSource

PREVIEW_FIRES_MAX: Final = 1_000
SKIPS_BETWEEN_FIRES_MAX: Final = 400
HOURS_EXPLAINED_MAX: Final = 1_000
SILENCE_EXPLAINED_US: Final = 366 * 5 * DAY_US
"""Where nothing is to come, skips are still looked for this far ahead."""


class PreviewItem(Struct, frozen=True):
    """A fire, or (`fires` false) the instant of a skip; `note` says why, and is None for an ordinary fire.

    Several skips with one reason are one item: all that one clock change or one excluded day keeps from firing.
    """

    fire_at: datetime
    fires: bool
    note: str | None = None


def preview(occurrences: Occurrences, after: datetime, limit: int, *, fires_done: int = 0) -> list[PreviewItem]:
    """The next `limit` fires after an aware instant, with the skips between them, in order of time.

    `fires_done` counts against the trigger's `fires_max`. At most `PREVIEW_FIRES_MAX` fires are given.
    """
    limit = min(limit, PREVIEW_FIRES_MAX)
    if occurrences.fires_max is not None:
        limit = min(limit, occurrences.fires_max - fires_done)
    items: list[PreviewItem] = []
    cursor = to_microseconds(after)
    for _ in range(limit):
        fire = occurrences.next_us(cursor)
        silent_until = min(cursor + SILENCE_EXPLAINED_US, HORIZON_US - 1)
        items += _skips(occurrences, cursor, silent_until if fire is None else fire)
        if fire is None:
            break
        items.append(PreviewItem(to_datetime(fire), fires=True, note=_note(occurrences, fire)))
        cursor = fire
    return items


def _skips(occurrences: Occurrences, after_us: int, until_us: int) -> list[PreviewItem]:
    """The skips with after < instant <= until that lie within the trigger's bounds."""
    skips: list[tuple[int, str]] = []
    if isinstance(occurrences.raw, CronSource):
        for at, note in clock_skips(occurrences.raw, after_us // SECOND_US, until_us // SECOND_US):
            skips.append((at * SECOND_US, note))
            if len(skips) == SKIPS_BETWEEN_FIRES_MAX:
                break
    if occurrences.calendar is not None:
        skips += _calendar_skips(occurrences.calendar, after_us, until_us)
        if occurrences.calendar.rule.has_hours:
            skips += _hour_skips(occurrences.calendar, after_us, until_us)
    inside = sorted(skip for skip in skips if occurrences.within_bounds(skip[0]))
    return [PreviewItem(to_datetime(at), fires=False, note=note) for at, note in inside[:SKIPS_BETWEEN_FIRES_MAX]]


def _calendar_skips(calendar: CalendarSource, after_us: int, until_us: int) -> list[tuple[int, str]]:
    """The first fire of each excluded day, with what excludes it."""
    skips: list[tuple[int, str]] = []
    fire = calendar.raw.next_us(after_us)
    while fire is not None and fire <= until_us and len(skips) < SKIPS_BETWEEN_FIRES_MAX:
        day = calendar.rule.day_of(fire)
        refusal = calendar.rule.refusal(day)
        if refusal is not None:
            skips.append((fire, f"{date_of(day).isoformat()}: {refusal}{_consequence(calendar, day)}"))
        fire = calendar.raw.next_us(calendar.rule.day_end_us(fire) - 1)
    return skips


def _hour_skips(calendar: CalendarSource, after_us: int, until_us: int) -> list[tuple[int, str]]:
    """The first fire of each stretch of excluded hours, on days that are not excluded."""
    skips: list[tuple[int, str]] = []
    fire = calendar.next_us(after_us)
    for _ in range(HOURS_EXPLAINED_MAX):
        if fire is None or fire > until_us:
            break
        refusal = calendar.rule.hour_refusal(fire)
        if refusal is not None:
            skips.append((fire, f"{date_of(calendar.rule.day_of(fire)).isoformat()}: {refusal}; not fired"))
        fire = calendar.next_us(calendar.rule.hours_change_us(fire) - 1)
    return skips


def _consequence(calendar: CalendarSource, day: int) -> str:
    landing = calendar.landing_of(day)
    return "; not fired" if landing is None else f"; fires on {date_of(landing).isoformat()} instead"


def _note(occurrences: Occurrences, fire_us: int) -> str | None:
    if occurrences.calendar is not None and not isinstance(occurrences.calendar, SkippingSource):
        origin = occurrences.calendar.origin_day(fire_us)
        if origin is not None:
            refusal = occurrences.calendar.rule.refusal(origin)
            return f"moved from {date_of(origin).isoformat()}: {refusal}"
    if isinstance(occurrences.raw, CronSource):
        return clock_note(occurrences.raw, fire_us // SECOND_US)
    return None
