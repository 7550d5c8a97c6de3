"""The entry point `rota`: all verbs under one roof, and the one place where errors become exit codes.

Exit codes: 0 done; 1 refused or failed (and `diff` with differences); 2 wrong input; 130 interrupted.
"""

import os
import sys
from typing import Annotated

import typer

import rota
from rota.cli.backfill import backfills
from rota.cli.backup import backup, restore
from rota.cli.binding import bindings, templates
from rota.cli.calendar import calendars
from rota.cli.check_in import check_ins
from rota.cli.event import events
from rota.cli.flag import flags
from rota.cli.importing import imports
from rota.cli.jobs import graphs, policies
from rota.cli.limit import limits
from rota.cli.lock import locks
from rota.cli.logs import show_logs
from rota.cli.manifest import apply_manifest, diff_manifest
from rota.cli.milestone import evidence, milestones
from rota.cli.output import OutputForm, Printer
from rota.cli.process import bootstrap, migrate, server, up
from rota.cli.retention import retention
from rota.cli.run import runs
from rota.cli.schedule import schedules
from rota.cli.signing_secret import signing_secrets
from rota.cli.stats import stats
from rota.cli.tenant import tenants, tokens
from rota.cli.worker import workers
from rota.client.http import ApiError
from rota.domain.errors import DomainError, RotaError

EXIT_FAILED = 1
EXIT_WRONG_INPUT = 2
EXIT_INTERRUPTED = 130

_WRONG_INPUT_CODES = {"INVALID_INPUT", "MALFORMED_REQUEST"}

app = typer.Typer(
    name="rota",
    help="Rota: what must run, when, and where.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _name, _group in {
    "schedule": schedules,
    "run": runs,
    "worker": workers,
    "event": events,
    "calendar": calendars,
    "backfill": backfills,
    "flag": flags,
    "lock": locks,
    "tenant": tenants,
    "limit": limits,
    "token": tokens,
    "signing-secret": signing_secrets,
    "check-in": check_ins,
    "evidence": evidence,
    "milestone": milestones,
    "graph": graphs,
    "policy": policies,
    "stats": stats,
    "retention": retention,
    "template": templates,
    "binding": bindings,
    "import": imports,
}.items():
    app.add_typer(_group, name=_name)
for _name, _command in {
    "up": up,
    "server": server,
    "bootstrap": bootstrap,
    "migrate": migrate,
    "backup": backup,
    "restore": restore,
    "apply": apply_manifest,
    "diff": diff_manifest,
    "logs": show_logs,
}.items():
    app.command(_name)(_command)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rota {rota.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="show the version")
    ] = False,
) -> None:
    """Rota: what must run, when, and where."""


def main() -> None:
    """Run one verb and leave with its exit code."""
    code = _run()
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()
    sys.exit(code)


def _run() -> str | int | None:
    errors = Printer(OutputForm.TABLE)
    try:
        app()
    except SystemExit as ended:
        return ended.code
    except (ApiError, DomainError) as refused:
        # The detail of a wrong input repeats its first problem: say it once.
        sentence = "the input is wrong" if refused.code == "INVALID_INPUT" and refused.problems else refused.detail
        errors.problems(sentence, refused.problems)
        return EXIT_WRONG_INPUT if refused.code in _WRONG_INPUT_CODES else EXIT_FAILED
    except RotaError as failed:
        errors.problems(failed.detail, ())
        return EXIT_FAILED
    except BrokenPipeError:
        _drop_output()
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


def _drop_output() -> None:
    """Nobody reads any more (`| head`): what is still buffered must not complain at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
