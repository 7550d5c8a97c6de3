"""Rules for single values, each giving the problems of one field: what is wrong and what to do about it.

They know no schedule and no run; `core.validation` says which rule holds for which field.
"""

import re
from collections.abc import Iterator
from math import isfinite
from typing import TypeAlias

from msgspec import Struct, json

from rota.domain.problems import FieldProblem

Problems: TypeAlias = Iterator[FieldProblem]

# What PostgreSQL's jsonb, and any reader, can hold.
JSON_DEPTH_MAX = 64
# Less than this cannot become too much, whatever its numbers are.
EXPONENTS_UNSEEN_BYTES_MAX = 4_096

_JSON_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
_EXPONENT = re.compile(rb"[eE][+-]?(\d+)")


class TextRule(Struct, frozen=True):
    """How long a text may be and what it may look like; `shape` says in words what `pattern` asks for."""

    length_max: int
    pattern: re.Pattern[str]
    shape: str
    length_min: int = 1


NAME_RULE = TextRule(200, re.compile(r"\S(?:.*\S)?", re.DOTALL), "no space at its beginning or end")
QUEUE_RULE = TextRule(
    64,
    re.compile(r"[a-z0-9][a-z0-9._-]*"),
    "lower-case letters, digits, '.', '_' and '-', beginning with a letter or digit",
)
SECRET_NAME_RULE = TextRule(64, QUEUE_RULE.pattern, QUEUE_RULE.shape)
LABEL_KEY_RULE = TextRule(
    128,
    re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?"),
    "letters, digits, '.', '_', '-' and '/', beginning and ending with a letter or digit",
)
LABEL_VALUE_RULE = TextRule(256, re.compile(r".*"), "one line of text", length_min=0)
POLICY_RULE = TextRule(
    200,
    re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*"),
    "letters, digits, '.', '_' and '-'; the first a letter or digit",
)
TASK_RULE = TextRule(
    200,
    re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[.:-][A-Za-z0-9_]+)*"),
    "a task's registered name, such as 'reports.nightly'",
)
ERROR_NAME_RULE = TextRule(
    200, re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"), "an error type, such as 'ValueError' or 'shop.errors.SoldOut'"
)
KEY_RULE = TextRule(200, re.compile(r"\S(?:.*\S)?"), "printable text without a space at its beginning or end")


def text_problems(field: str, value: str, rule: TextRule, *, lines: bool = False) -> Problems:
    """`lines` allows line ends and tabs."""
    unprintable = first_unprintable(value, lines=lines)
    if not rule.length_min <= len(value) <= rule.length_max:
        problem = "is empty" if not value else f"has {len(value)} characters"
        yield FieldProblem(field, problem, f"use {rule.length_min} to {rule.length_max} characters")
    elif unprintable is not None:
        yield FieldProblem(field, f"contains the unprintable character {unprintable!r}", "remove it")
    elif not rule.pattern.fullmatch(value):
        yield FieldProblem(field, f"{value!r} is not of the right form", f"use {rule.shape}")


def first_unprintable(value: str, *, lines: bool = False) -> str | None:
    allowed = "\n\r\t" if lines else ""
    if value.isprintable():
        return None
    return next((char for char in value if not char.isprintable() and char not in allowed), None)


def number_problems(field: str, value: float, low: float, high: float, unit: str = "") -> Problems:
    """Finite and between `low` and `high`, both inclusive."""
    said = f" {unit}" if unit else ""
    if not isfinite(value):
        yield FieldProblem(field, f"{value} is not a number", f"use {low:g} to {high:g}{said}")
    elif not low <= value <= high:
        yield FieldProblem(field, f"{value:g} is outside {low:g} to {high:g}{said}", f"use {low:g} to {high:g}{said}")


def choice_problems(field: str, value: str, known: tuple[str, ...]) -> Problems:
    if value not in known:
        yield FieldProblem(field, f"{value!r} is not known", f"use one of {', '.join(known)}")


def json_problems(field: str, value: object, bytes_max: int) -> Problems:
    """Whether `value` can be stored as JSON, in at most `bytes_max` bytes."""
    unfit = _first_unfit(value)
    if unfit is not None:
        yield FieldProblem(field, unfit, "send only JSON values, with texts that PostgreSQL can store")
        return
    size = stored_json_bytes(json.encode(value))
    if size > bytes_max:
        remedy = f"send at most {bytes_max} bytes; store large data elsewhere and pass a reference"
        yield FieldProblem(field, f"is {size} bytes as JSON", remedy)


def stored_json_bytes(encoded: bytes) -> int:
    """The size of JSON as readers get it back. PostgreSQL keeps numbers as decimals and writes each of them out: of
    "1e308" it makes 309 digits, so that an answer could be sixty times what was sent.
    """
    if len(encoded) <= EXPONENTS_UNSEEN_BYTES_MAX:
        return len(encoded)
    return len(encoded) + sum(int(found[1]) for found in _EXPONENT.finditer(_JSON_TEXT.sub(b"", encoded)))


def is_nested_deeper(value: object, levels: int) -> bool:
    """Whether a value decoded from JSON is; a scalar has no level."""
    pending: list[tuple[object, int]] = [(value, 0)]
    while pending:
        item, depth = pending.pop()
        if isinstance(item, dict | list):
            if depth >= levels:
                return True
            parts = item.values() if isinstance(item, dict) else item  # pyright: ignore[reportUnknownVariableType]
            pending.extend((part, depth + 1) for part in parts)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return False


def _first_unfit(value: object) -> str | None:
    pending: list[tuple[object, int]] = [(value, 1)]
    while pending:
        item, depth = pending.pop()
        if depth > JSON_DEPTH_MAX:
            return f"is nested deeper than {JSON_DEPTH_MAX} levels"
        if isinstance(item, dict):
            pending.extend((part, depth + 1) for pair in item.items() for part in pair)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        elif isinstance(item, list | tuple):
            pending.extend((part, depth + 1) for part in item)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        else:
            problem = _scalar_problem(item)
            if problem is not None:
                return problem
    return None


def _scalar_problem(item: object) -> str | None:
    if isinstance(item, str):
        return "contains a NUL character or half a surrogate pair" if _SPOILT.search(item) else None
    if isinstance(item, float) and not isfinite(item):
        return f"contains {item}, which JSON has no word for"
    if item is None or isinstance(item, bool | int | float):
        return None
    return f"contains a {type(item).__name__}, which JSON has no word for"


_SPOILT = re.compile("[\x00\ud800-\udfff]")


def under(prefix: str, problems: Problems) -> Problems:
    """The same problems, seen from the object that holds their owner at `prefix`."""
    return (problem.under(prefix) for problem in problems)
