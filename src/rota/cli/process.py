"""`rota up`, `server`, `bootstrap`, `migrate`, `worker start`: processes are started; `rota.composition` wires them.

Database addresses and secrets may come from the environment, so that they need not stand on a command line.
"""

from pathlib import Path
from typing import Annotated

import typer

from rota.client.context import default_data_dir
from rota.composition.options import (
    DatabaseFlags,
    ServerFlags,
    UpFlags,
    WorkerFlags,
)

DEFAULT_URL = "http://127.0.0.1:8440"


def _directory(text: str) -> Path:
    """An empty name would be the directory where one stands: a variable that was never set, most likely."""
    if not text.strip():
        raise typer.BadParameter("it is empty; name a directory, or leave the option out")
    return Path(text)


DataDir = Annotated[
    Path | None,
    typer.Option(
        parser=_directory,
        metavar="<path>",
        help="where everything is kept (default: ROTA_DATA_DIR, else the user's)",
    ),
]
Host = Annotated[str, typer.Option(help="address to listen on")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="port to listen on; 0 picks a free one")]
DatabaseUrl = Annotated[
    str | None, typer.Option(envvar="ROTA_DATABASE_URL", help="a PostgreSQL 15 or later; its user may create roles")
]
DirectUrl = Annotated[
    str | None, typer.Option(envvar="ROTA_DATABASE_DIRECT_URL", help="past the pooler: leases, LISTEN, migrations")
]
OwnerUrl = Annotated[str | None, typer.Option(envvar="ROTA_DATABASE_OWNER_URL", help="login of rota_owner")]
ApiUrl = Annotated[str | None, typer.Option(envvar="ROTA_DATABASE_API_URL", help="login of rota_api")]
ServiceUrl = Annotated[str | None, typer.Option(envvar="ROTA_DATABASE_SERVICE_URL", help="login of rota_service")]
Pooled = Annotated[bool, typer.Option("--pooled", help="the database URLs lead through a transaction-mode pooler")]
AllowTarget = Annotated[
    list[str] | None,
    typer.Option("--allow-target", help="private network that HTTP targets may reach (CIDR); repeatable"),
]
App = Annotated[str | None, typer.Option(help="your tasks, as module:app")]
Queues = Annotated[list[str] | None, typer.Option("--queue", help="queue to work on; repeatable; default: default")]
Slots = Annotated[int, typer.Option(min=1, max=1_000, help="runs at a time")]


def up(
    data_dir: DataDir = None,
    host: Host = "127.0.0.1",
    port: Port = 8440,
    no_sample: Annotated[bool, typer.Option("--no-sample", help="do not apply the sample schedules")] = False,
    database_url: DatabaseUrl = None,
    app: App = None,
    slots: Slots = 16,
) -> None:
    """Start everything here: database, API, scheduler, one worker. Ctrl-C stops it; the data stays."""
    from rota.composition.up import run_up

    directory = (data_dir or default_data_dir()).expanduser()
    run_up(UpFlags(directory, host, port, not no_sample, DatabaseFlags(url=database_url), app, slots))


def server(
    host: Host = "127.0.0.1",
    port: Port = 8440,
    database_url: DatabaseUrl = None,
    database_direct_url: DirectUrl = None,
    database_owner_url: OwnerUrl = None,
    database_api_url: ApiUrl = None,
    database_service_url: ServiceUrl = None,
    pooled: Pooled = False,
    no_migrate: Annotated[bool, typer.Option("--no-migrate", help="refuse to start on an older schema")] = False,
) -> None:
    """Start an API server that stands ready to lead. Run as many as you like."""
    from rota.composition.server import run_server

    database = DatabaseFlags(
        database_url, database_direct_url, database_owner_url, database_api_url, database_service_url, pooled
    )
    run_server(ServerFlags(host, port, database, migrate=not no_migrate))


def bootstrap(
    database_url: DatabaseUrl = None,
    database_direct_url: DirectUrl = None,
    database_owner_url: OwnerUrl = None,
    database_api_url: ApiUrl = None,
    database_service_url: ServiceUrl = None,
    pooled: Pooled = False,
    url: Annotated[str, typer.Option(help="where the server will answer; goes into the context")] = DEFAULT_URL,
    another: Annotated[bool, typer.Option("--another", help="also where a platform_admin token exists")] = False,
) -> None:
    """Make the first platform_admin token of a database and print a context.json with it, this once.

    Brings the schema up to date. Keep the output where its owner alone can read it: (umask 077; rota bootstrap > FILE).
    """
    from rota.composition.first_token import make_first_token

    database = DatabaseFlags(
        database_url, database_direct_url, database_owner_url, database_api_url, database_service_url, pooled
    )
    typer.echo(make_first_token(database, url, another=another))


def start_worker(
    app: App = None,
    queue: Queues = None,
    slots: Slots = 16,
    allow_exec: Annotated[
        bool, typer.Option("--allow-exec", help="let every tenant's runs execute commands here (rota.exec)")
    ] = False,
    allow_exec_for: Annotated[
        list[str] | None, typer.Option("--allow-exec-for", help="let this tenant's runs do so; repeatable")
    ] = None,
    allow_target: AllowTarget = None,
    public_url: Annotated[
        str | None,
        typer.Option(envvar="ROTA_PUBLIC_URL", help="where HTTP targets reach the API when they call back"),
    ] = None,
    name: Annotated[str | None, typer.Option(help="shown in lists; default host and pid")] = None,
    stop_with_parent: Annotated[bool, typer.Option("--stop-with-parent", hidden=True)] = False,
    samples: Annotated[bool, typer.Option("--samples", help="know the sample tasks, too")] = False,
    database_url: DatabaseUrl = None,
    database_direct_url: DirectUrl = None,
    database_service_url: ServiceUrl = None,
    pooled: Pooled = False,
) -> None:
    """Start a worker. SIGTERM drains it: it claims no more and finishes what it holds."""
    from rota.composition.worker import run_worker_process

    database = DatabaseFlags(
        database_url, database_direct_url, service_url=database_service_url, pooled_by_transaction=pooled
    )
    run_worker_process(
        WorkerFlags(
            database=database,
            app=app,
            queues=tuple(queue or ["default"]),
            slots=slots,
            allow_exec=allow_exec,
            allow_exec_for=tuple(allow_exec_for or ()),
            allow_targets=tuple(allow_target or ()),
            name=name,
            stop_with_parent=stop_with_parent,
            samples=samples,
            public_url=public_url,
        )
    )


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="only say whether something is pending; exit code 1 if so")
    ] = False,
    database_url: DatabaseUrl = None,
    database_direct_url: DirectUrl = None,
    database_owner_url: OwnerUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Bring the database's schema up to date. Safe to repeat, and to run from several places at once."""
    from rota.composition.migrate import run_migrate

    database = DatabaseFlags(database_url, database_direct_url, database_owner_url)
    directory = None if database_url or database_owner_url else (data_dir or default_data_dir()).expanduser()
    if run_migrate(database, directory, check_only=check):
        raise typer.Exit(1)
