"""`rota logs`: what a run wrote, all of it so far or as it comes."""

from typing import Annotated, Any

import typer

from rota.cli.output import OutputForm
from rota.cli.session import Session, with_session
from rota.client.names import schedule_by_name

LINES_PER_PAGE = 1_000


@with_session
def show_logs(
    session: Session,
    run: Annotated[str | None, typer.Argument(help="the run's id", metavar="[RUN]")] = None,
    schedule: Annotated[str | None, typer.Option(help="the newest run of this schedule (name or id)")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="stay until the run ends")] = False,
) -> None:
    """Show the output of a run."""
    run_id = _run_id(session, run, schedule)
    if follow:
        for name, line in session.client.events(f"/runs/{run_id}/logs/stream"):
            if name == "line":
                _show(session, line)
            elif name == "end":
                session.printer.say(f"run {run_id} {line.get('state', 'ended')}")
        return
    after: str | None = None
    while True:
        page = session.client.get(f"/runs/{run_id}/logs", after=after, limit=LINES_PER_PAGE)
        for line in page["items"]:
            _show(session, line)
        after = page["next_cursor"]
        if after is None:
            return


def _run_id(session: Session, run: str | None, schedule: str | None) -> str:
    if (run is None) == (schedule is None):
        raise typer.BadParameter("give either a run's id or --schedule", param_hint="RUN")
    if run is not None:
        return run
    found = schedule_by_name(session.client, schedule or "").body
    newest = session.client.get("/runs", schedule_id=found["id"], limit=1)["items"]
    if not newest:
        raise typer.BadParameter(f"schedule {found['name']!r} has no run yet", param_hint="--schedule")
    return str(newest[0]["id"])


def _show(session: Session, line: dict[str, Any]) -> None:
    if session.printer.form is OutputForm.TABLE:
        session.printer.raw(line["text"])
    else:
        session.printer.value(line)
