"""One item of a cron field (`5`, `MON-FRI`, `*/15`, `H(0-29)/10` …) as the values that it names."""

import re
from collections.abc import Iterable
from typing import Final

from rota.core.occurrences.fields import DAY_OF_WEEK, CronSyntaxError, FieldRange
from rota.core.occurrences.hashing import hashed_place

_HASH_ITEM: Final = re.compile(r"H(?:\(([^()-]+)-([^()-]+)\))?")


def bits_of_items(items: Iterable[str], field: FieldRange, hash_key: str) -> int:
    """Bit v is set for each value v that an item names; `hash_key` places every `H`. Raises CronSyntaxError."""
    bits = 0
    for item in items:
        for value in _item_values(item, field, hash_key):
            bits |= 1 << value
    return bits


def _item_values(item: str, field: FieldRange, hash_key: str) -> Iterable[int]:
    base, slash, step_text = item.partition("/")
    step = _step(step_text, field) if slash else 1
    if base == "*":
        return range(field.low, _top(field) + 1, step)
    if match := _HASH_ITEM.fullmatch(base):
        return _hashed_values(match, step if slash else None, field, hash_key)
    low_text, dash, high_text = base.partition("-")
    if dash:
        return _range_values(value_of(low_text, field), value_of(high_text, field), step, field, item)
    value = _fold(value_of(base, field), field)
    return range(value, _top(field) + 1, step) if slash else (value,)


def _top(field: FieldRange) -> int:
    """The highest distinct value: Sunday is both 0 and 7."""
    return 6 if field is DAY_OF_WEEK else field.high


def _fold(value: int, field: FieldRange) -> int:
    return value % 7 if field is DAY_OF_WEEK else value


def _range_values(low: int, high: int, step: int, field: FieldRange, item: str) -> Iterable[int]:
    if low <= high:
        return (_fold(value, field) for value in range(low, high + 1, step))
    if not field.may_wrap:
        raise CronSyntaxError(
            field.name,
            f"{item!r} runs backwards, and months differ in length",
            f"write {low}-{field.high},{field.low}-{high}",
        )
    places = _top(field) - field.low + 1
    first = _fold(low, field)
    last = high if first <= high else high + places
    return (field.low + (value - field.low) % places for value in range(first, last + 1, step))


def _hashed_values(match: re.Match[str], step: int | None, field: FieldRange, hash_key: str) -> Iterable[int]:
    """`H` is one place of the range; `H/n` is every nth place from one of the first n."""
    low, high = field.low, field.hash_high
    if match[1] is not None:
        low, high = value_of(match[1], field), value_of(match[2], field)
        if low > high:
            raise CronSyntaxError(field.name, f"{match[0]!r} runs backwards", f"write H({high}-{low})")
    places = high - low + 1
    start = low + hashed_place(hash_key, field.name, min(step or places, places))
    chosen = (start,) if step is None else range(start, high + 1, step)
    return (_fold(value, field) for value in chosen)


def _step(text: str, field: FieldRange) -> int:
    """A step longer than the field cannot do what it says (`*/90` minutes is hourly), so it is refused."""
    places = _top(field) - field.low + 1
    if not (text.isascii() and text.isdigit()) or int(text) == 0:
        raise CronSyntaxError(
            field.name, f"{text!r} is not a step", f"write a whole number from 1 to {places} after the slash"
        )
    if int(text) > places:
        raise CronSyntaxError(
            field.name,
            f"a step of {int(text)} is longer than the field, which has {places} values",
            f'use a step of at most {places}, or a trigger of kind "interval"',
        )
    return int(text)


def value_of(text: str, field: FieldRange) -> int:
    """A number or name of the field. Raises CronSyntaxError."""
    if text in field.words:
        return field.words.index(text) + field.words_from
    if text.isascii() and text.isdigit():
        if field.low <= int(text) <= field.high:
            return int(text)
        raise CronSyntaxError(field.name, f"{text} is outside {field.span}", f"write a number from {field.span}")
    raise _unreadable(text, field)


def _unreadable(text: str, field: FieldRange) -> CronSyntaxError:
    if not text:
        return CronSyntaxError(field.name, "an item is empty", "take out the stray comma, dash or slash, or fill it in")
    if text == "?":
        return CronSyntaxError(field.name, "'?' may only stand alone in a day field", "write * instead")
    short = next((word for word in field.words if text.startswith(word)), None)
    if short is not None:
        return CronSyntaxError(field.name, f"{text!r} is not a known name", f"write {short}")
    words = f", or one of {' '.join(field.words)}" if field.words else ""
    return CronSyntaxError(
        field.name,
        f"{text!r} is not a value",
        f"write a number from {field.span}{words}; lists, ranges and steps of them",
    )
