"""`rota lock …`: run a command under a lock, list locks, look at one, release one."""

import os
import socket
from typing import Annotated, Any
from urllib.parse import quote

import typer

from rota.cli.output import Column, field
from rota.cli.session import Session, naming_flags, show_listing, with_session
from rota.domain.errors import invalid_input
from rota.domain.problems import FieldProblem

locks = typer.Typer(help="Locks: run a command under one, list, show, release.", no_args_is_help=True)

LockName = Annotated[str, typer.Argument(help="the lock's name", metavar="NAME")]


def _state(lock: Any) -> str:  # noqa: ANN401 - JSON
    if lock["held"]:
        return "held"
    return "free" if lock["released_at"] else "lost"


_COLUMNS = (
    field("NAME", "name"),
    Column("STATE", _state),
    field("HOLDER", "holder"),
    field("TOKEN", "token"),
    field("ACQUIRED", "acquired_at"),
    field("EXPIRES", "expires_at"),
)


def _path(name: str, verb: str = "") -> str:
    return f"/locks/{quote(name, safe='')}" + (f"/{verb}" if verb else "")


@locks.command("run")
@with_session
def run_command(
    session: Session,
    name: LockName,
    command: Annotated[list[str], typer.Argument(help="behind `--`: the program and its arguments")],
    ttl: Annotated[float, typer.Option("--ttl", help="seconds that the lock lasts without a renewal")] = 30.0,
    wait: Annotated[float, typer.Option("--wait", min=0, help="seconds to wait while somebody else holds it")] = 0.0,
    holder: Annotated[str | None, typer.Option(help="who holds it, for people; default host:pid")] = None,
) -> None:
    """Run a command while holding a lock; ROTA_LOCK_TOKEN is its fencing token.

    Exit code: the command's own; 75 where the lock was held by somebody else; 76 where it was lost and the command
    killed.
    """
    from rota.composition.lock_run import LockRunOptions, run_under_lock

    options = LockRunOptions(name, holder or f"{socket.gethostname()}:{os.getpid()}", ttl, wait)
    with naming_flags({"ttl_seconds": "--ttl", "wait_seconds": "--wait"}, {}):
        code = run_under_lock(session.client, options, command)
    raise typer.Exit(code)


@locks.command("list")
@with_session
def list_locks(
    session: Session,
    held: Annotated[bool | None, typer.Option("--held/--free", help="only held, or only free ones")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="at most so many")] = 500,
) -> None:
    """List locks by name."""
    asked = None if held is None else str(held).lower()
    show_listing(session, session.client.listing("/locks", limit, held=asked), _COLUMNS)


@locks.command("show")
@with_session
def show_lock(session: Session, name: LockName) -> None:
    """Show who holds a lock, or held it last."""
    session.printer.item(session.client.get(_path(name)))


@locks.command("release")
@with_session
def release_lock(
    session: Session,
    name: LockName,
    token: Annotated[int | None, typer.Option(help="the token that it was acquired under")] = None,
    force: Annotated[bool, typer.Option("--force", help="end anybody's hold (admin)")] = False,
) -> None:
    """Release a lock by its token, or end somebody's hold by --force."""
    if force == (token is not None):
        remedy = "give the token of the hold, or --force to end whoever's it is"
        raise invalid_input([FieldProblem("--token", "is given together with --force, or neither is", remedy)])
    if token is None:
        session.printer.item(session.client.call("POST", _path(name, "break"), body={}).body)
    else:
        session.printer.item(session.client.call("POST", _path(name, "release"), body={"token": token}).body)
