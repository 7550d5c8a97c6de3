"""The database of a chaos run: a real server with fsync on, in a process group of its own, and a journal in it.

The journal is kept by triggers that commit with what they witness: each change of a trigger's progress, of who holds
the leader's lease, and of who holds a run that has a limit. Rota knows nothing of it.

A turn is noted before its row changes, so that its time lies between the look at the limit and what is taken from it.
"""

import asyncio
import re
import secrets
import signal
from collections.abc import Callable
from pathlib import Path

import asyncpg
import psutil

from rota.services.tenant_verbs import TOKEN_PREFIX, secret_digest
from rota.storage.postgres.embedded import EmbeddedPostgres
from rota.storage.postgres.postmaster import find_postmaster
from tests.chaos.facts import OutageFact
from tests.support.waiting import loop_sleep, wait_until

CONNECT_SECONDS_MAX = 30.0
GONE_SECONDS_MAX = 15.0
# What a session meets when the server goes away under it.
GONE = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)

_JOURNAL = """
CREATE SCHEMA chaos;
CREATE TABLE chaos.advances (
    seq bigserial PRIMARY KEY, trigger_id uuid NOT NULL, before timestamptz, after timestamptz);
CREATE TABLE chaos.terms (seq bigserial PRIMARY KEY, epoch bigint NOT NULL, holder text NOT NULL);
CREATE TABLE chaos.turns (
    seq bigserial PRIMARY KEY, run_id uuid NOT NULL, token bigint NOT NULL, begins boolean NOT NULL,
    of_limit text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE FUNCTION chaos.note_turn() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    DECLARE
        name text := CASE OLD.tenant_id WHEN 'narrow' THEN 'narrow' ELSE OLD.queue END;
    BEGIN
        IF OLD.worker_id IS NOT NULL THEN
            INSERT INTO chaos.turns VALUES (DEFAULT, OLD.run_id, OLD.attempt_token, false, name);
        END IF;
        IF TG_OP = 'UPDATE' AND NEW.worker_id IS NOT NULL THEN
            INSERT INTO chaos.turns VALUES (DEFAULT, NEW.run_id, NEW.attempt_token, true, name);
        END IF;
        RETURN CASE TG_OP WHEN 'UPDATE' THEN NEW ELSE OLD END;
    END $$;
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
CREATE TRIGGER note_turn BEFORE UPDATE ON scheduler.live_runs FOR EACH ROW
    WHEN (OLD.worker_id IS DISTINCT FROM NEW.worker_id
          AND (NEW.tenant_id = 'narrow' OR NEW.queue IN ('few', 'metered')))
    EXECUTE FUNCTION chaos.note_turn();
CREATE TRIGGER note_last_turn BEFORE DELETE ON scheduler.live_runs FOR EACH ROW
    WHEN (OLD.tenant_id = 'narrow' OR OLD.queue IN ('few', 'metered')) EXECUTE FUNCTION chaos.note_turn();
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
    """The server in `root`; `start` gives its address, `crash` and `go_away` take it away for a while."""

    def __init__(self, root: Path) -> None:
        self._server = EmbeddedPostgres(root, new_secret=lambda: secrets.token_hex(16))  # noqa: TID251 - a password
        self._changing = asyncio.Lock()
        self.url = ""

    async def start(self) -> None:
        self.url = await asyncio.to_thread(self._server.start)

    async def stop(self) -> None:
        await asyncio.to_thread(self._server.stop)

    async def crash(self, number: signal.Signals) -> bool:
        """Ends and starts again. Whether there was a server to be hit.

        SIGKILL leaves its sessions to notice, SIGQUIT ends all at once.
        """
        async with self._changing:
            was_hit = self._send(number) is not None
            await self.start()
        return was_hit

    async def go_away(self, seconds: float, now_us: Callable[[], int]) -> OutageFact:
        """Away for so long, counted from when its last process had ended."""
        async with self._changing:
            postmaster = self._send(signal.SIGQUIT)
            await wait_until(lambda: postmaster is None or not postmaster.is_running(), GONE_SECONDS_MAX)
            from_us = now_us()
            await loop_sleep(seconds)
            until_us = now_us()
            await self.start()
        return OutageFact(from_us, until_us)

    def _send(self, number: signal.Signals) -> psutil.Process | None:
        """An immediate shutdown ends the postmaster after its sessions."""
        found = find_postmaster(self._server.server_dir)
        if found is None:
            return None
        postmaster = psutil.Process(found.pid)
        postmaster.send_signal(number)
        return postmaster

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

    async def issue_token(self, tenant_id: str, role: str) -> str:
        """Made behind Rota's back: `rota server` prints none."""
        secret = TOKEN_PREFIX + secrets.token_hex(32)  # noqa: TID251 - a secret of the run's own
        session = await self.connect()
        await session.execute(
            "INSERT INTO scheduler.api_tokens (id, tenant_id, name, role, hint, secret_hash, created_by)"
            " VALUES (scheduler.uuid7_at(now()), $1, 'chaos', $2, 'chaos', $3, 'chaos')",
            tenant_id,
            role,
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

    async def unfinished(self) -> tuple[int, int, int]:
        """Triggers with something to come, live runs, and milestones with an attempt to come."""
        session = await self.connect()
        row = await session.fetchrow(
            "SELECT (SELECT count(*) FROM scheduler.triggers WHERE next_fire_at IS NOT NULL),"
            " (SELECT count(*) FROM scheduler.live_runs),"
            " (SELECT count(*) FROM scheduler.milestones WHERE next_at IS NOT NULL)"
        )
        await session.close()
        assert row is not None
        return int(row[0]), int(row[1]), int(row[2])
