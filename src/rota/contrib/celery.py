"""Existing Celery tasks on a Rota worker, without a broker.

    from proj.celery import app as celery_app
    from rota.contrib.celery import adopt

    app = adopt(celery_app)        # rota worker start --app proj.rota:app

Each task keeps its name and takes `args` and `kwargs`, as `rota import celery-beat` writes them. `self.retry` and
`autoretry_for` become tries of the run, with their own delays and no more than `max_retries`; any other exception
fails the run, as in Celery. `time_limit` is the attempt's hard time-out; at `soft_time_limit` Celery's
`SoftTimeLimitExceeded` is raised in the task.

Celery itself is loaded by whoever adopts an app, and not before. A task's function is called; the signals, the
`on_…` handlers and a `__call__` of one's own are not. What a task sends by `delay` still goes to Celery's own broker.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from typing import Any

from rota.domain.errors import invalid_input
from rota.domain.policies import ATTEMPTS_MAX_LIMIT, RetryPolicy
from rota.domain.problems import FieldProblem
from rota.worker.app import App
from rota.worker.context import Context
from rota.worker.outcomes import HandlerVerdict, NonRetryable, Retry

BUILT_IN = "celery."


class CeleryTaskFailed(NonRetryable):
    """The task raised what it does not retry; the cause is in the traceback."""


def adopt(celery_app: Any, *, queue: str = "default") -> App:  # noqa: ANN401 - Celery has no types
    """A Rota app with the Celery app's tasks, all but Celery's own. Imports what the app autodiscovers."""
    celery_app.loader.import_default_modules()
    celery_app.finalize()
    app = App(str(celery_app.main or "celery"))
    for name in sorted(celery_app.tasks):
        if not name.startswith(BUILT_IN):
            _register(app, celery_app.tasks[name], queue)
    return app


def _register(app: App, task: Any, queue: str) -> None:  # noqa: ANN401
    limit = task.time_limit or task.app.conf.task_time_limit
    soft = task.soft_time_limit or task.app.conf.task_soft_time_limit
    if soft is not None and limit is not None and soft >= limit:
        problem = f"the task {task.name!r} has {soft:g} s, which is not before its time_limit of {limit:g} s"
        raise invalid_input([FieldProblem("soft_time_limit", problem, "Lower it, raise time_limit, or take it off.")])
    errors: Any = import_module("celery.exceptions")
    app.task(
        name=task.name,
        queue=queue,
        timeout_seconds=None if limit is None else float(limit),
        soft_timeout_seconds=None if soft is None else float(soft),
        # A run's own policy may have a soft time-out where the task has none.
        soft_timeout_error=errors.SoftTimeLimitExceeded,
        retry=_policy(task.max_retries),
        # An attempt past its limit is killed, and takes no other along.
        process=limit is not None,
    )(_handler(task))


def _policy(max_retries: int | None) -> RetryPolicy:
    """The delays come with each retry, so the policy has none of its own."""
    attempts = ATTEMPTS_MAX_LIMIT if max_retries is None else min(max_retries + 1, ATTEMPTS_MAX_LIMIT)
    return RetryPolicy(base_seconds=0.0, factor=1.0, cap_seconds=0.0, attempts_max=attempts)


def _handler(task: Any) -> Callable[..., Any]:  # noqa: ANN401
    errors: Any = import_module("celery.exceptions")
    task.retry = _retry_of(task, errors)

    def run(ctx: Context, *, args: list[Any] | None = None, kwargs: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
        with _as_request(task, ctx, args or [], kwargs or {}):
            try:
                return task.run(*(args or []), **(kwargs or {}))
            except errors.Retry as asked:
                raise Retry(str(asked), delay_seconds=_delay_seconds(task, asked.when)) from asked.exc
            except errors.Ignore:
                return None
            except HandlerVerdict:
                raise
            except errors.SoftTimeLimitExceeded as raised:
                raise CeleryTaskFailed("SoftTimeLimitExceeded: the task timed out at its soft limit") from raised
            except Exception as raised:
                raise CeleryTaskFailed(f"{type(raised).__qualname__}: {raised}") from raised

    return run


@contextmanager
def _as_request(task: Any, ctx: Context, args: list[Any], kwargs: dict[str, Any]) -> Generator[None]:  # noqa: ANN401
    """What the task sees as `self.request`. Every earlier attempt counts as a retry, one that was lost too."""
    task.push_request(
        id=ctx.run_id,
        root_id=ctx.run_id,
        task=task.name,
        args=args,
        kwargs=kwargs,
        retries=ctx.attempt_no - 1,
        called_directly=False,
        is_eager=False,
        delivery_info={},
    )
    try:
        yield
    finally:
        task.pop_request()


def _retry_of(task: Any, errors: Any) -> Callable[..., Any]:  # noqa: ANN401
    """`self.retry`, by the run's next try instead of a message to a broker."""

    def retry(args: object = None, kwargs: object = None, exc: Any = None, throw: bool = True, **how: Any) -> Any:  # noqa: ANN401, FBT001, FBT002 - Celery's
        if args is not None or kwargs is not None:
            raise CeleryTaskFailed("a retry with other arguments has no counterpart; enqueue another run instead")
        limit = how.get("max_retries")
        limit = task.max_retries if limit is None else limit
        if limit is not None and task.request.retries >= limit:
            raise exc or task.MaxRetriesExceededError(f"Can't retry {task.name}[{task.request.id}]")
        countdown = how.get("countdown")
        when = how.get("eta") or (task.default_retry_delay if countdown is None else countdown)
        asked = errors.Retry(exc=exc, when=when)
        if throw:
            raise asked
        return asked

    return retry


def _delay_seconds(task: Any, when: datetime | float | None) -> float:  # noqa: ANN401
    """Celery's app knows its own time and zone; a retry that names no time comes at once."""
    if not isinstance(when, datetime):
        return max(0.0, float(when or 0.0))
    now: datetime = task.app.now()
    aware = when if when.tzinfo is not None else when.replace(tzinfo=now.tzinfo)
    return max(0.0, (aware - now).total_seconds())
