"""A Celery project as people have them; imported by tests, and by the command line under test."""

from datetime import timedelta
from typing import Any

from celery import Celery
from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded
from celery.schedules import BaseSchedule, crontab, schedule


class solar(BaseSchedule):  # noqa: N801 - as Celery's own, which needs a library of the sky
    """Rota looks at its name."""


app: Any = Celery("shop", broker="memory://")
app.conf.timezone = "Europe/Paris"
app.conf.beat_schedule = {
    "nightly": {"task": "shop.report", "schedule": crontab(hour=2, minute="30"), "args": (1, 2)},
    "weekly": {"task": "shop.report", "schedule": crontab(minute=0, hour=[6, 18], day_of_week="mon-fri")},
    "often": {"task": "shop.report", "schedule": 30.0, "options": {"queue": "slow", "expires": 10}},
    "hourly": {"task": "shop.report", "schedule": timedelta(hours=1), "kwargs": {"days": 1}},
    "anchored": {"task": "shop.report", "schedule": schedule(run_every=60)},
    "dawn": {"task": "shop.report", "schedule": solar()},
    "both": {"task": "shop.report", "schedule": crontab(day_of_month="1", day_of_week="mon")},
}


@app.task(name="shop.report")
def report(*args: Any, **kwargs: Any) -> dict[str, Any]:
    return {"args": list(args), "kwargs": kwargs}


@app.task(name="shop.bound", bind=True, max_retries=2)
def bound(self: Any, mode: str = "tell") -> Any:
    if mode == "retry":
        raise self.retry(exc=ValueError("not yet"), countdown=7)
    if mode == "retry at":
        raise self.retry(eta=self.app.now() + timedelta(seconds=50))
    if mode == "retry plainly":
        raise self.retry()
    if mode == "other arguments":
        raise self.retry(args=("tell",))
    if mode == "raise retry":
        raise Retry("by hand", when=3)
    if mode == "ignore":
        raise Ignore
    if mode == "reject":
        raise Reject("no")
    if mode == "soft limit":
        raise SoftTimeLimitExceeded
    if mode == "fail":
        raise KeyError("broken")
    return {"id": self.request.id, "retries": self.request.retries, "args": list(self.request.args)}


@app.task(name="shop.flaky", bind=True, autoretry_for=(Exception,), retry_backoff=4, retry_jitter=False, max_retries=3)
def flaky(self: Any, mode: str = "fail") -> None:
    if mode == "retry":
        raise self.retry(countdown=1)
    raise ConnectionError("away")


@app.task(name="shop.limited", time_limit=12, soft_time_limit=10, max_retries=None)
def limited() -> None:
    return None
