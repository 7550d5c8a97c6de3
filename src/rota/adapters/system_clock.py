"""The machine's clock. Durations include the time that the machine slept: no lease is trusted after a nap."""

import asyncio
import time


class SystemClock:
    """`rota.ports.clock.Clock` of this process. Thread-safe; `sleep` waits on the running loop."""

    def monotonic_seconds(self) -> float:
        return _awake_or_not()

    def wall_ns(self) -> int:
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


if hasattr(time, "CLOCK_BOOTTIME"):

    def _awake_or_not() -> float:
        """Linux's CLOCK_MONOTONIC stands still while the machine is suspended; this one does not."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

else:

    def _awake_or_not() -> float:
        return time.monotonic()
