"""Writes the documents that are generated from the code; `--check` fails instead when one is stale.

    docs/states.md   every `Lifecycle` found in rota.domain: a diagram and a table
    docs/errors.md   the catalogue of rota.domain.errors

A lifecycle or an error code that is added to the domain appears here by itself.
"""

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import rota.domain
from rota.domain.errors import CATALOGUE
from rota.domain.lifecycle import Lifecycle

ROOT = Path(__file__).resolve().parent.parent
BANNER = "<!-- Generated from the code by `make bless`; edit the code, not this page. -->"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table whose columns line up in the source, so that its diffs can be read."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [headings, *escaped]) for column in range(len(headings))]
    lines = [headings, ["-" * width for width in widths], *escaped]
    return [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]


def lifecycles() -> Iterator[Lifecycle]:
    """All lifecycles of the domain, by name."""
    found: dict[str, Lifecycle] = {}
    for module in pkgutil.walk_packages(rota.domain.__path__, "rota.domain."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Lifecycle):
                found[value.name] = value
    yield from (found[name] for name in sorted(found))


def diagram(lifecycle: Lifecycle) -> list[str]:
    return [
        "```mermaid",
        "stateDiagram-v2",
        *(f"    [*] --> {state}" for state in sorted(lifecycle.initial)),
        *(f"    {move.source} --> {move.target}: {move.event}" for move in lifecycle.transitions),
        *(f"    {state} --> [*]" for state in sorted(lifecycle.terminal)),
        "```",
    ]


def states_page() -> str:
    lines = [
        "# States",
        "",
        BANNER,
        "",
        "Each lifecycle is one table in `src/rota/domain`. No other move exists: the stores refuse it.",
    ]
    for lifecycle in lifecycles():
        moves = [
            [f"`{move.source}`", f"`{move.event}`", f"`{move.target}`", move.reason] for move in lifecycle.transitions
        ]
        lines += ["", f"## {lifecycle.name.capitalize()}", "", *diagram(lifecycle), ""]
        lines += table(["From", "Event", "To", "Meaning"], moves)
    return "\n".join(lines) + "\n"


def errors_page() -> str:
    lines = [
        "# Errors",
        "",
        BANNER,
        "",
        "Every error is `application/problem+json` with one of these codes in `code`. A code is never reused and never",
        "changes its meaning; the `detail` beside it is for people and may change.",
        "",
    ]
    rows = [
        [f"`{code}`", str(meaning.http_status), f"`{meaning.grpc_status}`", meaning.title, meaning.caller_does]
        for code, meaning in sorted(CATALOGUE.items())
    ]
    return "\n".join([*lines, *table(["Code", "HTTP", "gRPC", "Meaning", "What the caller does"], rows)]) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "docs/states.md": states_page,
    "docs/errors.md": errors_page,
}


def stale_pages(root: Path) -> list[str]:
    """The pages under `root` that differ from what the code says now."""
    return [
        name
        for name, render in PAGES.items()
        if not (root / name).exists() or (root / name).read_text(encoding="utf-8") != render()
    ]


def write_pages(root: Path) -> None:
    for name in stale_pages(root):
        page = root / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(PAGES[name](), encoding="utf-8")
        print(f"wrote {name}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the generated documents.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a document is stale")
    if not parser.parse_args().check:
        write_pages(ROOT)
        return 0
    stale = stale_pages(ROOT)
    for name in stale:
        print(f"{name} is stale; remedy: make bless, then read the difference", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
