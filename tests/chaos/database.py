"""The database of a chaos run: a real server with fsync on, in a process group of its own, and a journal in it.

The journal is kept by triggers that commit with what they witness: each change of a trigger's progress, and of who
holds the leader's lease. Rota knows nothing of it.
"""

import asyncio
import os
import re
import secrets
import signal
from pathlib import Path

import asyncpg

from rota.services.tenant_verbs import TOKEN_PREFIX, secret_digest
from rota.storage.postgres.embedded import EmbeddedPostgres
from rota.storage.postgres.postmaster import find_postmaster
from tests.support.waiting import loop_sleep

CONNECT_SECONDS_MAX = 30.0
# What a session meets when the server goes away under it.
GONE = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)

_JOURNAL = """
CREATE SCHEMA chaos;
CREATE TABLE chaos.advances (
    seq bigserial PRIMARY KEY, trigger_id uuid NOT NULL, before timestamptz, after timestamptz);
CREATE TABLE chaos.terms (seq bigserial PRIMARY KEY, epoch bigint NOT NULL, holder text NOT NULL);
CREATE FUNCTION chaos.note_advance() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        INSERT INTO chaos.advances (trigger_id, before, after) VALUES (NEW.id, OLD.fired_through, NEW.fired_through);
        RETURN NULL;
    END $$;
CREATE FUNCTION chaos.note_term() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        IF TG_OP = 'INSERT' OR (NEW.epoch, NEW.holder) IS DISTINCT FROM (OLD.epoch, OLD.holder) THEN
            INSERT INTO chaos.terms (epoch, holder) VALUES (NEW.epoch, NEW.holder);
        END IF;
        RETURN NULL;
    END $$;
LOCK TABLE scheduler.leases IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO chaos.terms (epoch, holder) SELECT epoch, holder FROM scheduler.leases;
CREATE TRIGGER note_advance AFTER UPDATE ON scheduler.triggers FOR EACH ROW EXECUTE FUNCTION chaos.note_advance();
CREATE TRIGGER note_term AFTER INSERT OR UPDATE ON scheduler.leases FOR EACH ROW EXECUTE FUNCTION chaos.note_term();
"""

_LEADER = "SELECT holder FROM scheduler.leases WHERE expires_at > clock_timestamp()"
_END_SESSIONS = """
SELECT count(pg_terminate_backend(pid))
  FROM (SELECT pid, count(*) OVER () AS sessions,
               row_number() OVER (ORDER BY md5(pid::text || $1::float8::text)) AS place
          FROM pg_stat_activity
         WHERE usename IN ('rota_api', 'rota_service', 'rota_owner')) AS s
 WHERE s.place <= ceil(s.sessions * $1::float8)
"""


def pid_of_holder(holder: str) -> int:
    """Holders are called `host:pid` with perhaps more behind it."""
    found = re.search(r":(\d+)", holder)
    assert found is not None, f"cannot tell which process {holder!r} is"
    return int(found[1])


class ChaosDatabase:
    """The server in `root`; `start` gives its address, `crash` takes it away."""

    def __init__(self, root: Path) -> None:
        self._server = EmbeddedPostgres(root, new_secret=lambda: secrets.token_hex(16))  # noqa: TID251 - a password
        self.url = ""

    async def start(self) -> None:
        self.url = await asyncio.to_thread(self._server.start)

    async def stop(self) -> None:
        await asyncio.to_thread(self._server.stop)

    def crash(self, number: signal.Signals) -> bool:
        """Whether there was a server to be hit. SIGKILL leaves its sessions to notice, SIGQUIT ends all at once."""
        found = find_postmaster(self._server.server_dir)
        if found is None:
            return False
        os.kill(found.pid, number)
        return True

    async def connect(self) -> asyncpg.Connection:
        """A superuser's session; waits for a server that is being started."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CONNECT_SECONDS_MAX
        while True:
            try:
                return await asyncpg.connect(self.url, timeout=5, server_settings={"application_name": "chaos"})
            except GONE:
                if loop.time() > deadline:
                    raise
            await loop_sleep(0.1)

    async def install_journal(self) -> None:
        session = await self.connect()
        async with session.transaction():
            await session.execute(_JOURNAL)
        await session.close()

    async def issue_token(self) -> str:
        """A token of the default tenant, made behind Rota's back: `rota server` prints none."""
        secret = TOKEN_PREFIX + secrets.token_hex(32)  # noqa: TID251 - a secret of the run's own
        session = await self.connect()
        await session.execute(
            "INSERT INTO scheduler.api_tokens (id, tenant_id, name, role, hint, secret_hash, created_by)"
            " VALUES (scheduler.uuid7_at(now()), 'default', 'chaos', 'admin', 'chaos', $1, 'chaos')",
            secret_digest(secret),
        )
        await session.close()
        return secret

    async def leader_pid(self) -> int | None:
        """The process number of the leader, as far as the database can tell now."""
        try:
            session = await asyncpg.connect(self.url, timeout=2)
            holder = await session.fetchval(_LEADER)
            await session.close()
        except GONE:
            return None
        return None if holder is None else pid_of_holder(holder)

    async def end_sessions(self, share: float) -> int:
        """Terminates so much of Rota's sessions, at least one; how many it were."""
        session = await self.connect()
        try:
            return int(await session.fetchval(_END_SESSIONS, share) or 0)
        except GONE:
            return 0
        finally:
            session.terminate()

    async def unfinished(self) -> tuple[int, int]:
        """Triggers with something to come, and live runs."""
        session = await self.connect()
        row = await session.fetchrow(
            "SELECT (SELECT count(*) FROM scheduler.triggers WHERE next_fire_at IS NOT NULL),"
            " (SELECT count(*) FROM scheduler.live_runs)"
        )
        await session.close()
        assert row is not None
        return int(row[0]), int(row[1])
