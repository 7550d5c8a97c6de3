"""The offline preview: fire times worked out in this process by the same core that the leader uses."""

from datetime import UTC, datetime
from typing import Any, cast

from rota.core.input_reading import read_struct
from rota.core.occurrences import compile_trigger, preview, validate_trigger
from rota.domain.errors import DomainError, invalid_input
from rota.domain.problems import FieldProblem
from rota.domain.triggers import CronTrigger, Trigger

_FLAGS = {"expression": "--cron", "timezone": "--tz", "every_seconds": "--every", "overlap_hour": "--overlap-hour"}


def offline_preview(
    trigger: dict[str, Any], *, both: bool, after: str | None, limit: int, key: str
) -> dict[str, list[dict[str, Any]]]:
    """`{"items": [{"fire_at", "note"}], "skipped": [{"at", "note"}]}`. Raises INVALID_INPUT naming the flag."""
    if both or (trigger["kind"] == "cron" and trigger["expression"] is None):
        raise invalid_input([FieldProblem("--cron", "give either --cron or --every", 'such as --cron "0 2 * * *"')])
    spec = _checked(trigger)
    start = _moment(after) if after else datetime.now(UTC)  # noqa: TID251 - a person's "now", no decision rests on it
    found = preview(compile_trigger(spec, hash_key=key, anchor=start), start, limit)
    return {
        "items": [{"fire_at": _rfc3339(one.fire_at), "note": one.note} for one in found if one.fires],
        "skipped": [{"at": _rfc3339(one.fire_at), "note": one.note} for one in found if not one.fires],
    }


def _checked(trigger: dict[str, Any]) -> Trigger:
    try:
        spec = cast("Trigger", read_struct(trigger, cast("type[CronTrigger]", Trigger)))
    except DomainError as wrong:
        raise invalid_input([_by_flag(problem) for problem in wrong.problems]) from wrong
    problems = [_by_flag(problem) for problem in validate_trigger(spec)]
    if problems:
        raise invalid_input(problems)
    return spec


def _by_flag(problem: FieldProblem) -> FieldProblem:
    return FieldProblem(_FLAGS.get(problem.field, f"--{problem.field}"), problem.problem, problem.remedy)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as wrong:
        problem = FieldProblem("--after", f"{text!r} is no RFC 3339 time", "give one such as 2026-03-29T00:00:00Z")
        raise invalid_input([problem]) from wrong
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
