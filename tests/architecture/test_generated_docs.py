"""The generated documents agree with the code, and the check would notice if they did not."""

import re
from pathlib import Path

from rota.api.rest.app import ENDPOINTS
from rota.domain.errors import CATALOGUE
from rota.domain.run import RUN_LIFECYCLE
from scripts import generate_docs

ROOT = Path(__file__).resolve().parents[2]


def test_generated_documents_are_current() -> None:
    assert generate_docs.stale_pages(ROOT) == []


def test_a_document_that_differs_is_stale(tmp_path: Path) -> None:
    generate_docs.write_pages(tmp_path)
    assert generate_docs.stale_pages(tmp_path) == []

    page = tmp_path / "docs/errors.md"
    page.write_text(page.read_text().replace("404", "403"))

    assert generate_docs.stale_pages(tmp_path) == ["docs/errors.md"]


def test_every_error_code_and_every_move_is_documented() -> None:
    errors, states = generate_docs.errors_page(), generate_docs.states_page()

    assert [code for code in CATALOGUE if f"| `{code}`" not in errors] == []
    assert [
        move for move in RUN_LIFECYCLE.transitions if f"{move.source} --> {move.target}: {move.event}" not in states
    ] == []


def test_every_endpoint_is_documented() -> None:
    page = generate_docs.api_reference()

    assert [one for one in ENDPOINTS if f"`{one.method} {one.full_path}`" not in page] == []


def test_every_link_within_the_api_page_leads_somewhere() -> None:
    page = generate_docs.api_reference()
    headings = {line.lstrip("# ").lower() for line in page.splitlines() if line.startswith("#")}

    assert [target for target in re.findall(r"\]\(#([^)]+)\)", page) if target not in headings] == []


def test_every_lifecycle_is_sound() -> None:
    for lifecycle in generate_docs.lifecycles():
        moves = [(move.source, move.event) for move in lifecycle.transitions]
        assert len(moves) == len(set(moves)), f"{lifecycle.name}: an event leads to two states"
        assert not {move.source for move in lifecycle.transitions} & lifecycle.terminal, (
            f"{lifecycle.name}: an end is left"
        )
        reached = lifecycle.initial | {move.target for move in lifecycle.transitions}
        assert lifecycle.states == reached, f"{lifecycle.name}: a state cannot be reached"
