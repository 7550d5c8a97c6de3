"""Whether a version lies in a range such as `>=1.2.0, <1.4.2`: plain rules that hold for most ecosystems.

A version is cut at `.`, `-`, `_` and `~`, and where digits meet letters. Numbers are compared as numbers, words by code
point without regard to case; a word is before a number and before nothing at all (`1.0-rc1` < `1.0` < `1.0.1`). Zeros
at the end, or before the first word, do not count (`1.0` = `1.0.0`). A leading `v` and what follows a `+` are left out.
Epochs, and the orders of distributions (`1:2.0-3~deb12u1`), are not known.
"""

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from rota.domain.problems import FieldProblem

VERSION_LENGTH_MAX = 200
RANGE_LENGTH_MAX = 500

Key: TypeAlias = tuple[tuple[int, int, str], ...]

_PIECE = re.compile(r"[0-9]+|[A-Za-z]+")
_CONDITION = re.compile(r"\s*(>=|<=|==|=|>|<|!=)?\s*([^\s<>=!,]+)\s*")
_WORD, _NUMBER = 0, 2
_END = (1, 0, "")
_ZERO = (_NUMBER, 0, "")
_COMPARE: dict[str, Callable[[Key, Key], bool]] = {
    ">=": lambda one, other: one >= other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    "<": lambda one, other: one < other,
    "!=": lambda one, other: one != other,
    "=": lambda one, other: one == other,
    "==": lambda one, other: one == other,
}


def version_key(version: str) -> Key:
    """Keys are ordered as versions are. A word sorts below the end, a number above it."""
    plain = version.strip().partition("+")[0].removeprefix("v")
    pieces = [_ranked(piece) for piece in _PIECE.findall(plain[:VERSION_LENGTH_MAX])]
    word_at = next((place for place, piece in enumerate(pieces) if piece[0] == _WORD), len(pieces))
    return (*_without_zeros(pieces[:word_at]), *_without_zeros(pieces[word_at:]), _END)


def is_in_range(version: str, wanted: str) -> bool:
    """Whether all conditions of *wanted*, which `range_problems` has found in order, hold for *version*."""
    key = version_key(version)
    return all(_COMPARE[sign](key, version_key(bound)) for sign, bound in _conditions(wanted))


def range_problems(field: str, wanted: str) -> Iterator[FieldProblem]:
    if not 0 < len(wanted) <= RANGE_LENGTH_MAX or not all(_CONDITION.fullmatch(one) for one in wanted.split(",")):
        shown = wanted[:50]
        yield FieldProblem(field, f"{shown!r} is not a range of versions", "use a form such as '>=1.2.0, <1.4.2'")


def _conditions(wanted: str) -> Iterator[tuple[str, str]]:
    for part in wanted.split(","):
        found = _CONDITION.fullmatch(part)
        if found is not None:
            yield found[1] or "=", found[2]


def _without_zeros(pieces: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Those at the end."""
    end = len(pieces)
    while end and pieces[end - 1] == _ZERO:
        end -= 1
    return pieces[:end]


def _ranked(piece: str) -> tuple[int, int, str]:
    return (_NUMBER, int(piece), "") if piece.isdigit() else (_WORD, 0, piece.lower())
