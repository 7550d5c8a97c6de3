from pathlib import Path

import pytest

from rota.domain.errors import Bug
from rota.storage.postgres.query_files import PACKAGED_QUERIES, QueryFiles, query


@pytest.fixture
def queries(tmp_path: Path) -> QueryFiles:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "claim_batch.sql").write_text("-- why\nSELECT 1\n")
    (tmp_path / "runs" / "empty_one.sql").write_text("\n")
    (tmp_path / "runs" / "notes.txt").write_text("not a query")
    return QueryFiles(tmp_path)


def test_a_statement_is_found_by_aggregate_and_name(queries: QueryFiles) -> None:
    assert queries.text("runs/claim_batch") == "-- why\nSELECT 1"


def test_names_list_what_can_be_asked_for(queries: QueryFiles) -> None:
    assert queries.names() == ("runs/claim_batch", "runs/empty_one")


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("runs/absent", r"no query file 'runs/absent.sql'; known are: runs/claim_batch"),
        ("nothing/absent", r"no query file 'nothing/absent.sql'"),
        ("runs/empty_one", r"'runs/empty_one.sql' is empty"),
        ("claim_batch", r"not of the form '<aggregate>/<verb_noun>'"),
        ("runs/", r"not of the form"),
        ("runs/../secret", r"not of the form"),
    ],
)
def test_a_wrong_name_says_what_is_wrong(queries: QueryFiles, name: str, complaint: str) -> None:
    with pytest.raises(Bug, match=complaint):
        queries.text(name)


def test_every_packaged_statement_can_be_loaded() -> None:
    names = PACKAGED_QUERIES.names()

    assert all(query(name).startswith("--") for name in names)
