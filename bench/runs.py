"""No-op jobs executed end to end, by Rota, by its peers and by plain SQL, in turns against one durable server.

Real worker processes and a fresh database each time; see `bench.harness.draining` for what the clock covers. The limit
is the best of plain SQL's settings, by its median.
"""

import statistics
from collections.abc import Mapping, Sequence
from itertools import chain

from msgspec import structs

from bench.harness.contestants import PEERS, PROCRASTINATE, RAW, ROTA, ROTA_AS_INSTALLED, raw_settings
from bench.harness.database import Server, embedded_server
from bench.harness.draining import Drained, Task, drain, install
from bench.harness.rows import Extent, Row, measurement, ratio_of, row, say
from bench.harness.systems import System, only_installed

COUNT = 50_000
# Jobs of the slow ones, so that a drain takes seconds.
COUNTS = {"awa": 20_000, "procrastinate": 2_500}
ROW_BYTES_BEFORE_KNOWN = 450

Found = dict[str, list[Drained]]


async def measure(extent: Extent) -> Sequence[Row]:
    async with embedded_server() as server:
        found = await _rounds(server, extent)
    return list(rows_of(found))


async def _rounds(server: Server, extent: Extent) -> Found:
    peers = only_installed([peer for peer in PEERS if extent.wants(peer.name)])
    templates = {one.name: await install(server, one) for one in (ROTA, RAW, *peers) if extent.wants(one.name)}
    found: Found = {}
    row_bytes = ROW_BYTES_BEFORE_KNOWN
    for number in range(extent.rounds):
        for label, system, processes in _turns(peers, extent):
            count = extent.count(COUNTS.get(system.name, COUNT), 500)
            width = row_bytes if system.name == RAW.name else 0
            drained = await drain(server, Task(system, templates[system.name], count, processes, width))
            if system.name == ROTA.name:
                row_bytes = round(drained.row_bytes)
            found.setdefault(label, []).append(drained)
            say(f"round {number + 1}: {label}: {drained.timed.executed_per_second:,.0f}/s ({_told(drained)})")
    return found


def _turns(peers: Sequence[System], extent: Extent) -> list[tuple[str, System, int]]:
    """Who drains in each round, with how many worker processes. Rota first: the limit's rows are as wide as its own."""
    turns: list[tuple[str, System, int]] = []
    if extent.wants(ROTA.name):
        turns += [("rota 1", ROTA, 1), ("rota 2", ROTA, 2), ("rota as installed", ROTA_AS_INSTALLED, 1)]
    turns += [(f"{peer.name} {n}", peer, n) for peer in peers for n in (1, 2) if peer is not PROCRASTINATE or n == 1]
    if extent.wants(RAW.name):
        turns += [(f"raw {'×'.join(map(str, one.options.values()))}", one, 1) for one in raw_settings()]
    return turns


def _told(drained: Drained) -> str:
    timed = drained.timed
    per_job = f"{timed.database_us:.1f} + {timed.worker_us:.1f} us, {timed.wal_bytes:.0f} B"
    return f"enqueued {timed.enqueued_per_second:,.0f}/s, {per_job}, {drained.row_bytes:.0f} B a row"


def rows_of(found: Found) -> list[Row]:
    """The figures of Rota with those of the others beside them."""
    labels = [label for label in ("rota 1", "rota 2", "rota as installed") if label in found]
    limit = best_of(found, "raw")
    rows: list[Row] = []
    for label in labels:
        runs = _speeds(found[label])
        name = "runs_end_to_end_" + label.removeprefix("rota ").replace(" ", "_")
        processes = label.rpartition(" ")[2]
        rows.append(_beside(row(name, "runs/s", runs, _peer_speeds(found, processes)), runs, limit))
    best = best_of(found, "rota")
    if best:
        peers = {name: best_of(found, name) for name in _peer_names(found)}
        rows.insert(0, _beside(row("runs_end_to_end", "runs/s", best, peers), best, limit))
        rows += _costs(found)
    return rows


def best_of(found: Found, system: str) -> list[float]:
    """The speeds of a system at its fastest setting, by the median of the rounds."""
    all_runs = [_speeds(drains) for label, drains in found.items() if label.split(" ")[0] == system]
    return max(all_runs, key=statistics.median, default=[])


def _beside(made: Row, runs: Sequence[float], limit: Sequence[float]) -> Row:
    if not limit:
        return made
    peers = {**made.peers, "raw SQL": statistics.median(limit)}
    return structs.replace(made, ratio_to_limit=ratio_of(runs, limit), peers=peers)


def _costs(found: Found) -> list[Row]:
    """What one job costs, with one worker process each, and how fast jobs are enqueued."""
    figures = (
        ("runs_enqueued_in_bulk", "runs/s", "enqueued_per_second"),
        ("runs_database_cpu", "us/run", "database_us"),
        ("runs_worker_cpu", "us/run", "worker_us"),
        ("runs_wal", "B/run", "wal_bytes"),
        ("runs_commits", "commits/run", "commits"),
        ("runs_dead_tuples", "tuples/run", "dead_tuples"),
    )
    ones: Mapping[str, list[Drained]] = {
        label.split(" ")[0]: drains for label, drains in found.items() if label.endswith(" 1") and label != "rota 1"
    }
    raw = [drains for label, drains in found.items() if label.startswith("raw ")]
    raw_named = {"raw SQL": max(raw, key=lambda one: statistics.median(_speeds(one)))} if raw else {}
    return [
        row(
            name,
            unit,
            _column(found["rota 1"], field),
            {peer: _column(drains, field) for peer, drains in chain(ones.items(), raw_named.items())},
        )
        for name, unit, field in figures
    ]


def _peer_names(found: Found) -> list[str]:
    return sorted({label.split(" ")[0] for label in found} - {"rota", "raw"})


def _peer_speeds(found: Found, processes: str) -> dict[str, list[float]]:
    own = f" {processes if processes.isdigit() else 1}"
    return {label.split(" ")[0]: _speeds(drains) for label, drains in found.items() if _is_peer(label, own)}


def _is_peer(label: str, ending: str) -> bool:
    return label.endswith(ending) and not label.startswith(("rota", "raw"))


def _speeds(drains: Sequence[Drained]) -> list[float]:
    return _column(drains, "executed_per_second")


def _column(drains: Sequence[Drained], field: str) -> list[float]:
    return [float(getattr(one if hasattr(one, field) else one.timed, field)) for one in drains]


if __name__ == "__main__":
    measurement(__doc__, measure)
