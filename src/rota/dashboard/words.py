"""How things are said on the pages: triggers, times and durations as people read them. Pure."""

from datetime import datetime

from rota.domain.run import Run
from rota.domain.schedule import Schedule
from rota.domain.targets import HttpTarget, Target
from rota.domain.triggers import AtTrigger, CronTrigger, IntervalTrigger, Trigger

MINUTE_SECONDS = 60
HOUR_SECONDS = 3_600
DAY_SECONDS = 86_400
COMMAND_LENGTH_MAX = 80


def trigger_words(trigger: Trigger) -> str:
    match trigger:
        case CronTrigger(expression=expression, timezone=zone):
            return expression if zone == "UTC" else f"{expression} · {zone}"
        case IntervalTrigger(every_seconds=seconds):
            return f"every {duration_words(seconds)}"
        case AtTrigger(at=at):
            return f"once at {at:%Y-%m-%d %H:%M}Z"


def target_words(target: Target) -> str:
    """What is done, short: a command for `rota.exec`, method and address for a request, else the task's name."""
    if isinstance(target, HttpTarget):
        return f"{target.method} {target.url}"[:COMMAND_LENGTH_MAX]
    command = target.args.get("command") if target.task == "rota.exec" else None
    if command is None:
        return target.task
    text = command if isinstance(command, str) else " ".join(str(part) for part in command)
    return text if len(text) <= COMMAND_LENGTH_MAX else text[: COMMAND_LENGTH_MAX - 1] + "…"


def duration_words(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < MINUTE_SECONDS:
        return f"{seconds:.3g} s"
    if seconds < HOUR_SECONDS:
        return f"{seconds / MINUTE_SECONDS:.3g} min"
    if seconds < DAY_SECONDS:
        return f"{seconds / HOUR_SECONDS:.3g} h"
    return f"{seconds / DAY_SECONDS:.3g} d"


def relative_words(moment: datetime | None, now: datetime) -> str:
    """`in 5 min`, `3 h ago`, `now`; a dash where there is no time."""
    if moment is None:
        return "–"
    seconds = (moment - now).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"in {duration_words(seconds)}" if seconds > 0 else f"{duration_words(-seconds)} ago"


def run_duration_words(run: Run, now: datetime) -> str:
    if run.started_at is None:
        return "–"
    return duration_words(max(0.0, ((run.finished_at or now) - run.started_at).total_seconds()))


def schedule_state(schedule: Schedule) -> str:
    if schedule.deleted_at is not None:
        return "deleted"
    if schedule.needs_intervention:
        return "needs intervention"
    return "enabled" if schedule.enabled else "paused"
