"""`rota backfill …`: the backfills of schedules: list, look at one, cancel one. `rota schedule backfill` starts one."""

from typing import Annotated

import typer

from rota.cli.output import Column, field
from rota.cli.session import Session, show_listing, with_session

backfills = typer.Typer(help="Backfills: list, show, cancel.", no_args_is_help=True)

BackfillId = Annotated[str, typer.Argument(help="the backfill's id", metavar="ID")]

_COLUMNS = (
    field("ID", "id"),
    field("SCHEDULE", "schedule_id"),
    field("FROM", "from"),
    field("TO", "to"),
    field("STATE", "state"),
    Column("DONE", lambda item: f"{item['created_count'] + item['skipped_count']}/{item['total_count']}"),
    field("RUNS", "created_count"),
)


@backfills.command("list")
@with_session
def list_backfills(
    session: Session,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="at most so many")] = 100,
) -> None:
    """List backfills, the newest first."""
    show_listing(session, session.client.listing("/backfills", limit), _COLUMNS)


@backfills.command("show")
@with_session
def show_backfill(session: Session, backfill: BackfillId) -> None:
    """Show a backfill and how far it is."""
    session.printer.item(session.client.get(f"/backfills/{backfill}"))


@backfills.command("cancel")
@with_session
def cancel_backfill(session: Session, backfill: BackfillId) -> None:
    """Let a backfill make no more runs; those that it has made stay."""
    session.printer.item(session.client.call("POST", f"/backfills/{backfill}/cancel").body)
