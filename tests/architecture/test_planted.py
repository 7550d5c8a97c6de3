"""The planted defects stay current: each has its place in the source, and its tests are there (`make planted`)."""

import ast

from tests.planted.defects import ROOT, read_defects


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
