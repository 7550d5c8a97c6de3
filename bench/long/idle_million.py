"""What a server costs that has a million schedules and nothing to do."""

from collections.abc import Sequence

from bench.harness.rows import Extent, Row, measurement
from bench.server_idle import measured

REGISTERED = 1_000_000
IDLE_SECONDS = 60.0


async def measure(extent: Extent) -> Sequence[Row]:
    return await measured("idle_million", extent.count(REGISTERED), extent.seconds(IDLE_SECONDS, least=2.0), extent)


if __name__ == "__main__":
    measurement(__doc__, measure)
