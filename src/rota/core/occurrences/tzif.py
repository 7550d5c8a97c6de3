"""Reading a compiled time zone (TZif, RFC 9636): when its offset changes, for ever.

A file lists its changes up to some year and ends with a rule, a POSIX TZ string, for all later ones. Both are turned
into one list of changes up to `HORIZON`, so that nothing after this module knows of rules.
"""

import re
from datetime import date
from struct import unpack_from
from typing import Final

from msgspec import Struct

from rota.core.occurrences.instants import (
    BEGINNING,
    DAY_SECONDS,
    EPOCH_ORDINAL,
    HORIZON,
    YEAR_LAST,
    date_of,
)
from rota.domain.errors import Bug

_HEADER: Final = ">4sc15x6I"
_HEADER_BYTES: Final = 44
_POSIX_RULE: Final = re.compile(
    r"(?:<[^>]+>|[A-Za-z]+)([-+0-9:]+)(?:(?:<[^>]+>|[A-Za-z]+)([-+0-9:]+)?,([^,/]+)(?:/([-+0-9:]+))?,([^,/]+)(?:/([-+0-9:]+))?)?"
)


class OffsetChange(Struct, frozen=True):
    """From the instant `at` (seconds) on, local time is UTC + `offset` seconds."""

    at: int
    offset: int


def read_offset_changes(tzif: bytes) -> tuple[OffsetChange, ...]:
    """All changes, the first of them at `BEGINNING`; neighbours differ in their offset."""
    listed, footer = _read_listed(tzif)
    last_at = listed[-1].at
    by_rule = [change for change in _changes_by_rule(footer, last_at) if change.at > last_at]
    return _without_repetition([*listed, *by_rule])


def _without_repetition(changes: list[OffsetChange]) -> tuple[OffsetChange, ...]:
    """A change of the name or of the daylight flag alone moves no clock."""
    kept = changes[:1]
    for change in changes[1:]:
        if change.offset != kept[-1].offset:
            kept.append(change)
    return tuple(kept)


def _read_listed(tzif: bytes) -> tuple[list[OffsetChange], str]:
    """The second data block, whose times have 64 bits, and the footer behind it."""
    magic, version, *_ = unpack_from(_HEADER, tzif)
    if magic != b"TZif" or version < b"2":
        raise Bug("the time zone data is not TZif of version 2 or later")
    start = _HEADER_BYTES + _block_bytes(tzif, 0, time_bytes=4)
    *_, times_count, types_count, _ = _counts(tzif, start)
    times_at = start + _HEADER_BYTES
    times: tuple[int, ...] = unpack_from(f">{times_count}q", tzif, times_at)
    type_indices: tuple[int, ...] = unpack_from(f">{times_count}B", tzif, times_at + 8 * times_count)
    types_at = times_at + 9 * times_count
    offsets = [_offset(tzif, types_at + 6 * number) for number in range(types_count)]
    changes = [OffsetChange(BEGINNING, offsets[0])]
    for at, index in zip(times, type_indices, strict=True):
        if at <= BEGINNING:
            changes.clear()
        changes.append(OffsetChange(max(at, BEGINNING), offsets[index]))
    end = times_at + _block_bytes(tzif, start, time_bytes=8)
    return changes, tzif[end:].decode("ascii").strip("\n")


def _offset(tzif: bytes, type_at: int) -> int:
    offset: int = unpack_from(">i", tzif, type_at)[0]
    return offset


def _counts(tzif: bytes, header_at: int) -> tuple[int, ...]:
    """UT indicators, standard indicators, leap seconds, times, types, name characters."""
    return unpack_from(_HEADER, tzif, header_at)[2:]


def _block_bytes(tzif: bytes, header_at: int, *, time_bytes: int) -> int:
    ut, standard, leaps, times, types, characters = _counts(tzif, header_at)
    return times * (time_bytes + 1) + types * 6 + characters + leaps * (time_bytes + 4) + standard + ut


def _changes_by_rule(footer: str, after: int) -> list[OffsetChange]:
    """The changes of the years from the one of `after` up to `YEAR_LAST`, in order."""
    match = _POSIX_RULE.fullmatch(footer)
    if match is None:
        raise Bug(f"the time zone rule {footer!r} cannot be read")
    standard = -_seconds(match[1])
    if match[3] is None:
        return [OffsetChange(after + 1, standard)]
    daylight = -_seconds(match[2]) if match[2] else standard + 3_600
    begins, ends = (match[3], _seconds(match[4] or "2")), (match[5], _seconds(match[6] or "2"))
    changes: list[OffsetChange] = []
    for year in range(date_of(after // DAY_SECONDS).year, YEAR_LAST + 1):
        changes.append(OffsetChange(_local_second(year, *begins) - standard, daylight))
        changes.append(OffsetChange(_local_second(year, *ends) - daylight, standard))
    return sorted((change for change in changes if change.at < HORIZON), key=lambda change: change.at)


def _seconds(text: str) -> int:
    """`[+-]hh[:mm[:ss]]`."""
    sign = -1 if text.startswith("-") else 1
    parts = [int(part) for part in text.lstrip("+-").split(":")]
    return sign * sum(part * unit for part, unit in zip(parts, (3_600, 60, 1), strict=False))


def _local_second(year: int, day: str, second_of_day: int) -> int:
    return (_day_by_rule(year, day) - EPOCH_ORDINAL) * DAY_SECONDS + second_of_day


def _day_by_rule(year: int, text: str) -> int:
    """The ordinal of `Mm.w.d` (the wth weekday d of month m, 5 meaning the last), `Jn` (no leap day) or `n`."""
    if text.startswith("M"):
        month, week, weekday = (int(part) for part in text[1:].split("."))
        return _nth_weekday(year, month, week, weekday)
    if text.startswith("J"):
        return _day_without_leap(year, int(text[1:]))
    return date(year, 1, 1).toordinal() + int(text)


def _day_without_leap(year: int, number: int) -> int:
    """Day 60 is 1 March in every year."""
    common = date.fromordinal(date(2001, 1, 1).toordinal() + number - 1)
    return date(year, common.month, common.day).toordinal()


def _nth_weekday(year: int, month: int, week: int, weekday: int) -> int:
    first = date(year, month, 1).toordinal()
    found = first + (weekday - first) % 7 + 7 * (week - 1)
    next_month = date(year + month // 12, month % 12 + 1, 1).toordinal()
    return found if found < next_month else found - 7
