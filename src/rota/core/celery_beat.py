"""Reading a Celery beat schedule: entries in, schedules out, and for every entry that gives none the reason.

It decides what an entry means to Rota; it imports nothing of Celery and runs nothing. Entries come from a fixture of
django-celery-beat (`read_fixture`), or from whoever has read an app's `beat_schedule`.

Beat starts a task at its time whatever runs already, and knows no time limit; so do these schedules. A task gets the
entry's positional and keyword arguments as `args` and `kwargs`, as `rota.contrib.celery` takes them.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias, cast

import msgspec
from msgspec import Struct, field

from rota.core.occurrences import validate_trigger
from rota.core.validation import validate_draft
from rota.domain.policies import Policies
from rota.domain.problems import FieldProblem
from rota.domain.schedule import ScheduleDraft
from rota.domain.targets import TaskTarget
from rota.domain.triggers import AtTrigger, CronTrigger, IntervalTrigger, Trigger

LABEL_SOURCE = "source"
BEAT_POLICIES = Policies(overlap="allow", misfire="fire_once", misfire_grace_seconds=60.0, timeout_seconds=86_400.0)

_APP = "django_celery_beat."
_PERIOD_SECONDS = {"days": 86_400.0, "hours": 3_600.0, "minutes": 60.0, "seconds": 1.0, "microseconds": 1e-6}
_LOST_FIELDS = {
    "expires": "its expiry",
    "expire_seconds": "its expiry",
    "priority": "its priority, which each broker reads in its own way",
    "exchange": "its exchange",
    "routing_key": "its routing key",
    "headers": "its headers",
}


class BeatCrontab(Struct, frozen=True):
    """The five fields as they were written."""

    minute: str = "*"
    hour: str = "*"
    day_of_month: str = "*"
    month_of_year: str = "*"
    day_of_week: str = "*"
    timezone: str | None = None


class BeatInterval(Struct, frozen=True):
    """From each start to the next."""

    seconds: float


class BeatClocked(Struct, frozen=True):
    """Once, at a time in RFC 3339."""

    at: str


class BeatUnknown(Struct, frozen=True):
    """A kind of schedule that Rota has no trigger for; `kind` names it."""

    kind: str


BeatWhen: TypeAlias = BeatCrontab | BeatInterval | BeatClocked | BeatUnknown


class BeatEntry(Struct, frozen=True):
    """One periodic task. `lost` says in words what of it has no counterpart."""

    name: str
    task: str
    when: BeatWhen
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    queue: str | None = None
    enabled: bool = True
    once: bool = False
    start_at: str | None = None
    description: str = ""
    lost: tuple[str, ...] = ()


class BeatDraft(Struct, frozen=True):
    """An entry that became a schedule. `note` tells what was not taken over, or is empty."""

    entry: BeatEntry
    draft: ScheduleDraft
    note: str


class BeatRefusal(Struct, frozen=True):
    """An entry without a schedule, and why."""

    name: str
    problem: FieldProblem


class BeatReading(Struct, frozen=True):
    """The whole of it, in order."""

    drafts: tuple[BeatDraft, ...]
    refusals: tuple[BeatRefusal, ...]


class Refused(Exception):
    """One entry's refusal on its way out."""

    def __init__(self, field_name: str, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem = FieldProblem(field_name, problem, remedy)


def read_entries(entries: Sequence[BeatEntry | BeatRefusal], timezone: str) -> BeatReading:
    """`timezone` is of the crontabs that name none."""
    drafts: list[BeatDraft] = []
    refusals: list[BeatRefusal] = []
    for entry in entries:
        if isinstance(entry, BeatRefusal):
            refusals.append(entry)
            continue
        try:
            draft = _draft(entry, timezone)
        except Refused as refused:
            refusals.append(BeatRefusal(entry.name, refused.problem))
        else:
            drafts.append(BeatDraft(entry, draft, _note(entry)))
    return BeatReading(tuple(drafts), tuple(refusals))


def read_fixture(document: object) -> tuple[BeatEntry | BeatRefusal, ...]:
    """What `manage.py dumpdata django_celery_beat` wrote. Other models in it are passed over. Never raises."""
    if not isinstance(document, list):
        problem = FieldProblem("", "is no fixture: a list of records", "write it with dumpdata django_celery_beat")
        return (BeatRefusal("the file", problem),)
    records = [_record(one) for one in cast("list[object]", document)]
    by_key = {(model, key): fields for model, key, fields in records}
    return tuple(_from_fixture(fields, by_key) for model, _, fields in records if model == "periodictask")


Fields: TypeAlias = Mapping[str, Any]


def _record(given: object) -> tuple[str, str, Fields]:
    if not isinstance(given, dict):
        return "", "", {}
    record = cast("dict[str, Any]", given)
    model, fields = str(record.get("model", "")), record.get("fields")
    known = model.removeprefix(_APP) if model.startswith(_APP) else ""
    return known, str(record.get("pk")), cast("Fields", fields) if isinstance(fields, dict) else {}


def _from_fixture(fields: Fields, by_key: Mapping[tuple[str, str], Fields]) -> BeatEntry | BeatRefusal:
    name = str(fields.get("name", ""))
    try:
        return BeatEntry(
            name=name,
            task=str(fields.get("task", "")),
            when=_when(fields, by_key),
            args=_decoded(fields, "args", list, "[]"),
            kwargs=_decoded(fields, "kwargs", dict, "{}"),
            queue=_text(fields, "queue"),
            enabled=bool(fields.get("enabled", True)),
            once=bool(fields.get("one_off", False)),
            start_at=_text(fields, "start_time"),
            description=str(fields.get("description") or ""),
            lost=tuple(dict.fromkeys(words for lost, words in _LOST_FIELDS.items() if _is_given(fields.get(lost)))),
        )
    except Refused as refused:
        return BeatRefusal(name, refused.problem)


def _text(fields: Fields, name: str) -> str | None:
    value = fields.get(name)
    return str(value) if value else None


def _is_given(value: object) -> bool:
    return value not in (None, "", "{}")


def _decoded(fields: Fields, name: str, kind: type[Any], default: str) -> Any:  # noqa: ANN401 - JSON
    try:
        value = msgspec.json.decode(str(fields.get(name) or default))
    except (msgspec.DecodeError, UnicodeEncodeError) as wrong:
        raise Refused(name, f"are no JSON: {wrong}", "mend the periodic task, and dump it again") from wrong
    if not isinstance(value, kind):
        raise Refused(name, f"are no JSON {kind.__name__}", "mend the periodic task, and dump it again")
    return value


def _when(fields: Fields, by_key: Mapping[tuple[str, str], Fields]) -> BeatWhen:
    for kind in ("crontab", "interval", "clocked", "solar"):
        key = fields.get(kind)
        if key is None:
            continue
        found = by_key.get((f"{kind}schedule", str(key)))
        if found is None:
            problem = f"its {kind} schedule {key!r} is not in the file"
            raise Refused(kind, problem, "dump all of django_celery_beat, not single models of it")
        return _when_of(kind, found)
    raise Refused("schedule", "has no schedule", "give it one, or delete it")


def _when_of(kind: str, found: Fields) -> BeatWhen:
    if kind == "crontab":
        named = {name: str(found.get(name, "*")) for name in BeatCrontab.__struct_fields__ if name != "timezone"}
        return BeatCrontab(**named, timezone=_text(found, "timezone"))
    if kind == "interval":
        period = str(found.get("period"))
        if period not in _PERIOD_SECONDS:
            raise Refused("interval", f"the period {period!r} is not known", f"use one of {', '.join(_PERIOD_SECONDS)}")
        every = found.get("every")
        if not isinstance(every, int):
            raise Refused("interval", f"every {every!r} is no number", "mend the interval, and dump it again")
        return BeatInterval(every * _PERIOD_SECONDS[period])
    return BeatClocked(str(found.get("clocked_time"))) if kind == "clocked" else BeatUnknown(kind)


def _draft(entry: BeatEntry, timezone: str) -> ScheduleDraft:
    if entry.task.startswith("celery."):
        raise Refused("task", f"{entry.task} is Celery's own housekeeping", "leave it out: Rota keeps its own house")
    trigger = _trigger(entry, timezone)
    for problem in validate_trigger(trigger):
        raise Refused(problem.field, problem.problem, problem.remedy)
    args: dict[str, Any] = {"args": list(entry.args), "kwargs": dict(entry.kwargs)}
    draft = ScheduleDraft(
        name=entry.name,
        triggers=(trigger,),
        target=TaskTarget(entry.task, {name: value for name, value in args.items() if value}),
        policies=msgspec.structs.replace(BEAT_POLICIES, queue=entry.queue or BEAT_POLICIES.queue),
        enabled=entry.enabled,
        description=entry.description,
        labels={LABEL_SOURCE: "celery-beat"},
    )
    for problem in validate_draft(draft):
        raise Refused(problem.field, problem.problem, problem.remedy)
    return draft


def _trigger(entry: BeatEntry, timezone: str) -> Trigger:
    fires_max = 1 if entry.once else None
    start_at = None if entry.start_at is None else _instant("start_time", entry.start_at)
    match entry.when:
        case BeatCrontab():
            _refuse_both_days(entry.when)
            expression = " ".join(_cron_fields(entry.when))
            zone = entry.when.timezone or timezone
            return CronTrigger(expression=expression, timezone=zone, fires_max=fires_max, start_at=start_at)
        case BeatInterval(seconds=seconds):
            return IntervalTrigger(every_seconds=seconds, fires_max=fires_max, start_at=start_at)
        case BeatClocked(at=at):
            return AtTrigger(at=_instant("clocked", at))
        case BeatUnknown(kind=kind):
            raise Refused("schedule", *_unknown(kind))


def _unknown(kind: str) -> tuple[str, str]:
    if kind == "solar":
        problem = "follows the sun at a place, which Rota has no trigger for"
        return problem, "give it the times of a cron expression, or let a job at noon compute and enqueue"
    return f"is a {kind}, a kind of schedule of its own", "write it as a cron expression or an interval"


def _instant(name: str, text: str) -> datetime:
    try:
        return msgspec.convert(text, datetime)
    except msgspec.ValidationError as wrong:
        raise Refused(name, f"{text!r} is no time", "write it as 2026-03-01T12:00:00Z") from wrong


def _cron_fields(when: BeatCrontab) -> Iterator[str]:
    for text in (when.minute, when.hour, when.day_of_month, when.month_of_year, when.day_of_week):
        yield "".join(text.split())


def _refuse_both_days(when: BeatCrontab) -> None:
    """Celery wants both days to match; cron, where both are restricted, either of them."""
    if when.day_of_month.strip() == "*" or when.day_of_week.strip() == "*":
        return
    problem = "restricts both kinds of days: Celery fires where both match, cron where one of them does"
    raise Refused("crontab", problem, "restrict one of them, and look at the other one in the task")


def _note(entry: BeatEntry) -> str:
    return f"not taken over: {', '.join(entry.lost)}" if entry.lost else ""
