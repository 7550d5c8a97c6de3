"""What a measurement hands in, and how it is called: `measurement` is the whole command line of a module in bench/."""

import argparse
import asyncio
import signal
import statistics
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
from msgspec import Struct

ROUNDS = 3


class Row(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One figure. `value` is the median of `runs`; `peers` were measured in the same run, in the same unit."""

    name: str
    value: float
    unit: str
    runs: list[float]
    ratio_to_limit: float | None = None
    peers: dict[str, float] = {}


class Extent(Struct, frozen=True):
    """How much is measured. `scale` shrinks counts and durations, so that the code of a long one can be tried."""

    rounds: int = ROUNDS
    scale: float = 1.0
    systems: tuple[str, ...] = ()

    def count(self, full: int, least: int = 100) -> int:
        return max(least, round(full * self.scale))

    def seconds(self, full: float, least: float = 0.5) -> float:
        return max(least, full * self.scale)

    def wants(self, system: str) -> bool:
        return not self.systems or system in self.systems


def row(name: str, unit: str, runs: Sequence[float], peers: Mapping[str, Sequence[float]] | None = None) -> Row:
    """A row of medians."""
    medians = {peer: statistics.median(theirs) for peer, theirs in (peers or {}).items() if theirs}
    return Row(name, statistics.median(runs), unit, list(runs), peers=medians)


def ratio_of(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the rounds' ratios: what slowed a whole round slowed both."""
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


def say(text: str) -> None:
    """To people; standard output is for the rows."""
    print(text, file=sys.stderr, flush=True)


def measurement(about: str | None, measure: Callable[[Extent], Awaitable[Sequence[Row]]]) -> None:
    """Measures, and prints the rows: as a JSON array with `--json`, else a line each."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how often each figure is taken ({ROUNDS})")
    parser.add_argument("--scale", type=float, default=1.0, help="shrink counts and durations, for a trial (1.0)")
    parser.add_argument("--systems", default="", help="measure only these, by name, separated by commas")
    given = parser.parse_args()
    heed_termination()
    systems = tuple(name for name in given.systems.split(",") if name)
    rows = asyncio.run(_awaited(measure(Extent(given.rounds, given.scale, systems))))
    if given.json:
        print(msgspec.json.encode(rows).decode())
        return
    for one in rows:
        print(line(one))


def heed_termination() -> None:
    """SIGTERM ends this process as Ctrl-C does: what it has started is stopped first."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def line(one: Row) -> str:
    """One row for people."""
    peers = "".join(f", {name} {value:,.4g}" for name, value in one.peers.items())
    limit = f", {one.ratio_to_limit:.2f} × the limit" if one.ratio_to_limit is not None else ""
    return f"{one.name}: {one.value:,.4g} {one.unit}{limit}{peers}"


async def _awaited(rows: Awaitable[Sequence[Row]]) -> Sequence[Row]:
    return await rows
