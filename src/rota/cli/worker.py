"""`rota worker …`: start a worker, and see those that are there."""

import typer

from rota.cli.output import Column, field
from rota.cli.process import start_worker
from rota.cli.session import Session, show_listing, with_session

workers = typer.Typer(help="Workers: start one, list them.", no_args_is_help=True)

WORKERS_MAX = 10_000

_COLUMNS = (
    field("NAME", "name"),
    field("STATE", "state"),
    Column("BUSY", lambda item: f"{item['running_count']}/{item['slots']}"),
    Column("QUEUES", lambda item: ", ".join(item["queues"])),
    field("HOST", "hostname"),
    field("HEARTBEAT", "heartbeat_at"),
    field("ID", "id"),
)


@workers.command("list")
@with_session
def list_workers(session: Session) -> None:
    """List workers (platform_admin): live ones first."""
    show_listing(session, session.client.listing("/workers", WORKERS_MAX), _COLUMNS)


workers.command("start")(start_worker)
