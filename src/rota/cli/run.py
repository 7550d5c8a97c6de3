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


_SEGMENT_COLUMNS = (
    field("NO", "segment_no"),
    field("STATE", "state"),
    field("ITEMS", "items_count"),
    field("FIRST", "first_item"),
    field("LAST", "last_item"),
    field("RUN", "child_run_id"),
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
    dead: Annotated[bool, typer.Option("--dead-lettered", help="only the dead letters")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="at most so many")] = 50,
) -> None:
    """List runs, newest first."""
    schedule_id = schedule_by_name(session.client, schedule).body["id"] if schedule else None
    found = session.client.listing(
        "/runs", limit, schedule_id=schedule_id, state=state, **({"dead_lettered": "true"} if dead else {})
    )
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
    after: Annotated[list[str] | None, typer.Option(help="not before this run has ended (may be repeated)")] = None,
    when: Annotated[
        str | None, typer.Option(help="how those must end: all_succeeded (default), any_succeeded, always")
    ] = None,
    unique: Annotated[
        str | None, typer.Option(help="""a JSON object: no second run beside an alike one, e.g. '{"scope": "task"}'""")
    ] = None,
    concurrency_key: Annotated[str | None, typer.Option(help="what it shares its places with")] = None,
    concurrency_max: Annotated[int | None, typer.Option(min=1, help="most runs with this key at once")] = None,
) -> None:
    """Enqueue a run of a task."""
    body: dict[str, Any] = {"task": task, "args": _json_object("--args", args)}
    optional: dict[str, Any] = {
        "queue": queue,
        "idempotency_key": key,
        "delay_seconds": delay,
        "due_at": due_at,
        "when": when,
    }
    if after:
        body["depends_on"] = [{"run_id": upstream} for upstream in after]
    policy = {"concurrency_key": concurrency_key, "concurrency_max": concurrency_max}
    if any(value is not None for value in policy.values()):
        body["policy"] = {name: value for name, value in policy.items() if value is not None}
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


@runs.command("replay")
@with_session
def replay_run(session: Session, run: RunId) -> None:
    """Run a dead-lettered run again, once: whoever comes later is shown the first one's run."""
    _show(session, session.client.call("POST", f"{_path(run)}/replay", body={}).body)


@runs.command("bulk")
@with_session
def act_in_bulk(
    session: Session,
    verb: Annotated[str, typer.Argument(help="retry, cancel or delete")],
    state: Annotated[list[str] | None, typer.Option(help="in this state (may be repeated)")] = None,
    schedule: Annotated[str | None, typer.Option(help="of this schedule (name or id)")] = None,
    task: Annotated[str | None, typer.Option(help="of this task")] = None,
    queue: Annotated[str | None, typer.Option(help="of this queue")] = None,
    after: Annotated[str | None, typer.Option(help="created after this time")] = None,
    before: Annotated[str | None, typer.Option(help="created before this time")] = None,
    failure_class: Annotated[str | None, typer.Option(help="failed for this class of reason, such as network")] = None,
    dead: Annotated[bool, typer.Option("--dead-lettered", help="only dead-lettered ones")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run/--for-real", help="only say how many there are")] = True,
) -> None:
    """Retry, cancel or delete (for good) all runs that match, after a count of them."""
    schedule_id = schedule_by_name(session.client, schedule).body["id"] if schedule else None
    conditions = {
        "states": state,
        "schedule_id": schedule_id,
        "task": task,
        "queue": queue,
        "created_after": after,
        "created_before": before,
        "failure_class": failure_class,
        "dead_lettered": dead or None,
    }
    body: dict[str, Any] = {"filter": {name: one for name, one in conditions.items() if one is not None}}
    path = "/runs/bulk/delete" if verb == "delete" else "/runs/bulk"
    if verb != "delete":
        body["verb"] = verb
    answer = session.client.call("POST", path, body=body).body
    if not dry_run:
        body |= {"dry_run": False, "expected_count": answer["matched_count"]}
        answer = session.client.call("POST", path, body=body).body["operation"]
        while answer["finished_at"] is None:
            handled = answer["done_count"] + answer["skipped_count"]
            session.printer.say(f"{handled} of {answer['expected_count']}; operation {answer['id']}")
            answer = session.client.call("POST", f"/runs/bulk/{answer['id']}/continue", body={}).body
    session.printer.item(answer)


@runs.command("impact")
@with_session
def show_impact(
    session: Session,
    run: RunId,
    items: Annotated[bool, typer.Option("--items", help="the items themselves, one a line")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500_000, help="at most so many items")] = 100_000,
) -> None:
    """Show what a run that fans out covers: counts, or the items."""
    if not items:
        session.printer.item(session.client.get(f"{_path(run)}/impact"))
        return
    for item in session.client.listing(f"{_path(run)}/impact/items", limit).items:
        session.printer.raw(printable(item if isinstance(item, str) else msgspec.json.encode(item).decode()))


@runs.command("segments")
@with_session
def list_segments(
    session: Session,
    run: RunId,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="at most so many")] = 1_000,
) -> None:
    """List the segments of a run that fans out."""
    show_listing(session, session.client.listing(f"{_path(run)}/segments", limit), _SEGMENT_COLUMNS)
