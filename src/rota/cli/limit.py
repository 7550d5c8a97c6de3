"""`rota limit …`: how many runs of a queue or tenant may run at once, and how many of a queue may begin in a second."""

from typing import Annotated
from urllib.parse import quote

import typer

from rota.cli.output import field
from rota.cli.session import Session, show_listing, with_session
from rota.domain.limit import LimitKind

limits = typer.Typer(help="Limits of queues and tenants (platform_admin).", no_args_is_help=True)

Count = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="at most so many")]
Kind = Annotated[LimitKind, typer.Argument(help="queue or tenant")]
Name = Annotated[str, typer.Argument(help="the queue's name, or the tenant's id")]

_COLUMNS = (
    field("KIND", "kind"),
    field("NAME", "name"),
    field("MOST", "concurrency_max"),
    field("RUNNING", "running_count"),
    field("PER SECOND", "rate_per_second"),
    field("BURST", "burst"),
    field("ROOM", "room"),
    field("WAITING FOR", "waiting_for"),
)


@limits.command("list")
@with_session
def list_limits(session: Session, limit: Count = 500) -> None:
    """List limits, with what runs under each."""
    show_listing(session, session.client.listing("/limits", limit), _COLUMNS)


@limits.command("set")
@with_session
def set_limit(
    session: Session,
    kind: Kind,
    name: Name,
    concurrency: Annotated[int | None, typer.Option(min=0, help="most runs at once")] = None,
    rate: Annotated[float | None, typer.Option(help="most runs that begin in a second (queues)")] = None,
    burst: Annotated[
        int | None, typer.Option(min=1, help="most that begin at once; default two seconds' worth")
    ] = None,
) -> None:
    """Set or replace a limit."""
    body = {"concurrency_max": concurrency, "rate_per_second": rate, "burst": burst}
    session.printer.item(session.client.call("PUT", _path(kind, name), body=body).body)


@limits.command("remove")
@with_session
def remove_limit(session: Session, kind: Kind, name: Name) -> None:
    """Remove a limit."""
    session.printer.item(session.client.call("DELETE", _path(kind, name)).body)


def _path(kind: LimitKind, name: str) -> str:
    return f"/limits/{kind}s/{quote(name, safe='')}"
