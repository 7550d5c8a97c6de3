"""`rota run …`: enqueue a run, list runs, look at one, cancel and retry."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import typer

from rota.cli.output import Column, OutputForm, field, printable
from rota.cli.session import Session, show_listing, with_session
from rota.cli.words import error_cell, reason_cell, target_cell, traceback_lines
from rota.client.names import schedule_by_name
from rota.domain.errors import invalid_input
from rota.domain.problems import FieldProblem

runs = typer.Typer(help="Runs: list, look at, enqueue, cancel, retry.", no_args_is_help=True)

RunId = Annotated[str, typer.Argument(help="the run's id", metavar="RUN")]

_LIST_COLUMNS = (
    field("ID", "id"),
    field("STATE", "state"),
    Column("TARGET", target_cell),
    field("DUE", "due_at"),
    field("FINISHED", "finished_at"),
    field("TRIES", "attempts_count"),
    Column("REASON", reason_cell),
)
_ATTEMPT_COLUMNS = (
    field("TRY", "attempt_no"),
    field("OUTCOME", "outcome"),
    field("STARTED", "started_at"),
    field("FINISHED", "finished_at"),
    field("ERROR", "error.message"),
)


def _path(run_id: str) -> str:
    return f"/runs/{quote(run_id, safe='')}"


def _show(session: Session, run: Mapping[str, Any]) -> None:
    """A table says the error in words; where it was is said by `run get`."""
    is_table = session.printer.form is OutputForm.TABLE
    session.printer.item({**run, "error": error_cell(run)} if is_table else run)


@runs.command("list")
@with_session
def list_runs(
    session: Session,
    schedule: Annotated[str | None, typer.Option(help="only this schedule's (name or id)")] = None,
    state: Annotated[str | None, typer.Option(help="scheduled, queued, running, succeeded, failed, …")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="at most so many")] = 50,
) -> None:
    """List runs, newest first."""
    schedule_id = schedule_by_name(session.client, schedule).body["id"] if schedule else None
    found = session.client.listing("/runs", limit, schedule_id=schedule_id, state=state)
    show_listing(session, found, _LIST_COLUMNS)


@runs.command("get")
@with_session
def get_run(session: Session, run: RunId) -> None:
    """Show one run with its attempts."""
    record = session.client.get(_path(run))
    attempts = list(session.client.pages(f"{_path(run)}/attempts"))
    if session.printer.form is not OutputForm.TABLE:
        session.printer.item({**record, "attempts": attempts})
        return
    _show(session, record)
    session.printer.items(attempts, _ATTEMPT_COLUMNS)
    for line in traceback_lines(record):
        session.printer.raw(printable(line))


@runs.command("create")
@with_session
def create_run(
    session: Session,
    task: Annotated[str, typer.Argument(help="the task's registered name")],
    args: Annotated[str, typer.Option("--args", help="keyword arguments as a JSON object")] = "{}",
    queue: Annotated[str | None, typer.Option(help="default: default")] = None,
    key: Annotated[str | None, typer.Option("--idempotency-key", help="a repeated key makes no second run")] = None,
    delay: Annotated[float | None, typer.Option("--delay-seconds", min=0, help="not before so many seconds")] = None,
    due_at: Annotated[str | None, typer.Option(help="not before this time, as 2026-03-29T02:00:00Z")] = None,
    unique: Annotated[
        str | None, typer.Option(help="""a JSON object: no second run beside an alike one, e.g. '{"scope": "task"}'""")
    ] = None,
) -> None:
    """Enqueue a run of a task."""
    body: dict[str, Any] = {"task": task, "args": _json_object("--args", args)}
    optional: dict[str, Any] = {"queue": queue, "idempotency_key": key, "delay_seconds": delay, "due_at": due_at}
    if unique is not None:
        optional["unique"] = _json_object("--unique", unique)
    body |= {name: value for name, value in optional.items() if value is not None}
    _show(session, session.client.call("POST", "/runs", body=body).body)


def _json_object(flag: str, text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as wrong:
        problem = FieldProblem(flag, f"is no JSON object: {wrong}", """write it such as '{"name": "value"}'""")
        raise invalid_input([problem]) from wrong


@runs.command("cancel")
@with_session
def cancel_run(session: Session, run: RunId) -> None:
    """Cancel a run: a queued one at once, a running one within seconds."""
    _show(session, session.client.call("POST", f"{_path(run)}/cancel", body={}).body)


@runs.command("retry")
@with_session
def retry_run(session: Session, run: RunId) -> None:
    """Run a finished run again, as a new run."""
    _show(session, session.client.call("POST", f"{_path(run)}/retry", body={}).body)
