"""A pooler in transaction mode, as strict as they come, in front of a test server.

It has two server sessions for all its clients, so that clients meet what others left behind; it keeps no prepared
statements (Debian's version cannot) and refuses every start-up parameter that it does not track.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit, urlunsplit

from rota.storage.postgres.data_directory import server_account
from rota.storage.postgres.logins import DatabaseOptions, password_in, resolve_urls, user_in
from tests.support.postgres import ClonedDatabase
from tests.support.waiting import wait_until_blocking

PORT = 6432

_CONFIGURATION = """
[databases]
* = host={server_socket_dir} port=5432
[pgbouncer]
pool_mode = transaction
listen_addr =
listen_port = {port}
unix_socket_dir = {root}
auth_type = scram-sha-256
auth_file = {root}/users.txt
default_pool_size = 2
max_client_conn = 200
logfile = {root}/log
admin_users =
"""


class PgBouncer:
    """One pooler process for the logins of *database*."""

    def __init__(self, database: ClonedDatabase) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="rota-pooler-"))
        (server_socket_dir,) = parse_qs(urlsplit(database.admin_url).query)["host"]
        account = server_account(Path(server_socket_dir))
        urls = (database.admin_url, database.urls.owner, database.urls.api, database.urls.service)
        self._write("users.txt", "".join(f'"{user_in(url)}" "{password_in(url)}"\n' for url in urls))
        configuration = self._write(
            "pgbouncer.ini",
            _CONFIGURATION.format(server_socket_dir=server_socket_dir, port=PORT, root=self._root),
        )
        self._give(account)
        self._process = subprocess.Popen(
            ["/usr/sbin/pgbouncer", "-q", str(configuration)],
            start_new_session=True,
            user=None if account is None else account.pw_uid,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until_blocking(self._listens, what="the pooler listens")
        except AssertionError:
            self.close()
            raise
        self.database = self._behind_pooler(database)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=10)
        shutil.rmtree(self._root)

    def _listens(self) -> bool:
        assert self._process.poll() is None, "the pooler ended at once"
        return (self._root / f".s.PGSQL.{PORT}").exists()

    def _behind_pooler(self, database: ClonedDatabase) -> ClonedDatabase:
        place = f"host={self._root}&port={PORT}"
        url = urlunsplit(urlsplit(database.admin_url)._replace(query=place))
        options = DatabaseOptions(url=url, direct_url=database.admin_url)
        return ClonedDatabase(database.name, database.engine, resolve_urls(options))

    def _write(self, name: str, text: str) -> Path:
        path = self._root / name
        path.write_text(text, encoding="utf-8")
        return path

    def _give(self, account: pwd.struct_passwd | None) -> None:
        if account is not None:
            for path in (self._root, *self._root.iterdir()):
                os.chown(path, account.pw_uid, account.pw_gid)
