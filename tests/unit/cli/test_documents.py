"""Documents that people write: strict where leniency would guess."""

from pathlib import Path

import pytest

from rota.cli.documents import read_document
from rota.domain.errors import DomainError


def document(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "manifest.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_times_stay_text_for_the_api_to_read(tmp_path: Path) -> None:
    assert read_document(document(tmp_path, "at: 2026-03-29T02:30:00Z\nday: 2026-12-25\n")) == {
        "at": "2026-03-29T02:30:00Z",
        "day": "2026-12-25",
    }


def test_json_is_read_too(tmp_path: Path) -> None:
    assert read_document(document(tmp_path, '{"a": [1, true, null]}')) == {"a": [1, True, None]}


@pytest.mark.parametrize(
    ("text", "at", "problem"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", ":4:3", "stands twice"),
        ("a: [1,\n", ":2:1", "is no valid YAML"),
        ("a: 1\n---\nb: 2\n", ":2:1", "is no valid YAML"),
        ("a: !!python/object:os.system {}\n", ":1:4", "is no valid YAML"),
        ("a: &x [*x, *y]\n", ":1:12", "is no valid YAML"),
    ],
)
def test_a_wrong_document_is_refused_at_its_place(tmp_path: Path, text: str, at: str, problem: str) -> None:
    with pytest.raises(DomainError) as refused:
        read_document(document(tmp_path, text))

    assert at in refused.value.problems[0].field
    assert problem in refused.value.problems[0].problem


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(DomainError) as refused:
        read_document(tmp_path / "none.yaml")

    assert "No such file" in refused.value.problems[0].problem


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(DomainError) as refused:
        read_document(file)

    assert "UTF-8" in refused.value.problems[0].problem
