"""The settable clock of a test database: `scheduler.current_time()` answers what the test says."""

from datetime import datetime, timedelta
from pathlib import Path

from rota.storage.postgres.driver import Pool

_INSTALL = Path(__file__).with_name("fake_clock.sql").read_text(encoding="utf-8")


class SettableClock:
    """All connections of the database see the same time. The real clock runs until `set` stops it."""

    def __init__(self, owner_pool: Pool) -> None:
        self._pool = owner_pool

    async def install(self) -> None:
        await self._pool.execute(_INSTALL)

    async def now(self) -> datetime:
        """What the store takes for the time."""
        now: datetime = await self._pool.fetchval("SELECT scheduler.current_time()")
        return now

    async def set(self, instant: datetime) -> None:
        """Stops the clock at *instant*."""
        await self._pool.execute("UPDATE scheduler_test.clock SET fake_now = $1", instant)

    async def advance(self, seconds: float) -> None:
        """Moves the clock on, stopped or running."""
        await self._pool.execute(
            "UPDATE scheduler_test.clock SET fake_now = fake_now + $1, shift = shift + $1", timedelta(seconds=seconds)
        )

    async def release(self) -> None:
        """Lets the real clock run again, unshifted."""
        await self._pool.execute("UPDATE scheduler_test.clock SET fake_now = NULL, shift = '0'")
