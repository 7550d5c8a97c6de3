"""Writes the documents that are generated from the code; `--check` fails instead when one is stale.

    docs/states.md   every `Lifecycle` found in rota.domain: a diagram and a table
    docs/errors.md   the catalogue of rota.domain.errors
    docs/api.md      the OpenAPI document

A lifecycle, an error code or an endpoint that is added appears here by itself.
"""

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import rota.domain
from rota.api.rest.app import ENDPOINTS
from rota.api.rest.openapi_document import api_description
from rota.domain.errors import CATALOGUE
from rota.domain.lifecycle import Lifecycle
from scripts import api_page
from scripts.markdown import BANNER, table

ROOT = Path(__file__).resolve().parent.parent


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


def api_reference() -> str:
    """Without the version number, which would make the page stale at every release."""
    return api_page.render(api_description(ENDPOINTS, ""))


PAGES: dict[str, Callable[[], str]] = {
    "docs/states.md": states_page,
    "docs/errors.md": errors_page,
    "docs/api.md": api_reference,
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
