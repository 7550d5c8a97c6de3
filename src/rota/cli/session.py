"""What every verb that talks to the API shares: the connection flags, the output form, and one place for errors.

`@with_session` gives a command those flags and hands it a `Session`; so flags may stand behind the verb, and no command
repeats them.
"""

import functools
import inspect
import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from rota.cli.documents import read_text
from rota.cli.output import Column, OutputForm, Printer
from rota.client.context import ContextFlags, find_context
from rota.client.http import ApiClient, ApiError, Listing
from rota.domain.problems import FieldProblem

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
    "token_file": (
        Annotated[
            Path | None,
            typer.Option(help="file with the API token (else: ROTA_TOKEN, or the context)", rich_help_panel=_PANEL),
        ],
        None,
    ),
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


def show_listing(session: Session, listing: Listing, columns: Sequence[Column]) -> None:
    """A table and a word on what it leaves out, or the very page that the API would give."""
    if session.printer.form is not OutputForm.TABLE:
        session.printer.value(listing.page)
        return
    session.printer.items(listing.items, columns)
    if listing.has_more:
        session.printer.say(f"{len(listing.items)} of {listing.total_count}; --limit N shows more")


def _token_in(file: Path | None) -> str | None:
    """No token stands on a command line, where every user of the machine could read it."""
    return None if file is None else read_text(file).strip()


@contextmanager
def naming_flags(flags: Mapping[str, str], given: Mapping[str, object]) -> Generator[None]:
    """What the API finds wrong with a field that came from a flag, or does not find, is told by the flag's name."""
    try:
        yield
    except ApiError as refused:
        named = tuple(
            FieldProblem(flags.get(re.split(r"[.\[]", one.field)[0], one.field), one.problem, one.remedy)
            for one in refused.problems
        )
        if refused.code == "NOT_FOUND" and not named:
            named = tuple(_not_found(label, given[name]) for name, label in flags.items() if given.get(name))
        raise ApiError(refused.status, refused.code, refused.detail, named) from refused


def _not_found(label: str, value: object) -> FieldProblem:
    return FieldProblem(label, f"{str(value)!r} is not there, or not this token's to see", "`list` shows what there is")


def _flags_of(parameters: Iterable[inspect.Parameter]) -> dict[str, str]:
    """The API's name of a field -> the flag or argument of this command that carries it."""
    found = {"tenant": "--tenant"}
    for parameter in parameters:
        for info in getattr(parameter.annotation, "__metadata__", ()):
            if isinstance(info, typer.models.OptionInfo):
                # typer takes the first name for a default until it looks at the annotation itself.
                names: tuple[object, ...] = (info.default, *(info.param_decls or ()))
                named = [flag for flag in names if isinstance(flag, str) and flag.startswith("--")]
                flag = (named or [f"--{parameter.name.replace('_', '-')}"])[0]
                found[flag.removeprefix("--").replace("-", "_")] = flag
            elif isinstance(info, typer.models.ArgumentInfo):
                found[parameter.name] = found["id"] = str(info.metavar or parameter.name).strip("[]").upper()
    return found


def with_session(command: Callable[Concatenate[Session, Command], None]) -> Callable[..., None]:
    """Give `command` the connection flags; its first parameter becomes the session that they open."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    flags = _flags_of(own)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in _SESSION_OPTIONS.items()
    ]

    @functools.wraps(command)
    def connected(**given: Any) -> None:  # noqa: ANN401 - the command's own flags
        output, data_dir, url, token_file, tenant = (given.pop(name) for name in _SESSION_OPTIONS)
        context = find_context(ContextFlags(data_dir, url, _token_in(token_file), tenant))
        with (
            ApiClient(context, names_tenant=tenant is not None) as client,
            naming_flags(flags, given | {"tenant": tenant}),
        ):
            command(Session(client, Printer(output)), **given)  # pyright: ignore[reportCallIssue]

    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own] + added
    setattr(connected, "__signature__", inspect.Signature(parameters))  # noqa: B010 - an attribute that types do not know
    connected.__annotations__ = {one.name: one.annotation for one in parameters}
    return connected
