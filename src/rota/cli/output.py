"""How answers look: tables for people by default, JSON or YAML with `-o`. It decides the form, never the content."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, cast

import msgspec
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rota.domain.problems import FieldProblem

TABLE_WIDTH_MAX = 10_000


class OutputForm(StrEnum):
    """The values of `-o`."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


class Column(msgspec.Struct, frozen=True):
    """A heading, and how a cell is read from an item."""

    heading: str
    read: Callable[[Mapping[str, Any]], object]


def field(heading: str, path: str) -> Column:
    """A column that shows the value at a dotted path; nothing where the path ends early."""
    return Column(heading, lambda item: _at(item, path))


def _at(item: Mapping[str, Any], path: str) -> object:
    value: object = item
    for name in path.split("."):
        value = cast("Mapping[str, object]", value).get(name) if isinstance(value, Mapping) else None
    return value


class Printer:
    """Writes answers to standard output and everything else to standard error."""

    def __init__(self, form: OutputForm) -> None:
        self.form = form
        # Columns are as wide as their content, as with ps and kubectl: a pipe or a narrow window never cuts an id.
        self._out = Console(soft_wrap=True, width=TABLE_WIDTH_MAX)
        self._err = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)

    def items(self, items: Iterable[Mapping[str, Any]], columns: Sequence[Column], **beside: object) -> None:
        """A listing: a table, or `{"items": [...], **beside}`."""
        if self.form is not OutputForm.TABLE:
            self.value({"items": list(items), **beside})
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column.heading, no_wrap=True)
        for item in items:
            table.add_row(*(_cell(column.read(item)) for column in columns))
        self._out.print(table)

    def item(self, item: Mapping[str, Any]) -> None:
        """One object: its fields below each other, or the object itself."""
        if self.form is not OutputForm.TABLE:
            self.value(item)
            return
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(style="bold")
        table.add_column(overflow="fold")
        for name, value in item.items():
            table.add_row(name, _cell(value))
        self._out.print(table)

    def value(self, value: object) -> None:
        """A value in the chosen machine form (JSON also where a table was asked for)."""
        if self.form is OutputForm.YAML:
            self.raw(yaml.safe_dump(msgspec.to_builtins(value), sort_keys=False, allow_unicode=True).rstrip())
        else:
            self.raw(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())

    def each(self, value: object, line: str) -> None:
        """One of many that come one by one: a line of text, a line of JSON, or a YAML document."""
        match self.form:
            case OutputForm.TABLE:
                self.raw(line)
            case OutputForm.JSON:
                self.raw(msgspec.json.encode(value).decode())
            case OutputForm.YAML:
                self.raw("---")
                self.value(value)

    def raw(self, text: str) -> None:
        """A line as it is, at once."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def say(self, sentence: str) -> None:
        """What is for the reader and not part of the answer."""
        self._err.print(sentence, markup=False)

    def problems(self, sentence: str, problems: Iterable[FieldProblem]) -> None:
        """An error with what is wrong and what to do."""
        self._err.print(f"error: {sentence}", markup=False, style="red")
        for problem in problems:
            at = f"{problem.field}: " if problem.field else ""
            self._err.print(f"  {at}{problem.problem}", markup=False)
            self._err.print(f"    remedy: {problem.remedy}", markup=False)


def _cell(value: object) -> Text:
    return Text(printable(shown(value)))


def printable(text: str) -> str:
    """Other people's text on a terminal: line ends and control characters are shown, never obeyed."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def shown(value: object) -> str:
    """A cell's text."""
    match value:
        case None | "" | []:
            return "-"
        case dict() if not value:  # the pattern {} would match any of them
            return "-"
        case bool():
            return "yes" if value else "no"
        case str():
            return _shown_time(value)
        case list():
            return _shown_list(cast("list[object]", value))
        case dict():
            return msgspec.json.encode(value).decode()
        case _:
            return str(value)


def _shown_list(values: list[object]) -> str:
    """Texts one behind the other; anything else as JSON."""
    if all(isinstance(one, str) for one in values):
        return "; ".join(map(shown, values))
    return msgspec.json.encode(values).decode()


def _shown_time(text: str) -> str:
    """RFC 3339 times lose their fraction; other text stays."""
    if len(text) < len("2026-01-01T00:00:00Z") or text[4:5] != "-" or text[10:11] != "T":
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
