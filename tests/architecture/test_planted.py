"""The planted defects stay current: each has its place in the source, and its tests are there (`make planted`)."""

import ast
from pathlib import Path

from tests.planted.defects import ROOT, read_defects
from tests.planted.in_force import is_in_force


def _has_test(node_id: str) -> bool:
    file, _, name = node_id.partition("::")
    function = name.partition("[")[0]
    if not (ROOT / file).is_file():
        return False
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function
        for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))
    )


def test_every_defect_has_exactly_one_place_in_the_source() -> None:
    places = {each.id: (ROOT / each.file).read_text(encoding="utf-8").count(each.find) for each in read_defects()}
    assert {name: count for name, count in places.items() if count != 1} == {}


def test_every_defect_changes_something_and_has_tests_that_exist() -> None:
    defects = read_defects()
    assert [each.id for each in defects if each.find == each.replace or not each.tests] == []
    assert [test for each in defects for test in each.tests if not _has_test(test)] == []


def test_no_two_defects_have_one_name() -> None:
    names = [each.id for each in read_defects()]
    assert sorted(set(names)) == sorted(names)


def test_a_defect_of_a_function_is_planted_into_the_one_in_force() -> None:
    placed = [each for each in read_defects() if "/migrations/" in each.file]
    assert [each.id for each in placed if not is_in_force(ROOT / each.file, each.find)] == []


def test_a_function_that_is_created_anew_later_is_not_in_force(tmp_path: Path) -> None:
    body = "CREATE FUNCTION scheduler.f() RETURNS void AS $$ guard $$;\n-- behind\n"
    first, second = tmp_path / "0001.sql", tmp_path / "0002.sql"
    first.write_text(body)
    assert is_in_force(first, "guard")
    second.write_text(body.replace("CREATE", "CREATE OR REPLACE"))
    assert not is_in_force(first, "guard")
    assert is_in_force(first, "behind")
