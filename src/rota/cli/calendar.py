"""`rota calendar …`: list calendars, look at one, put one from a document or an iCalendar file, delete one."""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from rota.cli.documents import read_document
from rota.cli.output import Column, field
from rota.cli.session import Session, show_listing, with_session

calendars = typer.Typer(help="Calendars: list, show, put, import, delete.", no_args_is_help=True)

CalendarName = Annotated[str, typer.Argument(help="the calendar's name", metavar="NAME")]

_COLUMNS = (
    field("NAME", "name"),
    field("VERSION", "version"),
    Column("DAYS", lambda item: len(item["dates"]) + len(item["ranges"]) + len(item["yearly"]) or "by weekday"),
    field("SCHEDULES", "schedules_count"),
    field("UPDATED", "updated_at"),
)


def _path(name: str, verb: str = "") -> str:
    return f"/calendars/{quote(name, safe='')}" + (f"/{verb}" if verb else "")


@calendars.command("list")
@with_session
def list_calendars(
    session: Session,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="at most so many")] = 500,
) -> None:
    """List calendars by name."""
    show_listing(session, session.client.listing("/calendars", limit), _COLUMNS)


@calendars.command("show")
@with_session
def show_calendar(session: Session, name: CalendarName) -> None:
    """Show a calendar."""
    session.printer.item(session.client.get(_path(name)))


@calendars.command("put")
@with_session
def put_calendar(
    session: Session,
    name: CalendarName,
    file: Annotated[Path, typer.Option("--file", "-f", help="YAML or JSON document; - for standard input")],
) -> None:
    """Create a calendar or change it, from a document (the shape of PUT /api/v1/calendars/NAME)."""
    session.printer.item(session.client.call("PUT", _path(name), body=read_document(file)).body)


@calendars.command("import")
@with_session
def import_calendar(
    session: Session,
    name: CalendarName,
    file: Annotated[Path, typer.Argument(help="an .ics file", exists=True, dir_okay=False, metavar="FILE")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only show what it would have")] = False,
) -> None:
    """Make the all-day events of an iCalendar file the days of a calendar."""
    body = {"ics": file.read_text(encoding="utf-8"), "dry_run": dry_run}
    session.printer.item(session.client.call("POST", _path(name, "import"), body=body).body)


@calendars.command("delete")
@with_session
def delete_calendar(session: Session, name: CalendarName) -> None:
    """Delete a calendar that no schedule uses."""
    session.client.call("DELETE", _path(name))
    session.printer.say(f"deleted {name}")
