"""Where the API is and which token opens it: flags, then environment, then the file that `rota up` writes.

It decides which of the sources wins and says what to do when none is there. It contacts nobody.
"""

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from rota.domain.errors import DomainError, invalid_input
from rota.domain.problems import FieldProblem

CONTEXT_FILE = "context.json"


class ApiContext(Struct, frozen=True):
    """The content of `context.json`."""

    url: str
    token: str
    tenant: str


class ContextFlags(Struct, frozen=True):
    """What the command line was given; every part may be absent."""

    data_dir: Path | None = None
    url: str | None = None
    token: str | None = None
    tenant: str | None = None


def default_data_dir() -> Path:
    """`ROTA_DATA_DIR`, else `rota` under the user's data directory (XDG)."""
    given = os.environ.get("ROTA_DATA_DIR")
    if given:
        return Path(given).expanduser()
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "rota"


def find_context(flags: ContextFlags) -> ApiContext:
    """Flags win over `ROTA_URL`, `ROTA_TOKEN` and `ROTA_TENANT`, and those over the file.

    The file is `--data-dir`'s, else the one that `ROTA_CONTEXT` names, else the default place's.
    """
    url = flags.url or os.environ.get("ROTA_URL")
    token = flags.token or os.environ.get("ROTA_TOKEN")
    tenant = flags.tenant or os.environ.get("ROTA_TENANT")
    if flags.data_dir is None and url and token:
        return ApiContext(url, token, tenant or "")
    stored = _read_context(_context_path(flags.data_dir))
    return ApiContext(url or stored.url, token or stored.token, tenant or stored.tenant)


def _context_path(data_dir: Path | None) -> Path:
    if data_dir is not None:
        return data_dir.expanduser() / CONTEXT_FILE
    named = os.environ.get("ROTA_CONTEXT")
    return Path(named).expanduser() if named else default_data_dir() / CONTEXT_FILE


def _read_context(path: Path) -> ApiContext:
    try:
        return msgspec.json.decode(path.read_bytes(), type=ApiContext)
    except FileNotFoundError as missing:
        problem = FieldProblem(
            "--data-dir",
            f"{path} is not there: no Rota has been started in that place",
            "start one with `rota up`, name its directory with --data-dir, or set ROTA_URL and ROTA_TOKEN",
        )
        raise invalid_input([problem]) from missing
    except (OSError, msgspec.MsgspecError) as broken:
        raise DomainError("MALFORMED_REQUEST", f"{path} cannot be read: {broken}") from broken


def write_context(data_dir: Path, context: ApiContext) -> Path:
    """Store the context for the owner's eyes alone (mode 0600), in one step."""
    path = data_dir / CONTEXT_FILE
    fresh = path.with_suffix(".tmp")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(context)) + b"\n")
    fresh.replace(path)
    return path
