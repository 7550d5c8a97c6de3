"""What every verb that talks to the API shares: the connection flags, the output form, and one place for errors.

`@with_session` gives a command those flags and hands it a `Session`; so flags may stand behind the verb, and no command
repeats them.
"""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from rota.cli.output import OutputForm, Printer
from rota.client.context import ContextFlags, find_context
from rota.client.http import ApiClient

Command = ParamSpec("Command")

OutputOption = Annotated[OutputForm, typer.Option("--output", "-o", help="table, json or yaml")]

_PANEL = "Connection"
_SESSION_OPTIONS: dict[str, tuple[Any, object]] = {
    "output": (OutputOption, OutputForm.TABLE),
    "data_dir": (
        Annotated[Path | None, typer.Option(help="directory of the `rota up` to talk to", rich_help_panel=_PANEL)],
        None,
    ),
    "url": (Annotated[str | None, typer.Option(help="address of the server", rich_help_panel=_PANEL)], None),
    "token": (Annotated[str | None, typer.Option(help="API token (better: ROTA_TOKEN)", rich_help_panel=_PANEL)], None),
    "tenant": (
        Annotated[str | None, typer.Option(help="act in this tenant (platform_admin)", rich_help_panel=_PANEL)],
        None,
    ),
}


class Session:
    """An open client and a printer, for one command."""

    def __init__(self, client: ApiClient, printer: Printer) -> None:
        self.client = client
        self.printer = printer


def with_session(command: Callable[Concatenate[Session, Command], None]) -> Callable[..., None]:
    """Give `command` the connection flags; its first parameter becomes the session that they open."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in _SESSION_OPTIONS.items()
    ]

    @functools.wraps(command)
    def connected(**given: Any) -> None:  # noqa: ANN401 - the command's own flags
        output, data_dir, url, token, tenant = (given.pop(name) for name in _SESSION_OPTIONS)
        context = find_context(ContextFlags(data_dir, url, token, tenant))
        with ApiClient(context, names_tenant=tenant is not None) as client:
            command(Session(client, Printer(output)), **given)  # pyright: ignore[reportCallIssue]

    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own] + added
    setattr(connected, "__signature__", inspect.Signature(parameters))  # noqa: B010 - an attribute that types do not know
    connected.__annotations__ = {one.name: one.annotation for one in parameters}
    return connected
