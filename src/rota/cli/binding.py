"""`rota template …` and `rota binding …`: subjects that must have a schedule, and what it is made from."""

import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from rota.cli.documents import read_document
from rota.cli.output import field
from rota.cli.session import Session, show_listing, with_session
from rota.domain.errors import invalid_input
from rota.domain.problems import FieldProblem

templates = typer.Typer(help="Templates that schedules of bindings are made from.", no_args_is_help=True)
bindings = typer.Typer(help="Subjects that must have a schedule.", no_args_is_help=True)

Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="at most so many")]
TemplateName = Annotated[str, typer.Argument(help="the template's name", metavar="NAME")]
Kind = Annotated[str, typer.Argument(help="what kind of subject it is")]
Subject = Annotated[str, typer.Argument(help="whom the schedule is for")]
OfKind = Annotated[str | None, typer.Option("--kind", help="only this kind")]
OfSubject = Annotated[str | None, typer.Option("--subject", help="only this subject")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="tell what would be done, and do nothing")]

_TEMPLATE_COLUMNS = (
    field("NAME", "name"),
    field("VERSION", "version"),
    field("CHANGED", "updated_at"),
    field("BY", "updated_by"),
    field("DESCRIPTION", "description"),
)
_BINDING_COLUMNS = (
    field("KIND", "kind"),
    field("SUBJECT", "subject"),
    field("STATE", "state"),
    field("TEMPLATE", "template"),
    field("SCHEDULE", "schedule_id"),
)
_WALK_COLUMNS = (
    field("KIND", "kind"),
    field("SUBJECT", "subject"),
    field("OUTCOME", "outcome"),
    field("DETAIL", "detail"),
)


@templates.command("list")
@with_session
def list_templates(session: Session, limit: Limit = 500) -> None:
    """List templates by name."""
    show_listing(session, session.client.listing("/schedule-templates", limit), _TEMPLATE_COLUMNS)


@templates.command("get")
@with_session
def get_template(session: Session, name: TemplateName) -> None:
    """Show one, with its body."""
    session.printer.item(session.client.get(_template_path(name)))


@templates.command("put")
@with_session
def put_template(
    session: Session,
    name: TemplateName,
    file: Annotated[Path, typer.Option("--file", "-f", help="YAML or JSON with body and defaults; `-` reads stdin")],
) -> None:
    """Make or change a template."""
    session.printer.item(session.client.call("PUT", _template_path(name), body=read_document(file)).body)


@templates.command("delete")
@with_session
def delete_template(session: Session, name: TemplateName) -> None:
    """Delete a template that no binding names."""
    session.printer.item(session.client.call("DELETE", _template_path(name)).body)


@bindings.command("list")
@with_session
def list_bindings(
    session: Session,
    kind: OfKind = None,
    state: Annotated[str | None, typer.Option(help="missing, current or outdated")] = None,
    limit: Limit = 500,
) -> None:
    """List bindings by kind and subject."""
    found = session.client.listing("/bindings", limit, kind=kind, state=state)
    show_listing(session, found, _BINDING_COLUMNS)


@bindings.command("get")
@with_session
def get_binding(session: Session, kind: Kind, subject: Subject) -> None:
    """Show one."""
    session.printer.item(session.client.get(_binding_path(kind, subject)))


@bindings.command("set")
@with_session
def set_binding(
    session: Session,
    kind: Kind,
    subject: Subject,
    template: Annotated[str, typer.Option(help="the template's name")],
    parameters: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE; a number, true or false where it looks like one")
    ] = None,
) -> None:
    """Declare that a subject must have a schedule; `reconcile` makes it."""
    body = {"template": template, "parameters": dict(_parameter(one) for one in parameters or ())}
    session.printer.item(session.client.call("PUT", _binding_path(kind, subject), body=body).body)


@bindings.command("delete")
@with_session
def delete_binding(
    session: Session,
    kind: Kind,
    subject: Subject,
    with_schedule: Annotated[bool, typer.Option("--delete-schedule", help="its schedule is deleted too")] = False,
) -> None:
    """Delete a binding; its schedule stays unless you say otherwise."""
    fate = {"schedule": "delete" if with_schedule else "keep"}
    session.printer.item(session.client.call("DELETE", _binding_path(kind, subject), query=fate).body)


@bindings.command("reconcile")
@with_session
def reconcile(session: Session, kind: OfKind = None, subject: OfSubject = None, dry_run: DryRun = False) -> None:
    """Make the schedules that are missing. Exit code 1 where one could not be made."""
    _walk(session, "reconcile", "created", {"kind": kind, "subject": subject, "dry_run": dry_run})


@bindings.command("update")
@with_session
def update(session: Session, kind: OfKind = None, subject: OfSubject = None, dry_run: DryRun = False) -> None:
    """Make outdated schedules what their templates make now. Exit code 1 where one could not be updated."""
    _walk(session, "update", "updated", {"kind": kind, "subject": subject, "dry_run": dry_run})


def _walk(session: Session, verb: str, done: str, body: dict[str, Any]) -> None:
    """Shows what was done and what failed; only counts what was skipped."""
    shown, skipped_count, cursor, held = list[dict[str, Any]](), 0, None, ""
    while True:
        said = {**body, "cursor": cursor} if cursor else body
        answer = dict(session.client.call("POST", f"/bindings/{verb}", body=said).body)
        shown += [
            {**one, "outcome": done, "detail": one["schedule_id"] or answer["message"] or "dry run"}
            for one in answer[done]
        ]
        shown += [{**one, "outcome": one["code"]} for one in answer["failures"]]
        skipped_count += len(answer["skipped"])
        cursor, held = answer["next_cursor"], answer["message"]
        if cursor is None:
            break
    failures_count = sum("code" in one for one in shown)
    session.printer.items(shown, _WALK_COLUMNS, skipped_count=skipped_count, failures_count=failures_count)
    if held:
        session.printer.say(f"nothing was done: {held}")
    if failures_count:
        raise typer.Exit(1)


def _parameter(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise invalid_input([FieldProblem("--set", f"{text!r} is no NAME=VALUE", "send it such as --set hour=4")])
    try:
        read: object = json.loads(value)
    except ValueError:
        return name, value
    return name, read if isinstance(read, bool | int | float) else value


def _template_path(name: str) -> str:
    return f"/schedule-templates/{quote(name, safe='')}"


def _binding_path(kind: str, subject: str) -> str:
    return f"/bindings/{quote(kind, safe='')}/{quote(subject, safe='')}"
