"""`rota tenant …` and `rota token …`: who may use this Rota. Tenants are the platform's business, tokens a tenant's."""

from typing import Annotated
from urllib.parse import quote

import typer

from rota.cli.output import field
from rota.cli.session import Session, show_listing, with_session

tenants = typer.Typer(help="Tenants (platform_admin).", no_args_is_help=True)
tokens = typer.Typer(help="API tokens of a tenant.", no_args_is_help=True)

Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="at most so many")]

_TENANT_COLUMNS = (
    field("ID", "id"),
    field("NAME", "name"),
    field("WEIGHT", "weight"),
    field("CREATED", "created_at"),
    field("REVOKED", "revoked_at"),
)
_TOKEN_COLUMNS = (
    field("ID", "id"),
    field("NAME", "name"),
    field("ROLE", "role"),
    field("BEGINS", "hint"),
    field("EXPIRES", "expires_at"),
    field("REVOKED", "revoked_at"),
)


@tenants.command("list")
@with_session
def list_tenants(session: Session, limit: Limit = 500) -> None:
    """List tenants."""
    show_listing(session, session.client.listing("/tenants", limit), _TENANT_COLUMNS)


@tenants.command("create")
@with_session
def create_tenant(
    session: Session,
    tenant_id: Annotated[str, typer.Argument(help="a canonical, non-blank id", metavar="ID")],
    name: Annotated[str | None, typer.Option(help="for people; default the id")] = None,
) -> None:
    """Create a tenant."""
    session.printer.item(
        session.client.call("POST", "/tenants", body={"id": tenant_id, "name": name or tenant_id}).body
    )


@tenants.command("weigh")
@with_session
def weigh_tenant(
    session: Session,
    tenant_id: Annotated[str, typer.Argument(metavar="ID")],
    weight: Annotated[int, typer.Argument(min=1, max=1_000, help="its share, beside the other tenants' weights")],
) -> None:
    """Change a tenant's share of what workers pick up."""
    path = f"/tenants/{quote(tenant_id, safe='')}"
    session.printer.item(session.client.call("PATCH", path, body={"weight": weight}).body)


@tenants.command("revoke")
@with_session
def revoke_tenant(session: Session, tenant_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Close a tenant: its tokens stop working, its schedules stop firing, nothing is deleted."""
    session.printer.item(session.client.call("POST", f"/tenants/{quote(tenant_id, safe='')}/revoke", body={}).body)


@tokens.command("list")
@with_session
def list_tokens(session: Session, limit: Limit = 500) -> None:
    """List a tenant's tokens; the secrets are not kept."""
    show_listing(session, session.client.listing("/tokens", limit), _TOKEN_COLUMNS)


@tokens.command("create")
@with_session
def create_token(
    session: Session,
    name: Annotated[str, typer.Argument(help="what the token is for")],
    role: Annotated[str, typer.Option(help="viewer, operator, admin or platform_admin")] = "viewer",
    expires: Annotated[
        str | None, typer.Option("--expires-at", "--expires", help="RFC 3339 time; default never")
    ] = None,
) -> None:
    """Issue a token. Its secret is shown this once."""
    body = {"name": name, "role": role} | ({"expires_at": expires} if expires else {})
    session.printer.item(session.client.call("POST", "/tokens", body=body).body)


@tokens.command("revoke")
@with_session
def revoke_token(session: Session, token_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Revoke a token; it stops working within seconds."""
    session.printer.item(session.client.call("POST", f"/tokens/{quote(token_id, safe='')}/revoke", body={}).body)
