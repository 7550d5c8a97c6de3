"""`rota retention …`: how long history is kept, and dropping what is over (platform_admin)."""

from typing import Annotated

import typer

from rota.cli.output import field
from rota.cli.session import Session, with_session

retention = typer.Typer(help="How long history is kept (platform_admin).", no_args_is_help=True)

_RULES = (
    field("KIND", "kind"),
    field("DAYS", "keep_days"),
    field("LEAST", "least_days"),
    field("WITHIN", "within"),
    field("CHANGED BY", "changed_by"),
    field("WHAT", "what"),
)
_DAYS = (
    field("KIND", "kind"),
    field("DAY", "day"),
    field("BYTES", "bytes"),
    field("ROWS (ESTIMATE)", "rows_estimate"),
    field("OUTCOME", "outcome"),
)


@retention.command("show")
@with_session
def show_rules(session: Session) -> None:
    """Show how long each kind of history is kept."""
    session.printer.items(session.client.get("/retention")["items"], _RULES)


@retention.command("set")
@with_session
def set_rule(
    session: Session,
    kind: Annotated[str, typer.Argument(help="a kind that `show` names")],
    keep_days: Annotated[int, typer.Argument(metavar="DAYS", help="how many days are kept")],
) -> None:
    """Keep a kind of history for so many days."""
    body = {"keep_days": {kind: keep_days}}
    session.printer.items(session.client.call("PATCH", "/retention", body=body).body["items"], _RULES)


@retention.command("plan")
@with_session
def plan_retention(session: Session) -> None:
    """Show which days of history are over; drop nothing."""
    _apply(session, dry_run=True)


@retention.command("apply")
@with_session
def apply_retention(
    session: Session,
    dry_run: Annotated[bool, typer.Option("--dry-run/--for-real", help="only show what would be dropped")] = True,
) -> None:
    """Drop what is over, with --for-real. The leader does it by itself every hour."""
    _apply(session, dry_run=dry_run)


def _apply(session: Session, *, dry_run: bool) -> None:
    done = session.client.call("POST", "/retention/apply", body={"dry_run": dry_run}).body
    beside = {name: done[name] for name in ("dry_run", "deleted", "is_done")}
    session.printer.items(done["days"], _DAYS, **beside)
    for kind, count in sorted(done["deleted"].items()):
        session.printer.say(f"{kind}: {count} removed")
    if dry_run:
        session.printer.say("nothing was dropped; `rota retention apply --for-real` does")
