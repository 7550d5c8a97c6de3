"""The `beat_schedule` of a Celery app, as entries. The app's module is imported, and nothing of it is run besides."""

import importlib
import sys
import traceback
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, cast

from rota.core.celery_beat import BeatCrontab, BeatEntry, BeatInterval, BeatUnknown, BeatWhen
from rota.domain.errors import DomainError, invalid_input
from rota.domain.problems import FieldProblem

_OPTIONS_KEPT = frozenset({"queue"})


def beat_entries(path: str) -> tuple[tuple[BeatEntry, ...], str | None]:
    """The entries, and the app's own time zone. Raises INVALID_INPUT where the app cannot be had."""
    app = _app(path)
    schedule = cast("Mapping[str, Any] | None", getattr(getattr(app, "conf", None), "beat_schedule", None))
    if not schedule:
        raise _refused(f"{path!r} has no beat_schedule", "name the Celery app whose conf has one, as module:app")
    entries = tuple(_entry(str(name), cast("Mapping[str, Any]", given)) for name, given in schedule.items())
    return entries, cast("str | None", app.conf.timezone)


def _app(path: str) -> Any:  # noqa: ANN401 - Celery has no types
    module, _, attribute = path.partition(":")
    sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module), attribute or "app")
    except (Exception, SystemExit) as raised:
        sys.stderr.write(traceback.format_exc())
        problem = f"importing {path!r} failed: {type(raised).__name__}: {raised}"
        raise _refused(problem, "start in the directory that holds the module; the traceback tells more") from raised


def _entry(name: str, given: Mapping[str, Any]) -> BeatEntry:
    options = cast("Mapping[str, Any]", given.get("options") or {})
    return BeatEntry(
        name=name,
        task=str(given.get("task", "")),
        when=_when(given.get("schedule")),
        args=tuple(given.get("args") or ()),
        kwargs=dict(given.get("kwargs") or {}),
        queue=cast("str | None", options.get("queue")),
        lost=tuple(_lost(options)),
    )


def _lost(options: Mapping[str, Any]) -> Iterator[str]:
    for name in options:
        if name not in _OPTIONS_KEPT:
            yield f"the option {name}"


def _when(given: Any) -> BeatWhen:  # noqa: ANN401
    """By the shape of the value: its classes are not imported here."""
    if isinstance(given, int | float):
        return BeatInterval(float(given))
    if isinstance(given, timedelta):
        return BeatInterval(given.total_seconds())
    if all(hasattr(given, f"_orig_{name}") for name in ("minute", "hour", "day_of_week")):
        named = {name: _text(getattr(given, f"_orig_{name}")) for name in BeatCrontab.__struct_fields__[:5]}
        return BeatCrontab(**named)
    every = getattr(given, "run_every", None)
    return BeatInterval(every.total_seconds()) if isinstance(every, timedelta) else BeatUnknown(type(given).__name__)


def _text(field: object) -> str:
    """A crontab's field may be a text, a number, or any collection of either."""
    if isinstance(field, str | int):
        return str(field)
    return ",".join(str(one) for one in sorted(cast("Any", field)))


def _refused(problem: str, remedy: str) -> DomainError:
    return invalid_input([FieldProblem("--app", problem, remedy)])
