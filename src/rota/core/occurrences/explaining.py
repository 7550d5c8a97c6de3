"""Sentences about what a clock change does to a fixed-time job: the local times it skips or repeats, and then what."""

from collections.abc import Iterator
from typing import Final

from rota.core.occurrences.instants import DAY_SECONDS, date_of
from rota.core.occurrences.matching import CronMatcher
from rota.core.occurrences.sources import CronSource
from rota.core.occurrences.zones import ClockChange

TIMES_NAMED_MAX: Final = 3
EVERY_HOUR: Final = (1 << 24) - 1
CHANGE_REACH_SECONDS: Final = 86_400 * 2
"""No change affects instants farther from it than this."""


def clock_skips(source: CronSource, after: int, until: int) -> Iterator[tuple[int, str]]:
    """(instant, sentence) of each change with after < instant <= until that keeps the job from firing."""
    for change in source.zone.changes(after - CHANGE_REACH_SECONDS, until + CHANGE_REACH_SECONDS):
        skip = _skip_of(source, change)
        if skip is not None and after < skip[0] <= until:
            yield skip


def clock_note(source: CronSource, fire: int) -> str | None:
    """Why a fixed-time job fires at `fire` (seconds) though its clock shows another time then, or shows it twice."""
    if source.matcher.spec.wildcard:
        return None
    for change in source.zone.changes(fire - CHANGE_REACH_SECONDS, fire + CHANGE_REACH_SECONDS):
        if change.is_correction:
            continue
        note = _gap_note(source, change, fire) if change.gained > 0 else _overlap_note(source, change, fire)
        if note is not None:
            return note
    return None


def _skip_of(source: CronSource, change: ClockChange) -> tuple[int, str] | None:
    """A wildcard job of every hour goes on through any change; one of some hours misses those that are skipped."""
    spec = source.matcher.spec
    if spec.wildcard and (change.gained < 0 or spec.hours == EVERY_HOUR):
        return None
    affected = _affected(source.matcher, change)
    if not affected:
        return None
    times, where = _listed(affected), _where(source, change)
    if change.gained > 0:
        if change.is_correction:
            hours = change.gained // 3_600
            return change.at, f"{times} {_does(affected)} not exist {where} (set forward by {hours} hours); not fired"
        skipped = source.gap == "skip" or spec.wildcard
        return (change.at, f"{times} {_does(affected)} not exist {where}; not fired") if skipped else None
    if change.is_correction or source.overlap_hour == "both":
        return None
    if source.overlap_hour == "first":
        return affected[0] - change.after, f"second {times} {where} not fired; the first was"
    return affected[0] - change.before, f"first {times} {where} not fired; the second will be"


def _gap_note(source: CronSource, change: ClockChange, fire: int) -> str | None:
    if source.gap == "next_valid" and fire == change.at:
        affected = _affected(source.matcher, change)
    elif source.gap == "shift" and change.at <= fire < change.at + change.gained:
        affected = [fire + change.before] if source.matcher.matches(fire + change.before) else []
    else:
        return None
    if not affected:
        return None
    fires_at = _clock(fire + change.after)
    return f"{_listed(affected)} {_does(affected)} not exist {_where(source, change)}; fires at {fires_at}"


def _overlap_note(source: CronSource, change: ClockChange, fire: int) -> str | None:
    if source.overlap_hour != "both" or not change.at + change.gained <= fire < change.at - change.gained:
        return None
    first = fire < change.at
    time = _clock(fire + (change.before if first else change.after))
    return f"{'first' if first else 'second'} of two {time} {_where(source, change)}"


def _affected(matcher: CronMatcher, change: ClockChange) -> list[int]:
    """The matching local times that the change skips or repeats: the first few, and one more to tell that there are."""
    times: list[int] = []
    local = matcher.next_local(change.local_low)
    while local is not None and local < change.local_high and len(times) <= TIMES_NAMED_MAX:
        times.append(local)
        local = matcher.next_local(local + 1)
    return times


def _listed(times: list[int]) -> str:
    names = [_clock(time) for time in times[:TIMES_NAMED_MAX]]
    if len(times) > TIMES_NAMED_MAX:
        names.append("more")
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _does(times: list[int]) -> str:
    return "does" if len(times) == 1 else "do"


def _where(source: CronSource, change: ClockChange) -> str:
    return f"on {date_of(change.local_low // DAY_SECONDS).isoformat()} in {source.zone.name}"


def _clock(local: int) -> str:
    minute, second = divmod(local % DAY_SECONDS, 60)
    text = f"{minute // 60:02}:{minute % 60:02}"
    return f"{text}:{second:02}" if second else text
