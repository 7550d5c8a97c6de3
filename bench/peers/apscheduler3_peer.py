"""APScheduler 3: `DSN COUNT` registers schedules while it is paused, resumes with all due, prints how long all took.

One process may work on a store at a time: no second scheduler takes over. It moves a schedule's next time in the
database and hands the job to threads of its own; a job that was handed over when the process dies is lost.
"""

import json
import sys
import threading
import time
from datetime import UTC, datetime

from apscheduler.events import EVENT_JOB_SUBMITTED
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler

SECONDS_MAX = 100.0


def noop() -> None:
    """What is due."""


def main(dsn: str, count: int) -> dict[str, float]:
    scheduler = BackgroundScheduler(
        jobstores={"default": SQLAlchemyJobStore(url=dsn.replace("postgresql://", "postgresql+psycopg2://"))},
        executors={"default": ThreadPoolExecutor(10)},
        job_defaults={"coalesce": True, "misfire_grace_time": None},
        timezone=UTC,
    )
    handed_over = threading.Semaphore(0)
    scheduler.add_listener(lambda _: handed_over.release(), EVENT_JOB_SUBMITTED)
    scheduler.start(paused=True)
    due_at = datetime.now(UTC)
    began = time.monotonic()
    for _ in range(count):
        scheduler.add_job(noop, "interval", days=1, next_run_time=due_at)
    registered_seconds = time.monotonic() - began
    began = time.monotonic()
    scheduler.resume()
    left = sum(not handed_over.acquire(timeout=max(0.0, began + SECONDS_MAX - time.monotonic())) for _ in range(count))
    seconds = time.monotonic() - began
    scheduler.shutdown(wait=False)
    return {"registered_seconds": registered_seconds, "handed_over_seconds": seconds, "left": left}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
