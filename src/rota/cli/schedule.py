"""`rota schedule …`: schedules by name or id, and the offline preview of any expression."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from rota.cli.documents import read_document
from rota.cli.output import Column, OutputForm, Printer, field
from rota.cli.preview import offline_preview
from rota.cli.session import OutputOption, Session, show_listing, with_session
from rota.cli.words import error_cell, target_cell
from rota.client.names import schedule_by_name

schedules = typer.Typer(help="Schedules: list, create, pause, trigger, backfill, preview.", no_args_is_help=True)

NameOrId = Annotated[str, typer.Argument(help="the schedule's name or id", metavar="SCHEDULE")]
FileOption = Annotated[Path, typer.Option("--file", "-f", help="YAML or JSON document; - for standard input")]


def _state(schedule: Mapping[str, Any]) -> str:
    if schedule.get("deleted_at"):
        return "deleted"
    if schedule.get("needs_intervention"):
        return str(schedule["paused_reason"] or "needs intervention")
    if schedule["enabled"]:
        return "enabled"
    return f"paused: {schedule['paused_reason']}" if schedule.get("paused_reason") else "paused"


_LIST_COLUMNS = (
    field("NAME", "name"),
    Column("TRIGGERS", lambda item: ", ".join(_trigger_words(one) for one in item["triggers"])),
    Column("TARGET", target_cell),
    Column("STATE", _state),
    field("NEXT FIRE", "next_fire_at"),
    field("ID", "id"),
)
_PREVIEW_COLUMNS = (field("FIRE AT", "fire_at"), field("NOTE", "note"))
_SKIPPED_COLUMNS = (field("NOT FIRED", "at"), field("BECAUSE", "note"))


def _trigger_words(trigger: dict[str, Any]) -> str:
    match trigger["kind"]:
        case "cron":
            zone = trigger.get("timezone", "UTC")
            return f"{trigger['expression']} {zone}" if zone != "UTC" else str(trigger["expression"])
        case "interval":
            return f"every {trigger['every_seconds']:g} s"
        case "at":
            return f"at {trigger['at']}"
        case kind:
            return str(kind)


@schedules.command("list")
@with_session
def list_schedules(
    session: Session,
    name_prefix: Annotated[str | None, typer.Option(help="only names that begin so")] = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="the deleted ones instead")] = False,
    needing: Annotated[
        bool, typer.Option("--needs-intervention", help="only those that stopped because their runs go on failing")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="at most so many")] = 500,
) -> None:
    """List schedules, ordered by name."""
    found = session.client.listing(
        "/schedules",
        limit,
        name_prefix=name_prefix,
        deleted=deleted or None,
        needs_intervention=needing or None,
    )
    show_listing(session, found, _LIST_COLUMNS)


@schedules.command("get")
@with_session
def get_schedule(session: Session, schedule: NameOrId) -> None:
    """Show one schedule whole."""
    session.printer.item(schedule_by_name(session.client, schedule).body)


@schedules.command("create")
@with_session
def create_schedule(session: Session, file: FileOption) -> None:
    """Create a schedule from a document (the shape of POST /api/v1/schedules)."""
    created = session.client.call("POST", "/schedules", body=read_document(file)).body
    session.printer.item(created)


@schedules.command("replace")
@with_session
def replace_schedule(session: Session, schedule: NameOrId, file: FileOption) -> None:
    """Replace a schedule by a document; refused if somebody changes it meanwhile."""
    before = schedule_by_name(session.client, schedule)
    path = f"/schedules/{before.body['id']}"
    after = session.client.call("PUT", path, body=read_document(file), headers={"If-Match": before.etag})
    session.printer.item(after.body)


def _act(session: Session, schedule: str, verb: str, body: dict[str, Any]) -> None:
    found = schedule_by_name(session.client, schedule, deleted=verb == "restore").body
    session.printer.item(session.client.call("POST", f"/schedules/{found['id']}/{verb}", body=body).body)


@schedules.command("pause")
@with_session
def pause_schedule(
    session: Session, schedule: NameOrId, reason: Annotated[str, typer.Option(help="kept with the schedule")] = ""
) -> None:
    """Stop a schedule from firing until it is resumed."""
    _act(session, schedule, "pause", {"reason": reason} if reason else {})


@schedules.command("resume")
@with_session
def resume_schedule(
    session: Session,
    schedule: NameOrId,
    start: Annotated[
        str | None, typer.Option("--from", help="fire what came due after this time (RFC 3339), by the misfire policy")
    ] = None,
    reset_streak: Annotated[
        bool, typer.Option("--reset-streak", help="forgive its failures: without it the next one stops it again")
    ] = False,
) -> None:
    """Let a paused schedule fire again, from now or from a given time."""
    body = {"from": start} if start else {}
    _act(session, schedule, "resume", {**body, "reset_streak": True} if reset_streak else body)


@schedules.command("trigger")
@with_session
def trigger_schedule(session: Session, schedule: NameOrId) -> None:
    """Make a run now, beside the schedule's own times."""
    _act(session, schedule, "trigger", {})


@schedules.command("backfill")
@with_session
def backfill_schedule(
    session: Session,
    schedule: NameOrId,
    start: Annotated[str, typer.Option("--from", help="first time of the window (RFC 3339)")],
    end: Annotated[str, typer.Option("--to", help="last time of the window (RFC 3339)")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only show what would run")] = False,
    overlap: Annotated[str, typer.Option(help="queue_all: one after another; allow: side by side")] = "queue_all",
    priority: Annotated[int | None, typer.Option(help="default: the schedule's own")] = None,
    rate: Annotated[float, typer.Option("--runs-per-minute", help="at most so many")] = 60.0,
) -> None:
    """Make the firings of a past window that were not made, at a rate of their own."""
    found = schedule_by_name(session.client, schedule).body
    body: dict[str, Any] = {"from": start, "to": end, "dry_run": dry_run, "overlap": overlap}
    body |= {"priority": priority, "runs_per_minute_max": rate}
    session.printer.item(session.client.call("POST", f"/schedules/{found['id']}/backfill", body=body).body)


@schedules.command("items")
@with_session
def preview_items(
    session: Session,
    schedule: NameOrId,
    wait: Annotated[
        float, typer.Option("--wait-seconds", min=0, max=20, help="how long to wait for the resolver")
    ] = 10.0,
) -> None:
    """What a firing of a schedule that fans out would cover now; launches nothing."""
    found = schedule_by_name(session.client, schedule).body
    path = f"/schedules/{found['id']}/fan-out/preview"
    preview = session.client.call("POST", path, body={"wait_seconds": wait}).body
    shown = {name: preview[name] for name in ("items_total", "segments_count", "sample")}
    error = error_cell(preview["run"])
    session.printer.item({"run": preview["run"]["id"], "state": preview["run"]["state"], **shown, "error": error})


@schedules.command("restore")
@with_session
def restore_schedule(session: Session, schedule: NameOrId) -> None:
    """Bring a deleted schedule back, paused."""
    _act(session, schedule, "restore", {})


@schedules.command("delete")
@with_session
def delete_schedule(session: Session, schedule: NameOrId) -> None:
    """Delete a schedule; it can be restored."""
    found = schedule_by_name(session.client, schedule)
    session.client.call("DELETE", f"/schedules/{found.body['id']}", headers={"If-Match": found.etag})
    session.printer.say(f"deleted {found.body['name']} ({found.body['id']}); `rota schedule restore` brings it back")


@schedules.command("preview")
def preview_schedule(
    cron: Annotated[str | None, typer.Option(help="cron expression")] = None,
    every: Annotated[float | None, typer.Option(help="interval in seconds")] = None,
    zone: Annotated[str, typer.Option("--tz", help="IANA time zone of --cron")] = "UTC",
    after: Annotated[str | None, typer.Option(help="RFC 3339 time; default now")] = None,
    count: Annotated[int, typer.Option("-n", "--count", min=1, max=1000, help="how many fire times")] = 10,
    gap: Annotated[str, typer.Option(help="next_valid, skip or shift")] = "next_valid",
    overlap_hour: Annotated[str, typer.Option(help="first, second or both")] = "first",
    hash_key: Annotated[str, typer.Option(help="what `H` is derived from (the schedule's id)")] = "",
    output: OutputOption = OutputForm.TABLE,
) -> None:
    """The next fire times of an expression, worked out here: needs no server."""
    trigger = {"kind": "cron", "expression": cron, "timezone": zone, "gap": gap, "overlap_hour": overlap_hour}
    if every is not None:
        trigger = {"kind": "interval", "every_seconds": every}
    shown = offline_preview(
        trigger, both=cron is not None and every is not None, after=after, limit=count, key=hash_key
    )
    show_preview(Printer(output), shown)


def show_preview(printer: Printer, shown: dict[str, Any]) -> None:
    """Fire times, and below them what will not fire and why."""
    printer.items(shown["items"], _PREVIEW_COLUMNS, **{name: shown[name] for name in shown if name != "items"})
    if printer.form is OutputForm.TABLE and shown.get("skipped"):
        printer.items(shown["skipped"], _SKIPPED_COLUMNS)
    if not shown["items"]:
        printer.say("nothing is to come")
