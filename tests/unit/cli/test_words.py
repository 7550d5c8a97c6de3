"""What stands in a table's cell."""

from rota.cli.words import CELL_LENGTH_MAX, error_cell, reason_cell, target_cell, traceback_lines


def task(name: str, **args: object) -> dict[str, object]:
    return {"target": {"kind": "task", "task": name, "args": args}}


def test_a_command_is_told_by_itself_and_any_other_task_by_its_name() -> None:
    assert target_cell(task("rota.exec", command="df -h")) == "df -h"
    assert target_cell(task("report", command="x")) == "report"


def test_a_request_is_told_by_method_and_address() -> None:
    target = {"target": {"kind": "http", "method": "GET", "url": "http://a.example/b"}}

    assert target_cell(target) == "GET http://a.example/b"


def test_long_or_broken_text_stays_one_line_of_a_cell() -> None:
    cell = target_cell(task("rota.exec", command="echo a\necho " + "b" * 200))

    assert "\n" not in cell
    assert len(cell) == CELL_LENGTH_MAX


def test_an_error_is_told_behind_the_reason() -> None:
    assert reason_cell({"reason": "attempt 1 of 1 failed", "error": {"message": "exit code 3"}}) == (
        "attempt 1 of 1 failed: exit code 3"
    )
    assert reason_cell({"reason": "fired on time", "error": None}) == "fired on time"


def test_an_error_is_told_by_type_and_message_and_its_place_in_lines() -> None:
    failed = {"error": {"type": "ValueError", "message": "no", "traceback": "Traceback:\n  here\n"}}

    assert (error_cell(failed), traceback_lines(failed)) == ("ValueError: no", ["Traceback:", "  here"])
    assert (error_cell({"error": None}), traceback_lines({"error": None})) == ("", [])
    assert error_cell({"error": {"type": "", "message": "exit code 3", "traceback": ""}}) == "exit code 3"
