"""The little Markdown that generated documents need."""

from collections.abc import Sequence

BANNER = "<!-- Generated from the code by `make bless`; edit the code, not this page. -->"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table whose columns line up in the source, so that its diffs can be read."""
    escaped = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [headings, *escaped]) for column in range(len(headings))]
    lines = [headings, ["-" * width for width in widths], *escaped]
    return [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]


def code(text: str) -> str:
    return f"`{text}`"
