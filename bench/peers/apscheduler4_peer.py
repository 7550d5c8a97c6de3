"""APScheduler 4 (alpha): `DSN COUNT` registers schedules before it starts with all due, prints how long all took.

Several schedulers may share its database: schedules and jobs are leased. Handing over writes a job's row and the
schedule's next time; a job whose worker died is released when its lease ends.
"""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime

from apscheduler import AsyncScheduler, JobAdded
from apscheduler.datastores.sqlalchemy import SQLAlchemyDataStore
from apscheduler.eventbrokers.asyncpg import AsyncpgEventBroker
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy.ext.asyncio import create_async_engine

SECONDS_MAX = 90.0


async def noop() -> None:
    """What is due."""


async def main(dsn: str, count: int) -> dict[str, float]:
    engine = create_async_engine(dsn.replace("postgresql://", "postgresql+asyncpg://"))
    broker = AsyncpgEventBroker.from_async_sqla_engine(engine)
    async with AsyncScheduler(SQLAlchemyDataStore(engine), broker, max_concurrent_jobs=100) as scheduler:
        added = 0
        all_added = asyncio.Event()

        def see(_: JobAdded) -> None:
            nonlocal added
            added += 1
            if added == count:
                all_added.set()

        scheduler.subscribe(see, {JobAdded})
        await scheduler.configure_task("noop", func=noop)
        due_at = datetime.now(UTC)
        began = time.monotonic()
        for _ in range(count):
            await scheduler.add_schedule("noop", IntervalTrigger(days=1, start_time=due_at), misfire_grace_time=None)
        registered_seconds = time.monotonic() - began
        began = time.monotonic()
        await scheduler.start_in_background()
        try:
            await asyncio.wait_for(all_added.wait(), SECONDS_MAX)
        except TimeoutError:
            print(f"{added} of {count} handed over in {SECONDS_MAX:.0f} s", file=sys.stderr)
        return {
            "registered_seconds": registered_seconds,
            "handed_over_seconds": time.monotonic() - began,
            "left": count - added,
        }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], int(sys.argv[2])))), flush=True)
