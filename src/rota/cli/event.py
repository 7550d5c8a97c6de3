"""`rota event …`: what happened, by filter or as it happens."""

from typing import Annotated, Any

import typer

from rota.cli.output import Column, OutputForm, field, shown
from rota.cli.session import Session, with_session

events = typer.Typer(help="Events: what happened, and who did it.", no_args_is_help=True)

_COLUMNS = (
    field("AT", "at"),
    field("TYPE", "type"),
    field("SUBJECT", "subject"),
    field("BY", "actor"),
    Column("DATA", lambda item: item["data"]),
)


@events.command("list")
@with_session
def list_events(
    session: Session,
    kind: Annotated[str | None, typer.Option("--type", help="only this type, such as RunFailed")] = None,
    days: Annotated[int | None, typer.Option(min=1, max=90, help="only the last so many days")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="at most so many")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="show new ones as they happen")] = False,
) -> None:
    """List events, newest first; with --follow, new ones as they come."""
    if follow:
        for _, event in session.client.events("/events/stream", type=kind):
            _show(session, event)
        return
    found = session.client.get("/events", type=kind, days=days, limit=limit)["items"]
    session.printer.items(found, _COLUMNS)


def _show(session: Session, event: dict[str, Any]) -> None:
    if session.printer.form is OutputForm.TABLE:
        session.printer.raw("  ".join(shown(column.read(event)) for column in _COLUMNS))
    else:
        session.printer.value(event)
