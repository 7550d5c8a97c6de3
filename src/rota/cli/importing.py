"""`rota import …`: moving in from what a machine has today."""

import getpass
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from rota.cli.beat_app import beat_entries
from rota.cli.documents import read_document, read_text
from rota.cli.manifest import carry_out, checked, existing_schedules
from rota.cli.output import OutputForm, field
from rota.cli.session import Session, with_session
from rota.core.celery_beat import BeatReading, read_entries, read_fixture
from rota.core.crontab import CrontabOptions, CrontabReading, read_crontab
from rota.core.manifest import ManifestStep, plan_manifest
from rota.core.occurrences import validate_trigger
from rota.domain.errors import DomainError, invalid_input
from rota.domain.problems import FieldProblem
from rota.domain.triggers import AtTrigger, CronTrigger, IntervalTrigger, MilestoneTrigger, Trigger

imports = typer.Typer(help="Move in: turn what you have into schedules.", no_args_is_help=True)

_COLUMNS = (
    field("LINE", "line"),
    field("", "verb"),
    field("SCHEDULE", "name"),
    field("WHEN", "when"),
    field("COMMAND", "command"),
    field("NOTE", "note"),
)
_BEAT_COLUMNS = (
    field("", "verb"),
    field("SCHEDULE", "name"),
    field("TASK", "task"),
    field("WHEN", "when"),
    field("NOTE", "note"),
)
_REFUSED_BEAT_COLUMNS = (field("ENTRY", "name"), field("REFUSED BECAUSE", "problem"), field("REMEDY", "remedy"))
_REFUSED_COLUMNS = (field("LINE", "line"), field("REFUSED BECAUSE", "problem"), field("REMEDY", "remedy"))


@imports.command("crontab")
@with_session
def import_crontab(
    session: Session,
    file: Annotated[Path, typer.Argument(help="a crontab; - for standard input")],
    user_column: Annotated[
        bool, typer.Option("--user-column", help="lines name a user before the command, as in /etc/crontab")
    ] = False,
    run_as: Annotated[str | None, typer.Option(help="who the worker's commands run as; default you")] = None,
    zone: Annotated[str, typer.Option("--tz", help="time zone of lines without CRON_TZ")] = "UTC",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would be made, make nothing")] = False,
) -> None:
    """Turn a crontab into schedules, one a line. Importing the same file again changes nothing."""
    _refuse_unknown_zone(zone)
    options = CrontabOptions(run_as or _own_name(), user_column, zone, source=file.name)
    reading = read_crontab(read_text(file), options)
    if reading.errors:
        problems = [one.problem for one in reading.errors]
        raise DomainError("INVALID_INPUT", f"{file}: {len(problems)} wrong lines; nothing was stored", problems)
    drafts = checked(tuple(entry.draft for entry in reading.entries))
    steps = plan_manifest(drafts, existing_schedules(session.client))
    if not dry_run:
        carry_out(session.client, steps)
    _show(session, reading, {step.name: step.verb for step in steps}, dry_run=dry_run)


@imports.command("celery-beat")
@with_session
def import_celery_beat(
    session: Session,
    file: Annotated[
        Path | None, typer.Argument(help="a fixture: manage.py dumpdata django_celery_beat; - for standard input")
    ] = None,
    app: Annotated[str | None, typer.Option(help="in its place: the beat_schedule of module:app, imported")] = None,
    zone: Annotated[str | None, typer.Option("--tz", help="time zone of crontabs without one; default UTC")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="make the schedules; without it they are only shown")] = False,
) -> None:
    """Show what a Celery beat schedule becomes, and with --apply make it so. What cannot be taken over is told."""
    if (file is None) == (app is None):
        raise invalid_input([FieldProblem("--app", "give either a file or --app", "name one of the two")])
    if app is not None:
        entries, own_zone = beat_entries(app)
    else:
        assert file is not None
        entries, own_zone = read_fixture(read_document(file)), None
    _refuse_unknown_zone(zone or own_zone or "UTC")
    reading = read_entries(entries, zone or own_zone or "UTC")
    steps = plan_manifest(checked(tuple(one.draft for one in reading.drafts)), existing_schedules(session.client))
    if apply:
        carry_out(session.client, steps)
    _show_beat(session, reading, steps, applied=apply)


def _show_beat(session: Session, reading: BeatReading, steps: Sequence[ManifestStep], *, applied: bool) -> None:
    by_name = {step.name: step for step in steps}
    made = [
        {
            "verb": by_name[one.draft.name].verb,
            "name": one.draft.name,
            "task": one.entry.task,
            "when": _when(one.draft.triggers[0]),
            "note": one.note,
            "differences": msgspec.to_builtins(by_name[one.draft.name].differences),
        }
        for one in reading.drafts
    ]
    refused = [
        {"name": one.name, "problem": f"{one.problem.field}: {one.problem.problem}", "remedy": one.problem.remedy}
        for one in reading.refusals
    ]
    session.printer.items(made, _BEAT_COLUMNS, refused=refused)
    if session.printer.form is OutputForm.TABLE:
        if refused:
            session.printer.items(refused, _REFUSED_BEAT_COLUMNS)
        done = "are schedules" if applied else "would become schedules (--apply makes them)"
        session.printer.say(f"{len(made)} entries {done}, {len(refused)} refused")


def _when(trigger: Trigger) -> str:
    match trigger:
        case CronTrigger():
            return f"{trigger.expression} {trigger.timezone}"
        case IntervalTrigger():
            return f"every {trigger.every_seconds:g} s"
        case AtTrigger():
            return f"at {trigger.at.isoformat()}"
        case MilestoneTrigger():
            return f"milestone {trigger.name}"


def _refuse_unknown_zone(zone: str) -> None:
    problems = [FieldProblem("--tz", one.problem, one.remedy) for one in validate_trigger(CronTrigger("@daily", zone))]
    if problems:
        raise invalid_input(problems)


def _own_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as nameless:
        problem = FieldProblem("--run-as", "is not given, and this user has no name", "name the worker's user")
        raise invalid_input([problem]) from nameless


def _show(session: Session, reading: CrontabReading, verbs: dict[str, str], *, dry_run: bool) -> None:
    made = [
        {
            "line": entry.line_no,
            "verb": verbs[entry.draft.name],
            "name": entry.draft.name,
            "when": getattr(entry.draft.triggers[0], "expression", ""),
            "command": msgspec.to_builtins(entry.draft.target)["args"]["command"],
            "note": entry.note,
        }
        for entry in reading.entries
    ]
    refused = [
        {"line": one.line_no, "text": one.text, "problem": one.problem.problem, "remedy": one.problem.remedy}
        for one in reading.refusals
    ]
    session.printer.items(made, _COLUMNS, refused=refused)
    if session.printer.form is OutputForm.TABLE:
        if refused:
            session.printer.items(refused, _REFUSED_COLUMNS)
        done = "would become schedules" if dry_run else "are schedules"
        session.printer.say(f"{len(made)} lines {done}, {len(refused)} refused")
