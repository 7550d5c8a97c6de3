"""From loose values to frozen types, with errors that name field, problem and remedy.

It decides only about shape (types, unknown and missing fields, known words). What the values mean is checked by
`core.validation`.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import TypeVar

import msgspec
from msgspec import inspect

from rota.domain.errors import invalid_input
from rota.domain.problems import FieldProblem

Wanted = TypeVar("Wanted")

# So much of what was sent is quoted back.
QUOTED_CHARS_MAX = 100

_LOCATED = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<name>[^`]+)`$")
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<name>[^`]+)`$")
_BOUND = re.compile(r"^Expected `(?P<wanted>[^`]+)` (?P<bound>[a-z<>].*)$")
_TYPE = re.compile(r"^Expected `(?P<wanted>[^`]+)`(?:, got `(?P<got>[^`]+)`)?")
_WORD = re.compile(r"^Invalid (?:enum )?value '?(?P<word>.*?)'?$")
_TIME = re.compile(r"^Invalid RFC3339 encoded datetime$")
_DATE = re.compile(r"^Invalid RFC3339 encoded date$")


def read_struct(value: object, wanted: type[Wanted]) -> Wanted:
    """`value` (mappings, lists and scalars) as `wanted`; raises INVALID_INPUT with one problem."""
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError as wrong:
        raise invalid_input([shape_problem(str(wrong), wanted)]) from wrong


def shape_problem(message: str, wanted: object = None) -> FieldProblem:
    """What a shape error of the decoder says, as a problem of one field; `wanted` tells which words a field knows."""
    located = _LOCATED.match(message)
    what, path = (located["what"], located["path"] or "") if located else (message, "")
    at = path.removeprefix("$").removeprefix(".")
    missing, unknown = _MISSING.match(what), _UNKNOWN.match(what)
    if missing:
        return FieldProblem(_join(at, missing["name"]), "is missing", "give it a value")
    if unknown:
        return FieldProblem(_join(at, unknown["name"]), "is not a known field", "check its spelling, or leave it out")
    return FieldProblem(at, *_value_problem(what, _known_words(wanted).get(_last_two_names(at), frozenset())))


def _join(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def _last_two_names(path: str) -> str:
    """`triggers[0].kind` -> `triggers.kind`: enough to tell which `kind` is meant."""
    return ".".join(re.sub(r"\[[^\]]*\]", "", f".{path}").split(".")[-2:])


def _value_problem(what: str, known_words: frozenset[str]) -> tuple[str, str]:
    wrong_type, wrong_word, out_of_bound = _TYPE.match(what), _WORD.match(what), _BOUND.match(what)
    if out_of_bound:
        bound = f"{out_of_bound['wanted']} {out_of_bound['bound']}"
        return f"must be {bound}", f"send a value that is {bound}"
    if _TIME.match(what):
        return "is no RFC 3339 time", "send a time such as 2026-03-29T02:30:00Z"
    if _DATE.match(what):
        return "is no date", "send a date such as 2026-12-25"
    if wrong_type:
        got = f", not {wrong_type['got']}" if wrong_type["got"] else ""
        return f"must be {wrong_type['wanted']}{got}", f"send a value of type {wrong_type['wanted']}"
    if wrong_word:
        words = ", ".join(sorted(known_words)) or "those that the API description lists"
        return f"{wrong_word['word'][:QUOTED_CHARS_MAX]!r} is not a known word", f"use one of: {words}"
    return what, "send a value that the API description allows"


@cache
def _known_words(wanted: object) -> dict[str, frozenset[str]]:
    """Owner and field -> the words that it accepts, wherever in `wanted` the field stands."""
    found: dict[str, frozenset[str]] = {}
    for name, words in _words_under("", inspect.type_info(wanted)) if wanted is not None else ():
        found[name] = found.get(name, frozenset()) | words
    return found


def _words_under(name: str, info: inspect.Type) -> Iterator[tuple[str, frozenset[str]]]:
    match info:
        case inspect.LiteralType(values=values):
            yield name, frozenset(str(value) for value in values)
        case inspect.UnionType(types=types):
            for inner in types:
                yield from _words_under(name, inner)
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            yield from _words_under(name, item)
        case inspect.StructType(fields=fields, tag=tag, tag_field=tag_field):
            if tag_field is not None:
                yield f"{_owner(name)}.{tag_field}", frozenset({str(tag)})
            for one in fields:
                yield from _words_under(f"{_owner(name)}.{one.encode_name}", one.type)
        case _:
            return


def _owner(name: str) -> str:
    return name.rpartition(".")[2]
