"""`rota logs`: what a run wrote, all of it so far or as it comes."""

from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import quote

import typer

from rota.cli.output import OutputForm
from rota.cli.session import Session, with_session
from rota.client.http import ApiClient
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
        for event in session.client.follow(f"/runs/{quote(run_id, safe='')}/logs/stream"):
            if event.name == "line":
                session.printer.each(event.data, event.data["text"])
            elif event.name == "end":
                session.printer.say(f"run {run_id} {event.data['state']}")
        return
    lines = _lines(session.client, run_id)
    if session.printer.form is not OutputForm.TABLE:
        session.printer.value({"items": list(lines)})
        return
    for line in lines:
        session.printer.raw(line["text"])


def _lines(client: ApiClient, run_id: str) -> Iterator[dict[str, Any]]:
    after: str | None = None
    while True:
        page = client.get(f"/runs/{quote(run_id, safe='')}/logs", after=after, limit=LINES_PER_PAGE)
        yield from page["items"]
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
