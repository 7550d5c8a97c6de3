"""Reading a cron expression into sets of numbers. docs/occurrences.md states the language.

Every text that is not an expression ends in a `CronSyntaxError` that names the field, the problem and the remedy; no
other exception leaves this module. Whether an expression ever matches a date is not decided here.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from msgspec import Struct

from rota.core.occurrences.fields import (
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    FIELDS,
    CronSyntaxError,
)
from rota.core.occurrences.items import bits_of_items, value_of

EXPRESSION_LENGTH_MAX: Final = 1_000
EXPRESSIONS_CACHED_MAX: Final = 4_096
CLASSIC_FIELDS: Final = 5

MACROS: Final = {
    "@HOURLY": "0 * * * *",
    "@DAILY": "0 0 * * *",
    "@MIDNIGHT": "0 0 * * *",
    "@WEEKLY": "0 0 * * 0",
    "@MONTHLY": "0 0 1 * *",
    "@YEARLY": "0 0 1 1 *",
    "@ANNUALLY": "0 0 1 1 *",
}

_HASH: Final = re.compile(r"(?<![A-Z])H(?![A-Z])")
_NTH_FROM_END: Final = re.compile(r"L(?:-([0-9]+))?")
_NEAREST_WEEKDAY: Final = re.compile(r"([0-9]+)W")


class DaysOfMonth(Struct, frozen=True):
    """`bits` has bit d set for day d; `from_end` holds n for `L-n`, `nearest_weekday` n for `nW`."""

    bits: int = 0
    from_end: tuple[int, ...] = ()
    nearest_weekday: tuple[int, ...] = ()
    last_weekday: bool = False


class DaysOfWeek(Struct, frozen=True):
    """`bits` has bit d set for weekday d, Sunday being 0; `last` holds `dL`, `nth` holds (d, n) of `d#n`."""

    bits: int = 0
    last: tuple[int, ...] = ()
    nth: tuple[tuple[int, int], ...] = ()


class CronSpec(Struct, frozen=True):
    """An expression as sets. In each `bits`-like int, bit v is set for the value v.

    `days_either`: both day fields are restricted, so a day matches when either does (the rule of Vixie cron).
    `wildcard`: hour or minute begins with `*`, so the job follows real time through clock changes (Debian's rule).
    """

    seconds: int
    minutes: int
    hours: int
    months: int
    days_of_month: DaysOfMonth
    days_of_week: DaysOfWeek
    days_either: bool
    wildcard: bool


def parse_cron(expression: str, hash_key: str = "") -> CronSpec:
    """The sets of an expression; `hash_key` decides every `H` in it. Raises CronSyntaxError."""
    texts = _field_texts(expression)
    uses_hash = any(_HASH.search(text) for text in texts)
    return _parse_fields(texts, hash_key if uses_hash else "")


def may_use_hash(expression: str) -> bool:
    """False where `hash_key` cannot matter; quick, and true for a few names that merely hold the letter."""
    return "H" in expression or "h" in expression


def _field_texts(expression: str) -> tuple[str, ...]:
    """Six texts, seconds first, upper case."""
    if len(expression) > EXPRESSION_LENGTH_MAX:
        raise CronSyntaxError(
            "expression",
            f"has {len(expression)} characters; {EXPRESSION_LENGTH_MAX} is the most",
            "split it into several triggers of the same schedule",
        )
    text = expression.upper().strip()
    if text.startswith("@"):
        text = _macro(text)
    texts = tuple(text.split())
    if len(texts) == CLASSIC_FIELDS:
        return ("0", *texts)
    if len(texts) != len(FIELDS):
        raise _wrong_count(len(texts))
    return texts


def _macro(text: str) -> str:
    if text in MACROS:
        return MACROS[text]
    if text == "@REBOOT":
        raise CronSyntaxError(
            "expression",
            "@reboot names no time: it means the start of one machine, which a roster of many does not have",
            "use a workload with desired state running, or a service of the machine's own init system",
        )
    if text.startswith("@EVERY"):
        raise CronSyntaxError("expression", "@every is not cron", 'use a trigger of kind "interval" with every_seconds')
    known = ", ".join(macro.lower() for macro in MACROS)
    raise CronSyntaxError("expression", f"{text.lower()!r} is not a known macro", f"use one of {known}")


def _wrong_count(count: int) -> CronSyntaxError:
    if count == 0:
        return CronSyntaxError("expression", "is empty", 'give five fields, for example "0 2 * * *" for 02:00 each day')
    remedy = "give minute, hour, day of month, month, day of week; put seconds before them for a sixth"
    if count == len(FIELDS) + 1:
        remedy = "leave the year out and bound the trigger with start_at and end_at"
    return CronSyntaxError("expression", f"has {count} fields instead of 5 or 6", remedy)


@lru_cache(maxsize=EXPRESSIONS_CACHED_MAX)
def _parse_fields(texts: tuple[str, ...], hash_key: str) -> CronSpec:
    second, minute, hour, day_of_month, month, day_of_week = texts
    seconds, minutes, hours, months = (
        bits_of_items(text.split(","), field, hash_key)
        for text, field in zip((second, minute, hour, month), (*FIELDS[:3], FIELDS[4]), strict=True)
    )
    return CronSpec(
        seconds=seconds,
        minutes=minutes,
        hours=hours,
        months=months,
        days_of_month=_days_of_month(day_of_month, hash_key),
        days_of_week=_days_of_week(day_of_week, hash_key),
        days_either=not (_counts_as_star(day_of_month) or _counts_as_star(day_of_week)),
        wildcard=_counts_as_star(minute) or _counts_as_star(hour),
    )


def _counts_as_star(text: str) -> bool:
    """`*`, `*/n` and `?` as in Debian's cron; `H/n` too, for it is `*/n` with a start of its own."""
    return text.startswith(("*", "?", "H/"))


def _days_of_month(text: str, hash_key: str) -> DaysOfMonth:
    plain: list[str] = []
    from_end: list[int] = []
    nearest: list[int] = []
    last_weekday = False
    for item in _day_items(text):
        if item == "LW":
            last_weekday = True
        elif match := _NTH_FROM_END.fullmatch(item):
            from_end.append(_days_before_last(match[1]))
        elif match := _NEAREST_WEEKDAY.fullmatch(item):
            nearest.append(value_of(match[1], DAY_OF_MONTH))
        else:
            plain.append(item)
    bits = bits_of_items(plain, DAY_OF_MONTH, hash_key)
    return DaysOfMonth(bits, tuple(from_end), tuple(nearest), last_weekday)


def _days_before_last(text: str | None) -> int:
    days = int(text or "0")
    if days >= DAY_OF_MONTH.high:
        raise CronSyntaxError(
            DAY_OF_MONTH.name, f"'L-{days}' is before the first day of every month", "use L-1 to L-30"
        )
    return days


def _days_of_week(text: str, hash_key: str) -> DaysOfWeek:
    plain: list[str] = []
    last: list[int] = []
    nth: list[tuple[int, int]] = []
    for item in _day_items(text):
        if "#" in item:
            nth.append(_nth_weekday(item))
        elif item.endswith("L"):
            last.append(_last_weekday(item))
        else:
            plain.append(item)
    return DaysOfWeek(bits_of_items(plain, DAY_OF_WEEK, hash_key), tuple(last), tuple(nth))


def _nth_weekday(item: str) -> tuple[int, int]:
    weekday, _, nth = item.partition("#")
    if nth not in {"1", "2", "3", "4", "5"}:
        raise CronSyntaxError(
            DAY_OF_WEEK.name, f"{nth!r} in {item!r} is not one of 1 to 5", "write 5#3 for the third Friday of a month"
        )
    return value_of(weekday, DAY_OF_WEEK) % 7, int(nth)


def _last_weekday(item: str) -> int:
    if item == "L":
        raise CronSyntaxError(
            DAY_OF_WEEK.name,
            "'L' does not say which weekday",
            "write 5L for the last Friday of a month, or 6 for Saturday",
        )
    return value_of(item[:-1], DAY_OF_WEEK) % 7


def _day_items(text: str) -> Iterable[str]:
    """The items of a day field, `?` being `*` where it stands alone."""
    return ["*"] if text == "?" else text.split(",")
