"""`rota stats …`: how runs ended, how long they took, and whether the statistics lack any."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from rota.cli.output import field
from rota.cli.session import Session, with_session

stats = typer.Typer(help="How runs ended, by hour and ever.", no_args_is_help=True)

Hours = Annotated[int, typer.Option("--window-hours", min=1, help="how many hours back")]

_HOURS = (
    field("HOUR", "hour"),
    field("SUCCEEDED", "sums.succeeded_count"),
    field("FAILED", "sums.failed_count"),
    field("CANCELLED", "sums.cancelled_count"),
    field("SKIPPED", "sums.skipped_count"),
    field("LATE", "sums.late_starts_count"),
    field("P50 S", "sums.duration_seconds_p50"),
    field("P95 S", "sums.duration_seconds_p95"),
    field("MAX S", "sums.duration_seconds_max"),
)
_KINDS = (
    field("KIND", "kind"),
    field("FOUND", "found"),
    field("EXECUTED", "executed"),
    field("SKIPPED", "skipped"),
    field("FAILED", "failed"),
    field("REFUSED", "refused"),
)
_COMPARED = (field("HOUR", "hour"), field("RECORDS", "found_count"), field("NOT COUNTED", "uncounted_count"))


@stats.command("show")
@with_session
def show_stats(session: Session, window_hours: Hours = 24) -> None:
    """Show the tenant's counts: now, in the window, and ever."""
    session.printer.item(session.client.get(f"/stats?window_hours={window_hours}"))


@stats.command("hours")
@with_session
def list_hours(
    session: Session,
    schedule: Annotated[str | None, typer.Option(help="a schedule's id; without it, all runs")] = None,
    window_hours: Hours = 24,
) -> None:
    """List hours: how runs ended, how long they took."""
    path = "/stats/hours" if schedule is None else f"/schedules/{quote(schedule, safe='')}/hours"
    shown = session.client.get(f"{path}?window_hours={window_hours}")
    session.printer.items(shown["items"], _HOURS, since=shown["since"], total=shown["total"])


@stats.command("cycles")
@with_session
def show_cycles(session: Session) -> None:
    """Show what the leaders' looks for due times ever came to, by kind of trigger (platform_admin)."""
    totals = session.client.get("/stats/cycles")
    kinds = [{"kind": kind, **counts} for kind, counts in sorted(totals["sums"]["by_kind"].items())]
    beside = {name: totals["sums"][name] for name in ("checks_count", "failed_checks_count", "cycles_count")}
    session.printer.items(kinds, _KINDS, since=totals["since"], last_at=totals["last_at"], **beside)
    session.printer.say(
        f"{beside['checks_count']} looks since {totals['since']}; in {beside['cycles_count']} something was due"
    )


@stats.command("drift")
@with_session
def show_drift(session: Session, window_hours: Hours = 24) -> None:
    """Compare records with the statistics; change nothing."""
    _show_compared(session, session.client.get(f"/stats/drift?window_hours={window_hours}"))


@stats.command("reconcile")
@with_session
def reconcile_stats(session: Session, window_hours: Hours = 24) -> None:
    """Count the runs that the statistics lack."""
    _show_compared(session, session.client.call("POST", "/stats/reconcile", body={"window_hours": window_hours}).body)


def _show_compared(session: Session, compared: Any) -> None:  # noqa: ANN401 - an answer of the API
    beside = {name: compared[name] for name in ("since", "found_count", "uncounted_count")}
    session.printer.items(compared["items"], _COMPARED, **beside)
    session.printer.say(f"{compared['uncounted_count']} of {compared['found_count']} runs not counted")
