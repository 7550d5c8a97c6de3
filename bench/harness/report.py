"""Rows and bars as tables: for the terminal, and for docs/performance.md."""

import math
from collections.abc import Sequence
from pathlib import Path

from bench.harness import plot
from bench.harness.bars import Judged, judge
from bench.harness.rows import Row

BEGIN, END = "<!-- table: begin (python bench/run.py --publish) -->", "<!-- table: end -->"
PICTURE = "performance.svg"

Table = Sequence[Sequence[str]]


class NoPlace(Exception):
    """The page has no place for the table."""


def text(rows: Sequence[Row]) -> str:
    """Both tables, aligned for a terminal."""
    return f"{_aligned(figures(rows))}\n\n{_aligned(verdicts(judge(rows)))}"


def figures(rows: Sequence[Row]) -> list[list[str]]:
    """A header, then a line a row: median, range, share of the limit, the others."""
    lines = [["figure", "median", "range", "unit", "of the limit", "others (median)"]]
    for row in rows:
        limit = "" if row.ratio_to_limit is None else f"{row.ratio_to_limit:.2f} ×"
        others = ", ".join(f"{name} {number(value)}" for name, value in row.peers.items())
        lines.append([row.name, number(row.value), _range(row), row.unit, limit, others])
    return lines


def verdicts(judged: Sequence[Judged]) -> list[list[str]]:
    """A header, then a line a bar."""
    lines = [["bar", "asked", "found", "verdict"]]
    for one in judged:
        asked = f"{one.bar.direction} {number(one.bar.value)} {one.bar.unit}"
        lines.append([one.bar.what, asked, "" if one.found is None else number(one.found), one.verdict])
    return lines


def number(value: float) -> str:
    """Three significant digits and no exponent."""
    if value == 0:
        return "0"
    digits = max(0, 2 - _magnitude(abs(value)))
    return f"{value:,.{min(digits, 4)}f}"


def publish(rows: Sequence[Row], page: Path) -> None:
    """Puts the tables between the page's two marks, and the picture beside the page. Raises NoPlace without marks."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise NoPlace(f"{page} lacks the marks {BEGIN!r} and {END!r}")
    tables = f"{_markdown(verdicts(judge(rows)))}\n\n{_markdown(figures(rows))}"
    page.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}", encoding="utf-8")
    (page.parent / PICTURE).write_text(plot.svg(rows), encoding="utf-8")


def _range(row: Row) -> str:
    return "" if len(row.runs) < 2 else f"{number(min(row.runs))} to {number(max(row.runs))}"


def _magnitude(value: float) -> int:
    return len(f"{value:.0f}") - 1 if value >= 1 else math.floor(math.log10(value))


def _aligned(table: Table) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in table)


def _markdown(table: Table) -> str:
    header, *lines = table
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *lines))
