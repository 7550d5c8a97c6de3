"""`rota check-in …`: jobs that run elsewhere and tell that they did."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from rota.cli.output import field
from rota.cli.session import Session, show_listing, with_session

check_ins = typer.Typer(help="Jobs that run elsewhere and tell that they did.", no_args_is_help=True)

Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="at most so many")]
CheckInId = Annotated[str, typer.Argument(metavar="ID")]

_COLUMNS = (
    field("ID", "id"),
    field("NAME", "name"),
    field("STATE", "state"),
    field("LAST SUCCESS", "succeeded_at"),
    field("LAST FAILURE", "failed_at"),
    field("MISSED", "missed_at"),
    field("DEADLINE", "deadline_at"),
    field("PAUSED", "paused_at"),
)


@check_ins.command("list")
@with_session
def list_check_ins(session: Session, limit: Limit = 500) -> None:
    """List check-ins by name."""
    show_listing(session, session.client.listing("/check-ins", limit), _COLUMNS)


@check_ins.command("get")
@with_session
def get_check_in(session: Session, check_in_id: CheckInId) -> None:
    """Show one."""
    session.printer.item(session.client.get(_path(check_in_id)))


@check_ins.command("create")
@with_session
def create_check_in(
    session: Session,
    name: Annotated[str, typer.Argument(help="the job's name")],
    cron: Annotated[str | None, typer.Option(help="when an end is expected, as a cron expression")] = None,
    zone: Annotated[str, typer.Option("--tz", help="time zone of the expression")] = "UTC",
    every: Annotated[float | None, typer.Option(help="seconds from one end to the next")] = None,
    grace: Annotated[float, typer.Option(help="seconds past that time until it is missed")] = 300.0,
) -> None:
    """Make a check-in. The URL to ping is shown this once."""
    body = {"name": name, "cron": cron, "timezone": zone, "every_seconds": every, "grace_seconds": grace}
    _show_address(session, dict(session.client.call("POST", "/check-ins", body=body).body))


@check_ins.command("pause")
@with_session
def pause_check_in(session: Session, check_in_id: CheckInId) -> None:
    """Wait for nothing until it is resumed."""
    session.printer.item(session.client.call("POST", f"{_path(check_in_id)}/pause").body)


@check_ins.command("resume")
@with_session
def resume_check_in(session: Session, check_in_id: CheckInId) -> None:
    """Wait for the next end from now on."""
    session.printer.item(session.client.call("POST", f"{_path(check_in_id)}/resume").body)


@check_ins.command("rotate")
@with_session
def rotate_check_in(
    session: Session,
    check_in_id: CheckInId,
    overlap: Annotated[float, typer.Option(help="seconds for which the old URL is good beside the new one")] = 0.0,
) -> None:
    """Make another URL. It is shown this once; the old one is dead at once, or after the overlap."""
    path = f"{_path(check_in_id)}/rotate"
    _show_address(session, dict(session.client.call("POST", path, body={"overlap_seconds": overlap}).body))


@check_ins.command("delete")
@with_session
def delete_check_in(session: Session, check_in_id: CheckInId) -> None:
    """Delete a check-in; its URL is dead from now on."""
    session.printer.item(session.client.call("DELETE", _path(check_in_id)).body)


def _show_address(session: Session, made: dict[str, Any]) -> None:
    session.printer.item({**made, "ping_url": f"{session.client.url}{made['ping_path']}"})


def _path(check_in_id: str) -> str:
    return f"/check-ins/{quote(check_in_id, safe='')}"
