"""What becomes of a check-in when its job tells something, or nothing. Pure.

Going missing is one fact, however long the silence lasts; the next success is the recovery. A deadline follows from the
last end that was told, never from a start: a job that starts and hangs is missed.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from msgspec import structs

from rota.core.field_rules import NAME_RULE, number_problems, text_problems
from rota.core.occurrences import compile_trigger, validate_trigger
from rota.domain.check_in import CHECK_IN_LIFECYCLE, CheckIn, CheckInChange, CheckInDraft, CheckInState, PingSignal
from rota.domain.errors import Bug
from rota.domain.event import EventDraft
from rota.domain.problems import FieldProblem
from rota.domain.triggers import CronTrigger

EVERY_SECONDS_MIN = 10.0
EVERY_SECONDS_MAX = 366 * 86_400.0
GRACE_SECONDS_MIN = 1.0
GRACE_SECONDS_MAX = 30 * 86_400.0
EARLY_SECONDS_MAX = 60.0
"""A clock elsewhere may be fast: an end that is told so little before its time counts for that time."""

_STATES: dict[str, CheckInState] = {
    "waiting": "waiting",
    "on_time": "on_time",
    "failing": "failing",
    "missing": "missing",
}


def check_in_problems(draft: CheckInDraft) -> Iterator[FieldProblem]:
    yield from text_problems("name", draft.name, NAME_RULE)
    yield from number_problems("grace_seconds", draft.grace_seconds, GRACE_SECONDS_MIN, GRACE_SECONDS_MAX, "seconds")
    if (draft.cron is None) == (draft.every_seconds is None):
        problem = "is missing" if draft.cron is None else "is given besides every_seconds"
        yield FieldProblem("cron", problem, "give either cron or every_seconds")
    elif draft.every_seconds is not None:
        yield from number_problems(
            "every_seconds", draft.every_seconds, EVERY_SECONDS_MIN, EVERY_SECONDS_MAX, "seconds"
        )
    elif draft.cron is not None:
        for one in validate_trigger(CronTrigger(draft.cron, draft.timezone)):
            yield one if one.field == "timezone" else FieldProblem("cron", one.problem, one.remedy)


def opened(check_in: CheckIn) -> CheckIn:
    """A new one, waiting for the first end from its creation on."""
    return _expecting(check_in, check_in.created_at)


def on_ping(check_in: CheckIn, signal: PingSignal, now: datetime) -> CheckInChange:
    """`now` is the store's time, read while it holds the record."""
    if check_in.paused_at is not None:
        return CheckInChange(_noted(check_in, signal, now))
    if signal == "start":
        return CheckInChange(structs.replace(check_in, started_at=now))
    if signal == "fail":
        failed = _moved(structs.replace(check_in, failed_at=now), "fail", now)
        return CheckInChange(failed, (_event("CheckInFailed", check_in, {"failed_at": now}),))
    succeeded = _moved(structs.replace(check_in, succeeded_at=now, missed_at=None), "succeed", now)
    if check_in.state not in {"missing", "failing"}:
        return CheckInChange(succeeded)
    since = check_in.missed_at or check_in.failed_at
    data = {"was": check_in.state, "since": since, "recovered_at": now}
    return CheckInChange(succeeded, (_event("CheckInRecovered", check_in, data),))


def on_deadline(check_in: CheckIn, now: datetime) -> CheckInChange | None:
    """None while the deadline has not passed. After it, one miss: there is no other deadline until an end is told."""
    if check_in.deadline_at is None or now < check_in.deadline_at:
        return None
    missed = structs.replace(check_in, state="missing", missed_at=now, expected_at=None, deadline_at=None)
    data = {"expected_at": check_in.expected_at, "deadline_at": check_in.deadline_at}
    return CheckInChange(missed, (_event("CheckInMissed", check_in, data),))


def on_pause(check_in: CheckIn, now: datetime) -> CheckIn:
    """Nothing is waited for any more. One that is paused stays as it is."""
    if check_in.paused_at is not None:
        return check_in
    return structs.replace(check_in, paused_at=now, expected_at=None, deadline_at=None)


def on_resume(check_in: CheckIn, now: datetime) -> CheckIn:
    """From now on, as of a new one: what was to be told in the pause is not missed. One that runs stays as it is."""
    if check_in.paused_at is None:
        return check_in
    resumed = structs.replace(check_in, paused_at=None)
    if check_in.state == "missing":
        state = _STATES[CHECK_IN_LIFECYCLE.next_state(check_in.state, "resume")]
        resumed = structs.replace(resumed, state=state, missed_at=None)
    return _expecting(resumed, now)


def _noted(check_in: CheckIn, signal: PingSignal, now: datetime) -> CheckIn:
    if signal == "start":
        return structs.replace(check_in, started_at=now)
    if signal == "fail":
        return structs.replace(check_in, failed_at=now)
    return structs.replace(check_in, succeeded_at=now)


def _moved(check_in: CheckIn, verb: str, now: datetime) -> CheckIn:
    state = _STATES[CHECK_IN_LIFECYCLE.next_state(check_in.state, verb)]
    return _expecting(structs.replace(check_in, state=state), now)


def _expecting(check_in: CheckIn, told_at: datetime) -> CheckIn:
    expected = _expected_after(check_in, told_at)
    deadline = None if expected is None else expected + timedelta(seconds=check_in.grace_seconds)
    return structs.replace(check_in, expected_at=expected, deadline_at=deadline)


def _expected_after(check_in: CheckIn, told_at: datetime) -> datetime | None:
    if check_in.every_seconds is not None:
        return told_at + timedelta(seconds=check_in.every_seconds)
    if check_in.cron is None:
        raise Bug(f"check-in {check_in.id} expects nothing")
    early = timedelta(seconds=min(EARLY_SECONDS_MAX, check_in.grace_seconds))
    after = told_at
    if check_in.expected_at is not None and told_at < check_in.expected_at <= told_at + early:
        after = check_in.expected_at
    trigger = CronTrigger(check_in.cron, check_in.timezone)
    return compile_trigger(trigger, hash_key=check_in.id, anchor=check_in.created_at).next_after(after)


def _event(event_type: str, check_in: CheckIn, data: Mapping[str, object]) -> EventDraft:
    told = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in data.items()}
    return EventDraft(event_type, check_in.tenant_id, check_in.id, "", {"name": check_in.name, **told})
