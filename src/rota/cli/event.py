"""`rota event …`: what happened, by filter or as it happens."""

from typing import Annotated

import typer

from rota.cli.output import Column, field, printable, shown
from rota.cli.session import Session, show_listing, with_session

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
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="at most so many")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="show new ones as they happen")] = False,
) -> None:
    """List events, newest first; with --follow, new ones as they come."""
    if follow:
        for event in session.client.follow("/events/stream", type=kind):
            line = "  ".join(printable(shown(column.read(event.data))) for column in _COLUMNS)
            session.printer.each(event.data, line)
        return
    show_listing(session, session.client.listing("/events", limit, type=kind, days=days), _COLUMNS)
