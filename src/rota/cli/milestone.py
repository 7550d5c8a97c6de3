"""`rota evidence …` and `rota milestone …`: dated facts, and what is made once of each subject some time after them."""

from typing import Annotated
from urllib.parse import quote

import typer

from rota.cli.output import field
from rota.cli.session import Session, show_listing, with_session

evidence = typer.Typer(help="Dated facts about subjects, written once.", no_args_is_help=True)
milestones = typer.Typer(help="What is made once of each subject, some time after a fact.", no_args_is_help=True)

Kind = Annotated[str, typer.Argument(metavar="KIND", help="such as installation")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="the milestone's name, such as AUTO_12H")]
Subject = Annotated[str, typer.Argument(metavar="SUBJECT", help="whom it is about")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="at most so many")]

_EVIDENCE_COLUMNS = (
    field("KIND", "kind"),
    field("SUBJECT", "subject"),
    field("OCCURRED", "occurred_at"),
    field("RECORDED", "recorded_at"),
    field("BY", "recorded_by"),
)
_COLUMNS = (
    field("SUBJECT", "subject"),
    field("NAME", "name"),
    field("STATE", "state"),
    field("DUE", "due_at"),
    field("ATTEMPTS", "attempts_count"),
    field("BACK-OFF UNTIL", "backoff_until"),
    field("GENERATED", "generated_at"),
    field("HELD SINCE", "held_since"),
    field("LAST ERROR", "last_error.message"),
)


_STATE_COLUMNS = (
    field("NAME", "name"),
    field("STATE", "state"),
    field("DUE", "due_at"),
    field("LAST ATTEMPT", "last_attempt_at"),
    field("LAST RUN", "last_run_at"),
    field("GENERATED", "generated_at"),
    field("ATTEMPTS", "attempts_count"),
    field("BACK-OFF UNTIL", "backoff_until"),
    field("LAST ERROR", "last_error.message"),
)
SUBJECT_MILESTONES_MAX = 1_000


@evidence.command("record")
@with_session
def record_evidence(
    session: Session,
    kind: Kind,
    subject: Subject,
    at: Annotated[str, typer.Option("--at", help="when it happened, such as 2026-03-01T08:30:00Z")],
) -> None:
    """Record a fact. The same again changes nothing; another time is refused."""
    session.printer.item(session.client.call("PUT", _fact(kind, subject), body={"occurred_at": at}).body)


@evidence.command("get")
@with_session
def get_evidence(session: Session, kind: Kind, subject: Subject) -> None:
    """Show a fact."""
    session.printer.item(session.client.get(_fact(kind, subject)))


@evidence.command("list")
@with_session
def list_evidence(
    session: Session,
    kind: Annotated[str | None, typer.Option(help="only of this kind")] = None,
    limit: Limit = 500,
) -> None:
    """List facts by kind and subject."""
    show_listing(session, session.client.listing("/evidence", limit, kind=kind), _EVIDENCE_COLUMNS)


@milestones.command("list")
@with_session
def list_milestones(
    session: Session,
    subject: Annotated[str | None, typer.Option(help="only of this subject")] = None,
    name: Annotated[str | None, typer.Option(help="only of this name")] = None,
    state: Annotated[str | None, typer.Option(help="waiting, in_progress, done or skipped")] = None,
    limit: Limit = 500,
) -> None:
    """Show how far each milestone is with each subject."""
    found = session.client.listing("/milestones", limit, subject=subject, name=name, state=state)
    show_listing(session, found, _COLUMNS)


@milestones.command("state")
@with_session
def show_state(
    session: Session,
    subject: Subject,
    name: Annotated[str | None, typer.Option(help="only this one")] = None,
) -> None:
    """Show how far a subject's milestones are: when tried and ended last, made, backing off, and the last error."""
    found = session.client.listing("/milestones", SUBJECT_MILESTONES_MAX, subject=subject, name=name)
    show_listing(session, found, _STATE_COLUMNS)


@milestones.command("evaluate")
@with_session
def evaluate_milestones(
    session: Session,
    subject: Subject,
    wait: Annotated[float, typer.Option("--wait", min=0, max=25, help="seconds to wait for what is tried")] = 25.0,
) -> None:
    """Try what is due of a subject now, and wait for it."""
    tenant = session.client.get("/principal")["tenant_id"]
    body = {"tenant_id": tenant, "subject": subject, "wait_seconds": wait}
    session.printer.item(session.client.call("POST", "/milestones/evaluate", body=body).body)


@milestones.command("report")
@with_session
def show_report(session: Session, name: Name, subject: Subject) -> None:
    """Show the done marker, with the result that was made."""
    session.printer.item(session.client.get(_marker(name, subject)))


@milestones.command("clear")
@with_session
def clear_marker(session: Session, name: Name, subject: Subject) -> None:
    """Take the done marker away: it will be made again."""
    session.printer.item(session.client.call("DELETE", _marker(name, subject)).body)


@milestones.command("reset")
@with_session
def reset_milestone(session: Session, name: Name, subject: Subject) -> None:
    """Take attempts and back-off back, as if it had never been tried."""
    session.printer.item(session.client.call("POST", _verb(name, "reset"), body={"subject": subject}).body)


@milestones.command("retry")
@with_session
def retry_milestone(session: Session, name: Name, subject: Subject) -> None:
    """Begin an attempt now, whatever the back-off."""
    session.printer.item(session.client.call("POST", _verb(name, "retry"), body={"subject": subject}).body)


def _fact(kind: str, subject: str) -> str:
    return f"/evidence/{quote(kind, safe='')}/{quote(subject)}"


def _marker(name: str, subject: str) -> str:
    return f"/milestones/{quote(name, safe='')}/marker/{quote(subject)}"


def _verb(name: str, verb: str) -> str:
    return f"/milestones/{quote(name, safe='')}/{verb}"
