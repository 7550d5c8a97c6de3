"""What other people wrote is shown as it is, and never obeyed."""

import json

import pytest
import yaml

from rota.cli.output import OutputForm, Printer, field, printable, shown

ITEM = {"id": "1", "name": ":smile: [red]x[/red]", "at": "2026-03-29T01:00:00.5Z", "none": None, "list": []}
COLUMNS = (field("ID", "id"), field("NAME", "name"), field("AT", "at"), field("NONE", "none"), field("DEEP", "a.b"))


def test_a_table_neither_reads_markup_nor_cuts_anything(capsys: pytest.CaptureFixture[str]) -> None:
    Printer(OutputForm.TABLE).items([{**ITEM, "id": "x" * 300}], COLUMNS)

    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["ID", "NAME", "AT", "NONE", "DEEP"]
    assert row.split() == ["x" * 300, ":smile:", "[red]x[/red]", "2026-03-29", "01:00:00Z", "-", "-"]


@pytest.mark.parametrize(("form", "read"), [(OutputForm.JSON, json.loads), (OutputForm.YAML, yaml.safe_load)])
def test_machine_forms_hold_exactly_the_value(
    form: OutputForm, read: object, capsys: pytest.CaptureFixture[str]
) -> None:
    Printer(form).items([ITEM], COLUMNS, total_count=1)

    assert callable(read)
    assert read(capsys.readouterr().out) == {"items": [ITEM], "total_count": 1}


def test_what_comes_one_by_one_is_a_line_of_json_or_a_yaml_document(capsys: pytest.CaptureFixture[str]) -> None:
    for form in OutputForm:
        for text in ("a", "b"):
            Printer(form).each({"text": text}, text)

    said = capsys.readouterr().out
    assert said == 'a\nb\n{"text":"a"}\n{"text":"b"}\n---\ntext: a\n---\ntext: b\n'


@pytest.mark.parametrize(
    ("text", "seen"), [("plain – ünï", "plain – ünï"), ("a\x1b[2Jb", "a\\x1b[2Jb"), ("two\nlines", "two\\nlines")]
)
def test_control_characters_are_shown(text: str, seen: str) -> None:
    assert printable(text) == seen


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "-"),
        ([], "-"),
        ("", "-"),
        (None, "-"),
        ({"a": {}}, '{"a":{}}'),
        ([0], "[0]"),
        (["a", "b"], "a; b"),
        (0, "0"),
        (False, "no"),
    ],
)
def test_only_what_is_empty_is_a_dash(value: object, text: str) -> None:
    assert shown(value) == text
