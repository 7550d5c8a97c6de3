"""`rota apply` and `rota diff`: make a tenant's schedules match a file, or show what that would change."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from rota.cli.declared import declared_document
from rota.cli.documents import read_document
from rota.cli.output import Column, OutputForm, field
from rota.cli.session import Session, with_session
from rota.client.http import ApiClient
from rota.core.manifest import ExistingSchedule, ManifestStep, plan_manifest, read_manifest
from rota.core.validation import validate_draft
from rota.domain.errors import Bug, invalid_input
from rota.domain.problems import FieldProblem
from rota.domain.schedule import ScheduleDraft

FileOption = Annotated[Path | None, typer.Option("--file", "-f", help="YAML or JSON manifest; - for standard input")]
AppOption = Annotated[str | None, typer.Option(help="in its place: what @app.schedule declares in module:app")]

EXIT_DIFFERENCES = 1
PROGRESS_FROM_STEPS = 100
BATCH_DRAFTS_MAX = 1_000
BATCH_BYTES_MAX = 8 * 1_048_576

_COLUMNS = (
    field("", "verb"),
    field("SCHEDULE", "name"),
    Column("CHANGES", lambda item: "; ".join(_change(one) for one in item["differences"])),
)


def _change(difference: Mapping[str, Any]) -> str:
    before, after = (msgspec.json.encode(difference[side]).decode() for side in ("before", "after"))
    return f"{difference['field']}: {before} -> {after}"


@with_session
def apply_manifest(
    session: Session,
    file: FileOption = None,
    app: AppOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show the steps, change nothing")] = False,
    prune: Annotated[
        str | None, typer.Option(help="label the schedules with this name, and delete those so labelled that are gone")
    ] = None,
) -> None:
    """Create and change schedules so that they match a manifest. The same manifest twice changes nothing."""
    drafts = checked(read_manifest(_document(file, app), managed_as=prune))
    steps = plan_manifest(drafts, existing_schedules(session.client), prune_label=prune)
    if not dry_run:
        carry_out(session.client, steps)
    show_steps(session, steps)


@with_session
def diff_manifest(session: Session, file: FileOption = None, app: AppOption = None) -> None:
    """Show what `apply` would change. Exit code 1 where there is something."""
    drafts = checked(read_manifest(_document(file, app)))
    steps = plan_manifest(drafts, existing_schedules(session.client))
    changes = [step for step in steps if step.verb != "unchanged"]
    show_steps(session, changes)
    if changes:
        raise typer.Exit(EXIT_DIFFERENCES)


def _document(file: Path | None, app: str | None) -> object:
    if file is not None and app is None:
        return read_document(file)
    if app is not None and file is None:
        return declared_document(app)
    raise invalid_input([FieldProblem("--file", "exactly one of --file and --app is needed", "give one of them")])


def checked(drafts: tuple[ScheduleDraft, ...]) -> tuple[ScheduleDraft, ...]:
    """The drafts, once every field of every one is right: so that a manifest is applied whole or not at all."""
    problems = [
        problem.under(f"schedules[{position}]")
        for position, draft in enumerate(drafts)
        for problem in validate_draft(draft)
    ]
    if problems:
        raise invalid_input(problems)
    return drafts


def existing_schedules(client: ApiClient) -> dict[str, ExistingSchedule]:
    """All live schedules of the tenant, by name."""
    return {one["name"]: as_existing(one) for one in client.pages("/schedules")}


def as_existing(schedule: Mapping[str, Any]) -> ExistingSchedule:
    """A schedule of the API as the draft that would make it again."""
    fields = {name: schedule[name] for name in ScheduleDraft.__struct_fields__ if name in schedule}
    fields["triggers"] = [
        {name: value for name, value in trigger.items() if name not in _TRIGGER_PROGRESS}
        for trigger in schedule["triggers"]
    ]
    draft = msgspec.convert(fields, ScheduleDraft)
    return ExistingSchedule(schedule["id"], f'"{schedule["version"]}"', draft)


_TRIGGER_PROGRESS = {"id", "next_fire_at", "fired_through", "fires_count", "fires_left", "anchor_at"}


def carry_out(client: ApiClient, steps: Iterable[ManifestStep]) -> None:
    """Make each step so; a progress bar where there are many."""
    todo = [step for step in steps if step.verb != "unchanged"]
    made = [step.draft for step in todo if step.draft is not None and step.existing is None]
    changed = [step for step in todo if step.existing is not None]
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=len(todo) < PROGRESS_FROM_STEPS) as progress:
        task = progress.add_task("applying", total=len(todo))
        for batch in batches(made):
            client.call("POST", "/schedules/bulk", body=batch)
            progress.advance(task, len(batch))
        for step in changed:
            _change_one(client, step)
            progress.advance(task)


def batches(drafts: Iterable[ScheduleDraft]) -> Iterator[list[ScheduleDraft]]:
    """What the API takes at once: so many drafts, and a body of so many bytes. Each batch is stored whole or not."""
    batch: list[ScheduleDraft] = []
    size = 0
    for draft in drafts:
        draft_bytes = len(msgspec.json.encode(draft)) + 1
        if batch and (len(batch) == BATCH_DRAFTS_MAX or size + draft_bytes > BATCH_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(draft)
        size += draft_bytes
    if batch:
        yield batch


def _change_one(client: ApiClient, step: ManifestStep) -> None:
    if step.existing is None:
        raise Bug("what does not exist cannot be changed")
    path, match = f"/schedules/{step.existing.id}", {"If-Match": step.existing.etag}
    if step.verb == "delete":
        client.call("DELETE", path, headers=match)
    else:
        client.call("PUT", path, body=step.draft, headers=match)


def show_steps(session: Session, steps: Iterable[ManifestStep]) -> None:
    """One line per schedule, and a sentence that counts them."""
    listed = [
        {"verb": step.verb, "name": step.name, "differences": msgspec.to_builtins(step.differences)} for step in steps
    ]
    session.printer.items(listed, _COLUMNS)
    if session.printer.form is OutputForm.TABLE:
        counts = {
            verb: sum(step["verb"] == verb for step in listed) for verb in ("create", "replace", "delete", "unchanged")
        }
        session.printer.say(", ".join(f"{count} {verb}" for verb, count in counts.items() if count) or "nothing to do")
