"""`rota signing-secret …`: what receivers know a tenant's requests by."""

from typing import Annotated
from urllib.parse import quote

import typer

from rota.cli.output import field
from rota.cli.session import Session, show_listing, with_session

signing_secrets = typer.Typer(help="Secrets that HTTP targets are signed with.", no_args_is_help=True)

Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="at most so many")]

_COLUMNS = (
    field("ID", "id"),
    field("NAME", "name"),
    field("CREATED", "created_at"),
    field("BY", "created_by"),
    field("RETIRED", "retired_at"),
)


@signing_secrets.command("list")
@with_session
def list_signing_secrets(session: Session, limit: Limit = 500) -> None:
    """List signing secrets; what they are is shown to nobody."""
    show_listing(session, session.client.listing("/signing-secrets", limit), _COLUMNS)


@signing_secrets.command("create")
@with_session
def create_signing_secret(
    session: Session, name: Annotated[str, typer.Argument(help="what targets are `signed_with`")]
) -> None:
    """Make a secret, as the first or the second live one of its name. It is shown this once."""
    session.printer.item(session.client.call("POST", "/signing-secrets", body={"name": name}).body)


@signing_secrets.command("retire")
@with_session
def retire_signing_secret(session: Session, secret_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Stop signing with a secret."""
    path = f"/signing-secrets/{quote(secret_id, safe='')}/retire"
    session.printer.item(session.client.call("POST", path, body={}).body)
