"""How targets and outcomes are said in a table's cell: short, and the telling part first."""

from collections.abc import Mapping
from typing import Any

CELL_LENGTH_MAX = 60


def target_cell(item: Mapping[str, Any]) -> str:
    """The command of `rota.exec`, method and address of a request, else the task's name."""
    target: Mapping[str, Any] = item["target"]
    if target["kind"] == "http":
        return _cut(f"{target['method']} {target['url']}")
    if target["kind"] == "segment":
        return _cut(f"segment {target['segment_no']}: {target.get('task') or 'a request'}")
    command: object = target["args"].get("command") if target["task"] == "rota.exec" else None
    return str(target["task"]) if command is None else _cut(str(command))


def reason_cell(item: Mapping[str, Any]) -> str:
    """What went wrong where something did, else why the run is there."""
    error: Mapping[str, Any] | None = item.get("error")
    return _cut(f"{item['reason']}: {error['message']}") if error else str(item["reason"])


def error_cell(item: Mapping[str, Any]) -> str:
    """What went wrong, without where; empty where nothing did."""
    error: Mapping[str, Any] | None = item.get("error")
    if not error:
        return ""
    return f"{error['type']}: {error['message']}" if error["type"] else str(error["message"])


def traceback_lines(item: Mapping[str, Any]) -> list[str]:
    """Where it went wrong."""
    error: Mapping[str, Any] | None = item.get("error")
    return str(error["traceback"]).splitlines() if error else []


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= CELL_LENGTH_MAX else f"{line[: CELL_LENGTH_MAX - 1]}…"
