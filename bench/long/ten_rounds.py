"""The main figures of `make bench` in ten rounds: runs end to end and pick-up beside the peers."""

from collections.abc import Sequence

from msgspec import structs

from bench import pickup, runs
from bench.harness.rows import Extent, Row, measurement

ROUNDS = 10


async def measure(extent: Extent) -> Sequence[Row]:
    more = structs.replace(extent, rounds=ROUNDS if extent.scale >= 1 else extent.rounds)
    return [*await runs.measure(more), *await pickup.measure(more)]


if __name__ == "__main__":
    measurement(__doc__, measure)
