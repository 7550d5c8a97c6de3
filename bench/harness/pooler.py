"""Debian's pgbouncer in transaction mode before a server of the harness."""

import os
import subprocess
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit, urlunsplit

from bench.harness.database import open_session
from rota.storage.postgres.data_directory import server_account
from rota.storage.postgres.logins import DatabaseOptions, password_in, resolve_urls, user_in

PROGRAM = Path("/usr/sbin/pgbouncer")
PORT = 6432
START_SECONDS_MAX = 10.0
CONFIGURATION = """
[databases]
* = host={server} port=5432
[pgbouncer]
pool_mode = transaction
listen_addr =
listen_port = {port}
unix_socket_dir = {root}
auth_type = scram-sha-256
auth_file = {root}/users.txt
default_pool_size = 20
max_client_conn = 200
ignore_startup_parameters = extra_float_digits
logfile = {root}/log
"""


class NoPooler(Exception):
    """The program is missing, or did not start."""


@asynccontextmanager
async def pooled(url: str) -> AsyncGenerator[str]:
    """The same database behind a pooler, for the logins that Rota derives from *url*. Raises NoPooler."""
    with tempfile.TemporaryDirectory(prefix="rota-pooler-") as name:
        root = Path(name)
        process = _started(root, url)
        try:
            behind = urlunsplit(urlsplit(url)._replace(query=f"host={root}&port={PORT}"))
            _wait(root, process)
            async with open_session(behind):
                yield behind
        finally:
            process.terminate()
            process.wait()


def _started(root: Path, url: str) -> "subprocess.Popen[bytes]":
    if not PROGRAM.exists():
        raise NoPooler("pgbouncer is missing; remedy: make deps")
    (server,) = parse_qs(urlsplit(url).query)["host"]
    urls = resolve_urls(DatabaseOptions(url=url))
    users = "".join(f'"{user_in(one)}" "{password_in(one)}"\n' for one in (url, urls.owner, urls.api, urls.service))
    (root / "users.txt").write_text(users, encoding="utf-8")
    configuration = root / "pgbouncer.ini"
    configuration.write_text(CONFIGURATION.format(server=server, port=PORT, root=root), encoding="utf-8")
    account = server_account(Path(server))
    if account is not None:
        for path in (root, *root.iterdir()):
            os.chown(path, account.pw_uid, account.pw_gid)
    return subprocess.Popen(
        [str(PROGRAM), "-q", str(configuration)],
        user=None if account is None else account.pw_uid,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _wait(root: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while not (root / f".s.PGSQL.{PORT}").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise NoPooler("pgbouncer did not start")
        time.sleep(0.02)
