"""`rota graph …` and `rota policy …`: graphs of bills of materials, and rules that are judged over them."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from rota.cli.documents import read_document
from rota.cli.output import field
from rota.cli.session import Session, show_listing, with_session

graphs = typer.Typer(help="Dependency graphs of bills of materials, and what is known of them.", no_args_is_help=True)
policies = typer.Typer(help="Rules that are judged over graphs.", no_args_is_help=True)

Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="at most so many")]
JobId = Annotated[str, typer.Argument(metavar="ID")]
Key = Annotated[str | None, typer.Option("--idempotency-key", help="the same key again answers the same job")]
Priority = Annotated[str, typer.Option(help="normal, high or emergency")]
Queue = Annotated[str, typer.Option(help="queue of the run that executes it")]
State = Annotated[str | None, typer.Option(help="only those in this state")]

_ITEMS = (field("N", "position"), field("PART", "part"), field("SUBJECT", "subject"), field("DATA", "data"))
_GRAPH_JOBS = (
    field("ID", "id"),
    field("KIND", "kind"),
    field("STATE", "state"),
    field("SBOM", "sbom_id"),
    field("CREATED", "created_at"),
    field("ENDED", "finished_at"),
    field("REASON", "reason"),
)
_POLICY_JOBS = (
    field("ID", "id"),
    field("POLICY", "policy_id"),
    field("VERSION", "policy_version"),
    field("MODE", "mode"),
    field("STATE", "state"),
    field("CREATED", "created_at"),
    field("REPLAY", "replay_pending"),
)


@graphs.command("build")
@with_session
def build_graph(
    session: Session,
    file: Annotated[Path, typer.Argument(help="a CycloneDX document in JSON; - reads standard input")],
    sbom_id: Annotated[str, typer.Option(help="the bill of materials' own name")],
    sbom_version_id: Annotated[str, typer.Option(help="its version")] = "",
    idempotency_key: Key = None,
    priority: Priority = "normal",
    queue: Queue = "default",
) -> None:
    """Build the graph of a bill of materials."""
    body = {"sbom": read_document(file), "sbom_id": sbom_id, "sbom_version_id": sbom_version_id}
    _make(session, "/graphs/build", {**body, **_order(idempotency_key, priority, queue)})


@graphs.command("overlay")
@with_session
def overlay_graph(
    session: Session,
    graph_job_id: Annotated[str, typer.Argument(metavar="GRAPH_JOB", help="the build whose graph it is")],
    file: Annotated[Path, typer.Argument(help="a list of advisories, in JSON or YAML")],
    idempotency_key: Key = None,
    priority: Priority = "normal",
    queue: Queue = "default",
) -> None:
    """Lay advisories over a graph."""
    body = {"graph_job_id": graph_job_id, "advisories": read_document(file)}
    _make(session, "/graphs/overlays", {**body, **_order(idempotency_key, priority, queue)})


@graphs.command("list")
@with_session
def list_graph_jobs(session: Session, state: State = None, limit: Limit = 50) -> None:
    """List graph jobs, newest first."""
    show_listing(session, session.client.listing("/graphs/jobs", limit, state=state), _GRAPH_JOBS)


@graphs.command("get")
@with_session
def get_graph_job(session: Session, job_id: JobId) -> None:
    """Show one."""
    session.printer.item(session.client.get(_graph(job_id)))


@graphs.command("items")
@with_session
def list_graph_items(session: Session, job_id: JobId, limit: Limit = 500) -> None:
    """List the components, dependencies or findings that a job has made."""
    show_listing(session, session.client.listing(f"{_graph(job_id)}/items", limit), _ITEMS)


@graphs.command("cancel")
@with_session
def cancel_graph_job(session: Session, job_id: JobId) -> None:
    """Cancel one that has not ended."""
    session.printer.item(session.client.call("POST", f"{_graph(job_id)}/cancel", body={}).body)


@graphs.command("retry")
@with_session
def retry_graph_job(session: Session, job_id: JobId) -> None:
    """Do one that has ended again, as a new job."""
    session.printer.item(session.client.call("POST", f"{_graph(job_id)}/retry", body={}).body)


@policies.command("run")
@with_session
def run_policy(
    session: Session,
    file: Annotated[Path, typer.Argument(help="the rules, in JSON or YAML")],
    policy_id: Annotated[str, typer.Option(help="the policy's own name")],
    policy_version: Annotated[str, typer.Option(help="its version")],
    graph: Annotated[str, typer.Option("--graph", help="the build whose graph is judged")],
    overlay: Annotated[list[str] | None, typer.Option("--overlay", help="overlays of it; may be repeated")] = None,
    mode: Annotated[str, typer.Option(help="full, incremental or simulate")] = "full",
    idempotency_key: Key = None,
    priority: Priority = "normal",
    queue: Queue = "default",
) -> None:
    """Judge rules over a graph and its overlays."""
    body = {
        "policy_id": policy_id,
        "policy_version": policy_version,
        "rules": read_document(file),
        "graph_job_id": graph,
        "overlay_job_ids": overlay or [],
        "mode": mode,
    }
    _make(session, "/policy/runs", {**body, **_order(idempotency_key, priority, queue)})


@policies.command("list")
@with_session
def list_policy_jobs(session: Session, state: State = None, limit: Limit = 50) -> None:
    """List policy jobs, newest first."""
    show_listing(session, session.client.listing("/policy/runs", limit, state=state), _POLICY_JOBS)


@policies.command("get")
@with_session
def get_policy_job(session: Session, job_id: JobId) -> None:
    """Show one."""
    session.printer.item(session.client.get(_policy(job_id)))


@policies.command("items")
@with_session
def list_policy_items(session: Session, job_id: JobId, limit: Limit = 500) -> None:
    """List the verdicts of a judgement, or what a simulation would change."""
    show_listing(session, session.client.listing(f"{_policy(job_id)}/items", limit), _ITEMS)


@policies.command("cancel")
@with_session
def cancel_policy_job(session: Session, job_id: JobId) -> None:
    """Cancel one that has not ended."""
    session.printer.item(session.client.call("POST", f"{_policy(job_id)}/cancel", body={}).body)


@policies.command("retry")
@with_session
def retry_policy_job(session: Session, job_id: JobId) -> None:
    """Do one that has ended again, as a new job."""
    session.printer.item(session.client.call("POST", f"{_policy(job_id)}/retry", body={}).body)


@policies.command("replay")
@with_session
def replay_policy_job(session: Session, job_id: JobId) -> None:
    """Judge again from the same documents; the new job says whether it came to the same."""
    session.printer.item(session.client.call("POST", f"{_policy(job_id)}/replay", body={}).body)


def _make(session: Session, path: str, body: dict[str, Any]) -> None:
    session.printer.item(session.client.call("POST", path, body=body).body)


def _order(idempotency_key: str | None, priority: str, queue: str) -> dict[str, Any]:
    return {"idempotency_key": idempotency_key, "priority": priority, "queue": queue}


def _graph(job_id: str) -> str:
    return f"/graphs/jobs/{quote(job_id, safe='')}"


def _policy(job_id: str) -> str:
    return f"/policy/runs/{quote(job_id, safe='')}"
