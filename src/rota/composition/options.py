"""What each kind of process is started with. Values only; the command line fills them in."""

from pathlib import Path

from msgspec import Struct, field


class DatabaseFlags(Struct, frozen=True):
    """The database as the user named it (see `rota.storage.postgres.logins`)."""

    url: str | None = None
    direct_url: str | None = None
    owner_url: str | None = None
    api_url: str | None = None
    service_url: str | None = None
    pooled_by_transaction: bool = False


class UpFlags(Struct, frozen=True):
    """`rota up`: one machine, everything in one go."""

    data_dir: Path
    host: str
    port: int
    apply_sample: bool
    database: DatabaseFlags
    app: str | None
    slots: int


class ServerFlags(Struct, frozen=True):
    """`rota server`: the API and a candidate for leadership."""

    host: str
    port: int
    database: DatabaseFlags
    migrate: bool = True


class WorkerFlags(Struct, frozen=True):
    """`rota worker start`. `allow_targets` are CIDRs that HTTP targets may reach although they are private;
    `public_url` is where they call back.
    """

    database: DatabaseFlags
    app: str | None = None
    queues: tuple[str, ...] = ("default",)
    slots: int = 16
    allow_exec: bool = False
    allow_exec_for: tuple[str, ...] = ()
    allow_targets: tuple[str, ...] = field(default=())
    name: str | None = None
    stop_with_parent: bool = False
    samples: bool = False
    public_url: str | None = None
