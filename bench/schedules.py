"""Ten thousand schedules due at once: Rota's server beside APScheduler 3 and 4, each with its store on PostgreSQL.

For Rota from the second in which they are due to the commit of the last run; for APScheduler from its start, with all
of them due and registered, to its word that the last job was handed over. APScheduler 4 is measured once.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from bench.firing import fire
from bench.harness.database import Server, embedded_server
from bench.harness.leading_server import leading_server
from bench.harness.rows import Extent, Row, measurement, row, say
from bench.harness.systems import PEERS, System, SystemFailed, only_installed

COUNT = 10_000
PEER_SECONDS_MAX = 180.0
APSCHEDULER3 = System("apscheduler 3", "apscheduler3_peer", "peers")
APSCHEDULER4 = System("apscheduler 4", "apscheduler4_peer", "apscheduler4")


class HandedOver(Struct, frozen=True):
    """What a peer's script prints. `left` were not handed over in the time that it has."""

    registered_seconds: float
    handed_over_seconds: float
    left: int


async def measure(extent: Extent) -> Sequence[Row]:
    count = extent.count(COUNT)
    peers = only_installed([one for one in (APSCHEDULER3, APSCHEDULER4) if extent.wants(one.name)])
    ours: list[float] = []
    theirs: dict[str, list[HandedOver]] = {one.name: [] for one in peers}
    async with embedded_server() as server, leading_server() as leader:
        await fire(leader, "warm-up ", count, 1.0)
        for number in range(extent.rounds):
            fired = await fire(leader, f"round {number} ", count, 0.0)
            ours.append(fired.lags[-1])
            say(f"round {number + 1}: rota: {ours[-1]:.2f} s")
            for one in peers:
                if number == 0 or one is not APSCHEDULER4:
                    theirs[one.name] += await handed_over(server, one, count)
    return rows_of(ours, theirs)


async def handed_over(server: Server, system: System, count: int) -> list[HandedOver]:
    """One run of a peer's script on a fresh database; nothing where it takes too long."""
    async with server.fresh() as database:
        script = PEERS / f"{system.module}.py"
        process = await asyncio.create_subprocess_exec(
            *_command(system, script), server.url_of(database), str(count), stdout=asyncio.subprocess.PIPE
        )
        try:
            printed, _ = await asyncio.wait_for(process.communicate(), PEER_SECONDS_MAX)
        except TimeoutError:
            process.kill()
            await process.wait()
            say(f"{system.name} was given up after {PEER_SECONDS_MAX:.0f} s")
            return []
        if process.returncode != 0:
            raise SystemFailed(f"{system.name} ended with status {process.returncode}")
    found = msgspec.json.decode(printed, type=HandedOver)
    say(
        f"{system.name}: registered in {found.registered_seconds:.1f} s, handed over in"
        f" {found.handed_over_seconds:.1f} s, {found.left} left"
    )
    return [found]


def _command(system: System, script: Path) -> list[str]:
    return [str(system.python), "-P", str(script)]


def rows_of(ours: Sequence[float], theirs: dict[str, list[HandedOver]]) -> list[Row]:
    """How long until all were handed over; for a peer that was given up, the time that it had."""
    peers = {name: [one.handed_over_seconds for one in found] for name, found in theirs.items()}
    return [row("schedules_due_10k", "s", ours, peers)]


if __name__ == "__main__":
    measurement(__doc__, measure)
