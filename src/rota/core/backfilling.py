"""Backfilling, decided: which nominal times a window has, which of them run, and how many of them now.

A time is run under the key of its firing, so that a leader that comes to it later finds it made, and the other way
round. Where a skipped record has that key (the time was decided not to run), the run gets a key of backfills' own, so
that two backfills of one window make one run. A time that has run, or is to, is skipped.

Rate: each run uses up 60 / `runs_per_minute_max` seconds of time. What was not used is kept for `BURST_SECONDS` only,
so that a leader that comes back after an hour does not let an hour's runs loose.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice

from msgspec.structs import replace as changed

from rota.core.field_rules import number_problems
from rota.core.run_identity import backfill_key, fire_key
from rota.core.trigger_times import INSTANT, occurrences_of
from rota.domain.backfill import (
    RUNS_PER_MINUTE_MAX,
    RUNS_PER_MINUTE_MIN,
    Backfill,
    BackfillRequest,
    BackfillStep,
    BackfillTime,
    DueBackfill,
)
from rota.domain.firing import FireDraft
from rota.domain.ids import ScheduleId, TriggerId
from rota.domain.policies import PRIORITY_MAX, PRIORITY_MIN
from rota.domain.problems import FieldProblem
from rota.domain.schedule import TriggerState

BURST_SECONDS = 1.0
STEP_TIMES_MAX = 500
# No more runs of its schedule are live for it: the schedule's own firings find room beside it.
LIVE_MAX = 500
# How soon it looks again when there are so many.
FULL_SECONDS = 1.0
# The same, while the flag firing is off.
WITHHELD_SECONDS = 5.0
AGE_DAYS_MAX = 3_660
SCHEDULE_GONE = "its schedule was deleted, or its tenant revoked"
RUN_ALREADY = "a run of this time exists"


def backfill_problems(request: BackfillRequest, now: datetime) -> Iterator[FieldProblem]:
    """What is wrong with a request, by the store's time."""
    for name, at in (("from", request.since), ("to", request.to)):
        if at.utcoffset() is None:
            yield FieldProblem(name, "has no UTC offset, so it names no instant", "end it with 'Z' or an offset")
    if request.since.utcoffset() is not None and request.to.utcoffset() is not None:
        if now - request.since > timedelta(days=AGE_DAYS_MAX):
            yield FieldProblem("from", "is too long ago", f"send a time of the last {AGE_DAYS_MAX} days")
        if request.to < request.since:
            yield FieldProblem("to", "is before from", "exchange the two")
        if request.to > now:
            yield FieldProblem("to", "is in the future", "let the schedule fire what is to come; end at now at most")
    rate = request.runs_per_minute_max
    yield from number_problems("runs_per_minute_max", rate, RUNS_PER_MINUTE_MIN, RUNS_PER_MINUTE_MAX, "runs a minute")
    if request.priority is not None:
        yield from number_problems("priority", request.priority, PRIORITY_MIN, PRIORITY_MAX)


def times_of(
    schedule_id: ScheduleId,
    triggers: Sequence[TriggerState],
    window: tuple[datetime, datetime],
    behind: BackfillTime | None = None,
) -> Iterator[BackfillTime]:
    """The nominal times of a window in their order, both ends inclusive; with `behind`, those after it."""
    since, to = window
    first = since if behind is None else behind.at
    for time in merge(*(_times(schedule_id, one, place, first, to) for place, one in enumerate(triggers))):
        if behind is None or time > behind:
            yield time


def _times(
    schedule_id: ScheduleId, trigger: TriggerState, place: int, first: datetime, to: datetime
) -> Iterator[BackfillTime]:
    occurrences = occurrences_of(schedule_id, trigger)
    at = occurrences.next_after(first - INSTANT)
    while at is not None and at <= to:
        yield BackfillTime(at, place)
        at = occurrences.next_after(at)


def keys_of(triggers: Sequence[TriggerState], times: Sequence[BackfillTime]) -> list[str]:
    """Every key that decides on `times`."""
    return [key(triggers[time.place].id, time.at) for time in times for key in (fire_key, backfill_key)]


def free_key(trigger: TriggerState, at: datetime, known: Mapping[str, bool]) -> str | None:
    """The key under which a time is run; None where it has a run. `known`: taken keys, True by a skipped record."""
    fired, own = fire_key(trigger.id, at), backfill_key(trigger.id, at)
    if own in known:
        return None
    if fired not in known:
        return fired
    return own if known[fired] else None


def next_times(backfill: Backfill) -> list[BackfillTime]:
    """As many as one step decides on, and one more, which tells that there are more."""
    through = backfill.done_through
    behind = None if through is None else BackfillTime(through, backfill.done_place)
    window = (backfill.since, backfill.to)
    return list(islice(times_of(backfill.schedule_id, backfill.triggers, window, behind), STEP_TIMES_MAX + 1))


def allowance(paced_at: datetime, now: datetime, runs_per_minute_max: float) -> int:
    """How many runs the rate allows at `now`."""
    since = max(paced_at, now - timedelta(seconds=max(BURST_SECONDS, 60 / runs_per_minute_max)))
    return max(0, int((now - since).total_seconds() * runs_per_minute_max / 60 + 1e-9))


def paced_after(paced_at: datetime, now: datetime, runs_per_minute_max: float, runs_count: int) -> datetime:
    """`paced_at` after so many runs at `now`."""
    since = max(paced_at, now - timedelta(seconds=max(BURST_SECONDS, 60 / runs_per_minute_max)))
    return since + timedelta(seconds=runs_count * 60 / runs_per_minute_max)


def plan_step(due: DueBackfill, times: Sequence[BackfillTime], known: Mapping[str, bool]) -> BackfillStep:
    """The next step. `times` are `next_times`, `known` tells of all their keys."""
    backfill, now = due.backfill, due.now
    priority = due.policies.priority if backfill.priority is None else backfill.priority
    if due.schedule_version is None:
        ended = changed(_stepped(backfill), state="cancelled", reason=SCHEDULE_GONE, ended_at=now, resume_at=None)
        return BackfillStep(ended, None, due.policies, priority, (), ())
    rate = backfill.runs_per_minute_max
    room = 0 if due.is_withheld else min(allowance(backfill.paced_at, now, rate), max(0, LIVE_MAX - due.live_count))
    drafts, trigger_ids, decided, skipped_count = list[FireDraft](), list[TriggerId](), list[BackfillTime](), 0
    reason = f"backfilled by {backfill.created_by} (backfill {backfill.id})"
    for time in times[:STEP_TIMES_MAX]:
        trigger = backfill.triggers[time.place]
        key = free_key(trigger, time.at, known)
        if key is not None and len(drafts) == room:
            break
        decided.append(time)
        if key is None:
            skipped_count += 1
        else:
            trigger_ids.append(trigger.id)
            drafts.append(FireDraft(time.at, key, reason))
    after = changed(
        _stepped(backfill),
        created_count=backfill.created_count + len(drafts),
        skipped_count=backfill.skipped_count + skipped_count,
        paced_at=paced_after(backfill.paced_at, now, rate, len(drafts)),
    )
    if decided:
        after = changed(after, done_through=decided[-1].at, done_place=decided[-1].place)
    if len(decided) == len(times):
        after = changed(after, state="finished", ended_at=now, resume_at=None)
    else:
        after = changed(after, resume_at=_resume_at(due, after, is_full=due.live_count + len(drafts) >= LIVE_MAX))
    return BackfillStep(after, due.schedule_version, due.policies, priority, tuple(trigger_ids), tuple(drafts), reason)


def _stepped(backfill: Backfill) -> Backfill:
    return changed(backfill, steps_count=backfill.steps_count + 1)


def _resume_at(due: DueBackfill, after: Backfill, *, is_full: bool) -> datetime:
    if due.is_withheld:
        return due.now + timedelta(seconds=WITHHELD_SECONDS)
    if is_full:
        return due.now + timedelta(seconds=FULL_SECONDS)
    return max(due.now, after.paced_at + timedelta(seconds=60 / after.runs_per_minute_max))
