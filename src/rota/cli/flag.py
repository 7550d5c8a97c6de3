"""`rota flag …`: list the switches over what the scheduler does, and switch them, for a tenant or for all."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

import typer

from rota.cli.output import Column, field
from rota.cli.session import Session, with_session

flags = typer.Typer(help="Flags: list, set.", no_args_is_help=True)


class Switch(StrEnum):
    """How a flag is to be."""

    ON = "on"
    OFF = "off"


Platform = Annotated[bool, typer.Option("--platform", help="for all tenants")]

_PLATFORM_COLUMNS = (
    field("NAME", "name"),
    Column("STATE", lambda item: "on" if item["enabled"] else "OFF"),
    Column("BECAUSE", lambda item: "; ".join(_reasons({"tenant": None, **item})) or "-"),
    field("TENANTS OFF", "tenants_off_count"),
    Column("AMONG THEM", lambda item: ", ".join(item["tenants_off"]) or "-"),
)
_COLUMNS = (
    field("NAME", "name"),
    Column("STATE", lambda item: "on" if item["enabled"] else "OFF"),
    Column("BECAUSE", lambda item: "; ".join(_reasons(item)) or "-"),
    field("WHAT", "what"),
)


def _reasons(item: Mapping[str, Any]) -> list[str]:
    return [
        f"{layer}: {setting['reason'] or 'no reason given'} ({setting['changed_by']})"
        for layer in ("platform", "tenant")
        if (setting := item[layer]) is not None and not setting["enabled"]
    ]


@flags.command("list")
@with_session
def list_flags(session: Session, platform: Platform = False) -> None:
    """List flags as they are for the tenant; with --platform, for all, and which tenants switched them off."""
    if platform:
        session.printer.items(session.client.get("/platform/flags")["items"], _PLATFORM_COLUMNS)
        return
    session.printer.items(session.client.get("/flags")["items"], _COLUMNS)


@flags.command("set")
@with_session
def set_flag(
    session: Session,
    name: Annotated[str, typer.Argument(help="the flag's name", metavar="NAME")],
    switch: Annotated[Switch, typer.Argument(help="on or off")],
    platform: Platform = False,
    reason: Annotated[str, typer.Option(help="kept with the flag")] = "",
) -> None:
    """Switch a flag; off is in force when this returns."""
    path = f"{'/platform' if platform else ''}/flags/{quote(name, safe='')}"
    body = {"enabled": switch is Switch.ON, "reason": reason}
    session.printer.item(session.client.call("PUT", path, body=body).body)
