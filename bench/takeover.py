"""How long nobody acts: from a leader's end to the first firing of the next one, with two real servers and fsync.

A schedule is due every 20 ms, so that the first act is what is seen, and not the first due time. The leader is killed,
frozen (and let go on when it was followed), or told to go; whoever is gone is started again and stands by.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from bench.harness.database import embedded_server, open_session
from bench.harness.rows import Extent, Row, measurement, row, say
from rota.storage.postgres.driver import Connection

READY_SECONDS_MAX = 60.0
FOLLOWED_SECONDS_MAX = 30.0
POLL_SECONDS = 0.02

EVERY_20_MS = """
WITH made AS (
    INSERT INTO scheduler.schedules (id, tenant_id, name, enabled, target, policies, created_at, created_by, updated_at,
                                     updated_by)
    SELECT gen_random_uuid(), 'default', 'ticking', true, '{"kind": "task", "task": "noop"}',
           '{"overlap": "allow", "misfire": "fire_once", "misfire_grace_seconds": 1.0}', now(), 'b', now(), 'b'
    RETURNING id
)
INSERT INTO scheduler.triggers (id, schedule_id, tenant_id, position, spec, anchor_at, next_fire_at)
SELECT gen_random_uuid(), id, 'default', 1, '{"kind": "interval", "every_seconds": 0.02}', now(), now()
  FROM made
"""
# Acts of the leader as they are written, with the lease under which they are.
WITNESS = """
CREATE SCHEMA bench;
CREATE TABLE bench.acts (at timestamptz NOT NULL, epoch bigint NOT NULL);
CREATE FUNCTION bench.note_act() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        INSERT INTO bench.acts SELECT clock_timestamp(), l.epoch FROM scheduler.leases l WHERE l.name = 'leader';
        RETURN NULL;
    END $$;
CREATE TRIGGER note_act AFTER UPDATE ON scheduler.triggers FOR EACH ROW EXECUTE FUNCTION bench.note_act();
"""
LEASE = "SELECT epoch, holder FROM scheduler.leases WHERE name = 'leader' AND expires_at > clock_timestamp()"
FIRST_ACT = "SELECT extract(epoch FROM min(at))::float8 FROM bench.acts WHERE epoch > $1"
HAS_ACTED = "SELECT EXISTS (SELECT FROM bench.acts WHERE epoch = $1)"


class Servers:
    """Two `rota server` processes."""

    def __init__(self, url: str, directory: Path) -> None:
        self._environment = {**os.environ, "ROTA_DATABASE_URL": url}
        self._directory = directory
        self._started = 0
        self.running: dict[int, subprocess.Popen[bytes]] = {}

    async def fill(self) -> None:
        """Until there are two, ready."""
        for pid in [pid for pid, process in self.running.items() if process.poll() is not None]:
            del self.running[pid]
        while len(self.running) < 2:
            self._started += 1
            log = self._directory / f"{self._started}.log"
            with log.open("wb") as output:
                process = self._start(output)
            self.running[process.pid] = process
            deadline = time.monotonic() + READY_SECONDS_MAX
            while '"event":"ready"' not in log.read_text():
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError(f"the server does not become ready: {log.read_text()[-2000:]}")
                await asyncio.sleep(POLL_SECONDS)

    def _start(self, output: IO[bytes]) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "rota", "server", "--port", "0"]
        return subprocess.Popen(command, env=self._environment, stdout=output, stderr=output)

    def end(self) -> None:
        for process in self.running.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


async def leader(session: Connection) -> tuple[int, int]:
    """Epoch and process of the leader, once it has acted."""
    deadline = time.monotonic() + FOLLOWED_SECONDS_MAX
    while True:
        lease = await session.fetchrow(LEASE)
        if lease is not None and await session.fetchval(HAS_ACTED, lease["epoch"]):
            found = re.search(r":(\d+)", lease["holder"])
            assert found is not None
            return lease["epoch"], int(found[1])
        if time.monotonic() > deadline:
            raise RuntimeError("nobody leads")
        await asyncio.sleep(POLL_SECONDS)


async def take_over(session: Connection, servers: Servers, number: signal.Signals) -> float:
    """Seconds from the signal to the first act under a later epoch, both by this machine's clock."""
    epoch, pid = await leader(session)
    sent_at = time.time()
    os.kill(pid, number)
    deadline = time.monotonic() + FOLLOWED_SECONDS_MAX
    while (first := await session.fetchval(FIRST_ACT, epoch)) is None:
        if time.monotonic() > deadline:
            raise RuntimeError("nobody followed")
        await asyncio.sleep(POLL_SECONDS)
    if number is signal.SIGSTOP:
        os.kill(pid, signal.SIGCONT)
    else:
        await asyncio.to_thread(servers.running[pid].wait)
    await servers.fill()
    return float(first) - sent_at


async def measure(extent: Extent) -> Sequence[Row]:
    kinds = {
        "leader_killed_to_first_act": signal.SIGKILL,
        "leader_frozen_to_first_act": signal.SIGSTOP,
        "leader_told_to_go_to_first_act": signal.SIGTERM,
    }
    taken: dict[str, list[float]] = {name: [] for name in kinds}
    with tempfile.TemporaryDirectory(prefix="rota-bench-") as directory:
        async with embedded_server() as database, database.fresh() as name:
            url = database.url_of(name)
            servers = Servers(url, Path(directory))
            try:
                await servers.fill()
                async with open_session(url) as session:
                    await session.execute(WITNESS)
                    await session.execute(EVERY_20_MS)
                    for _ in range(extent.rounds):
                        for kind, number in kinds.items():
                            seconds = await take_over(session, servers, number)
                            say(f"{kind}: {seconds:.3f} s")
                            taken[kind].append(seconds)
            finally:
                servers.end()
    return [row(name, "s", seconds) for name, seconds in taken.items()]


if __name__ == "__main__":
    measurement(__doc__, measure)
