"""How things are said on the pages: triggers, times, durations, policies and output as people read them. Pure."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from rota.domain.check_in import CheckIn
from rota.domain.dependencies import DependencyRule
from rota.domain.graph_job import SEVERITIES, Severity
from rota.domain.limit import LimitState
from rota.domain.milestone import Milestone
from rota.domain.policies import Misfire, Overlap, Policies, RetryPolicy
from rota.domain.run import LogLine, Run
from rota.domain.schedule import Schedule
from rota.domain.targets import HttpTarget, SegmentTarget, Target
from rota.domain.triggers import AtTrigger, CronTrigger, IntervalTrigger, MilestoneTrigger, Trigger

COMMAND_LENGTH_MAX = 120
LINE_LENGTH_MAX = 2_000
RESULT_LENGTH_MAX = 4_000

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_FEW_SECONDS = 10
_TERMINAL_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

_OVERLAP_WORDS: Mapping[Overlap, str] = {
    "skip": "skip the new run",
    "queue_one": "let one wait",
    "queue_all": "let all wait",
    "allow": "run both",
    "cancel_running": "cancel the old run",
}
_MISFIRE_WORDS: Mapping[Misfire, str] = {"fire_once": "fire once", "fire_all": "fire each missed time", "skip": "skip"}

_RULE_WORDS: Mapping[DependencyRule, str] = {
    "all_succeeded": "runs once all of these have succeeded",
    "any_succeeded": "runs once one of these has succeeded",
    "always": "runs once all of these have ended, however they do",
}
# The store keeps no order of a summary's parts. What is asked first comes first.
_SUMMARY_ORDER = (
    "components",
    "dependencies",
    "dropped_dependencies",
    "findings",
    "violations",
    "verdicts",
    "judged",
    "added",
    "removed",
    "changed",
)

_SEVERITY_WORDS: Mapping[Severity, str] = {"none": "of no severity"}

SayingKind: TypeAlias = Literal["problem", "reason", "line", "nothing"]


class Saying(Struct, frozen=True):
    """What is to be said of a run in one line: its error, why it did not run, or the last that it wrote."""

    kind: SayingKind
    text: str


def trigger_words(trigger: Trigger) -> str:
    match trigger:
        case CronTrigger(expression=expression, timezone=zone):
            return expression if zone == "UTC" else f"{expression} · {zone}"
        case IntervalTrigger(every_seconds=seconds):
            return f"every {exact_words(seconds)}"
        case AtTrigger(at=at):
            return f"once at {at:%Y-%m-%d %H:%M}Z"
        case MilestoneTrigger(name=name):
            return f"milestone {name}"


def check_in_words(check_in: CheckIn) -> str:
    """When an end is expected."""
    if check_in.every_seconds is not None:
        return f"every {exact_words(check_in.every_seconds)}"
    return trigger_words(CronTrigger(check_in.cron or "", check_in.timezone))


def target_words(target: Target) -> str:
    """`whole_target_words`, in one short line."""
    text = " ".join(whole_target_words(target).split())
    return text if len(text) <= COMMAND_LENGTH_MAX else text[: COMMAND_LENGTH_MAX - 1] + "…"


def whole_target_words(target: Target) -> str:
    """What is done: a command for `rota.exec`, method and address for a request, else the task with its arguments.

    Headers and environments are left out, since credentials tend to stand in them.
    """
    if isinstance(target, HttpTarget):
        return f"{target.method} {target.url}"
    if isinstance(target, SegmentTarget):
        return f"segment {target.segment_no}: {target.task or 'a request'}"
    command = target.args.get("command") if target.task == "rota.exec" else None
    if command is None:
        return f"{target.task} {json_words(target.args)}" if target.args else target.task
    return command if isinstance(command, str) else " ".join(str(part) for part in command)


def json_words(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= RESULT_LENGTH_MAX else text[: RESULT_LENGTH_MAX - 1] + "…"


def exact_words(seconds: float) -> str:
    """Nothing is rounded away: `1 h 30 min`, `1.5 s`, `250 ms`."""
    if seconds < 1:
        return f"{seconds * 1_000:g} ms"
    whole, fraction = divmod(seconds, 1)
    parts = [f"{count} {unit}" for count, unit in _split(int(whole)) if count]
    if not fraction:
        return " ".join(parts)
    rest = f"{seconds % 60:g} s"
    return " ".join([*(part for part in parts if not part.endswith(" s")), rest])


def duration_words(seconds: float) -> str:
    """As exact as people care for: the two largest units."""
    if seconds < 1:
        return f"{seconds * 1_000:.0f} ms"
    if seconds < _FEW_SECONDS:
        return f"{seconds:.1f} s"
    parts = [f"{count} {unit}" for count, unit in _split(int(seconds))]
    first = next(index for index, (count, _) in enumerate(_split(int(seconds))) if count)
    return " ".join(part for part in parts[first : first + 2] if not part.startswith("0 "))


def relative_words(moment: datetime | None, now: datetime) -> str:
    """`in 5 min`, `3 h ago`, `now`: the largest unit, rounded down; a dash where there is no time."""
    if moment is None:
        return "–"
    seconds = (moment - now).total_seconds()
    count, unit = next(((count, unit) for count, unit in _split(int(abs(seconds))) if count), (0, ""))
    if not count:
        return "now"
    return f"in {count} {unit}" if seconds > 0 else f"{count} {unit} ago"


def instant_words(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def day_words(moment: datetime) -> str:
    """Short enough for a column; the year is told by the words beside it."""
    return f"{moment:%d %b %H:%M} UTC"


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


def overlap_words(policies: Policies) -> str:
    words = _OVERLAP_WORDS[policies.overlap]
    if policies.concurrency_max is None:
        return words
    shared = "of its runs" if policies.concurrency_key is None else f"with the key {policies.concurrency_key}"
    return f"{words}; at most {policies.concurrency_max} {shared} at once"


def misfire_words(policies: Policies) -> str:
    return f"{_MISFIRE_WORDS[policies.misfire]} when late by more than {exact_words(policies.misfire_grace_seconds)}"


def retry_words(retry: RetryPolicy) -> str:
    if retry.delays_seconds is not None:
        return (
            f"after {', '.join(exact_words(delay) for delay in retry.delays_seconds)}" if retry.delays_seconds else "no"
        )
    if retry.attempts_max <= 1:
        return "no"
    base, cap = exact_words(retry.base_seconds), exact_words(retry.cap_seconds)
    return f"up to {retry.attempts_max} attempts, after {base}, each time × {retry.factor:g}, at most {cap}"


def line_words(text: str) -> str:
    """A line of output without the codes that move a terminal; of what overwrote itself, the last."""
    plain = _TERMINAL_SEQUENCE.sub("", text).rstrip("\r").rpartition("\r")[2]
    shown = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", plain)
    return shown if len(shown) <= LINE_LENGTH_MAX else shown[: LINE_LENGTH_MAX - 1] + "…"


def run_saying(run: Run, tail: Sequence[LogLine]) -> Saying:
    """`tail` are the run's last lines, if it has any."""
    if run.error is not None:
        return Saying("problem", run.error.message or run.error.type or run.reason)
    if run.state == "queued" and run.attempts_count:
        return Saying("reason", f"waits to be tried again: {run.attempts_count} tried so far")
    if run.state in {"skipped", "cancelled", "scheduled", "queued"}:
        return Saying("reason", run.reason)
    spoken = next((words for line in reversed(tail) if (words := line_words(line.text).strip())), "")
    return Saying("line", spoken) if spoken else Saying("nothing", "no output")


def rule_words(rule: DependencyRule) -> str:
    return _RULE_WORDS[rule]


def short_id(run_id: str) -> str:
    """The end of an id: ids of runs that were made together begin alike."""
    return f"…{run_id[-8:]}"


def summary_words(summary: Mapping[str, Any] | None) -> str:
    """The counts of a result: `3 components · 2 dependencies`, `2 findings (1 high, 1 low)`. What is zero and no
    one's first question is left out.
    """
    known = summary or {}
    parts: list[str] = []
    for name in _SUMMARY_ORDER:
        count: int | None = known.get(f"{name}_count")
        if count or (count == 0 and not parts):
            severities: Mapping[str, int] = known.get(f"{name}_by_severity") or {}
            said = [
                f"{severities[one]} {_SEVERITY_WORDS.get(one, one)}"
                for one in reversed(SEVERITIES)
                if one in severities
            ]
            parts.append(_counted(count, name.replace("_", " ")) + (f" ({', '.join(said)})" if said else ""))
    return " · ".join(parts)


def _counted(count: int, noun: str) -> str:
    if count != 1:
        return f"{count} {noun}"
    return f"1 {noun.removesuffix('ies')}y" if noun.endswith("ies") else f"1 {noun.removesuffix('s')}"


def milestone_state(milestone: Milestone, now: datetime, *, is_off: bool = False) -> str:
    """Its state; of one that waits, whether that is for its time, for the next try, for the leader, or for the flag
    `milestones`, which `is_off`.
    """
    if milestone.state != "waiting":
        return milestone.state
    if milestone.backoff_until is not None and milestone.backoff_until > now:
        return "backing off"
    if is_off and milestone.held_since is not None:
        return "held"
    return "waiting" if milestone.due_at > now else "due"


def limit_saying(state: LimitState) -> Saying:
    """Whether runs may begin under a limit, and what they wait for where they may not."""
    most, rate = state.limit.concurrency_max, state.limit.rate_per_second
    if state.room:
        return Saying("line", f"{state.room} more may begin now")
    if rate is None or (most is not None and state.running_count >= most):
        # The room is looked at after the count: the last of them may have begun in between.
        return Saying("reason", f"full: others begin when one of the {max(state.running_count, most or 0)} ends")
    return Saying("reason", f"used up: {rate:g} begin each second")


def _split(seconds: int) -> list[tuple[int, str]]:
    parts: list[tuple[int, str]] = []
    for size, unit in _UNITS:
        count, seconds = divmod(seconds, size)
        parts.append((count, unit))
    return parts
