"""The plan of one firing batch: for each due trigger, which nominal times become runs, which are skipped, what is next.

Pure: the batch carries the store's `now` and everything else that deciding needs. Misfire decides on each trigger by
itself; then the firings of all due triggers of a schedule meet the overlap policy in the order of their times, so that
the second trigger sees the first one's run. Every decision carries its words.

It does not write. The store applies an advance only if the trigger and its schedule are as they were read, and each
run's key keeps a nominal time from firing twice even so. A schedule that the batch has no room for is left due.

`fires_max` counts runs, not skipped firings. Jitter delays the run and leaves its nominal time alone.
"""

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from rota.core.misfire import (
    DueTimes,
    NominalTime,
    decide_due_times,
    late_before_us,
    punctual_reason,
    withhold_due_times,
)
from rota.core.occurrences import Occurrences, jitter_offset
from rota.core.occurrences.instants import to_datetime, to_microseconds
from rota.core.overlap import LiveRuns, refusal
from rota.core.run_identity import fire_key
from rota.core.trigger_times import occurrences_of
from rota.domain.errors import DomainError
from rota.domain.firing import DueBatch, DueTrigger, FireDraft, TriggerAdvance
from rota.domain.ids import ScheduleId

# Skipped records of one trigger in one plan; further skipped times are counted as dropped.
SKIPS_RECORDED_MAX = 20
# Firings of one plan: what one transaction of some hundred milliseconds can hold.
FIRINGS_PER_PLAN_MAX = 5_000


class _Course(Struct):
    """One due trigger while its schedule is planned. `room` is what `fires_max` leaves."""

    due: DueTrigger
    occurrences: Occurrences
    times: DueTimes
    room: int | None
    runs: list[FireDraft]
    skipped: list[FireDraft]
    late_count: int = 0
    dropped_count: int = 0
    last_fired: datetime | None = None

    @property
    def is_spent(self) -> bool:
        return self.room is not None and len(self.runs) >= self.room


class _Firing(Struct, frozen=True):
    """A nominal time on its way to become a run of its trigger."""

    time: NominalTime
    course: _Course


def plan_firing(batch: DueBatch) -> tuple[TriggerAdvance, ...]:
    """The advances of all due triggers of `batch`, as far as one plan may go."""
    advances: list[TriggerAdvance] = []
    planned, now_us = 0, to_microseconds(batch.now)
    for dues in _by_schedule(batch):
        if planned >= FIRINGS_PER_PLAN_MAX:
            break
        plain = plan_plain(dues[0], now_us) if len(dues) == 1 else None
        decided = plan_schedule(dues, batch.now) if plain is None else [plain]
        planned += sum(len(advance.runs) + len(advance.skipped) for advance in decided)
        advances.extend(decided)
    return tuple(advances)


def _by_schedule(batch: DueBatch) -> Iterable[list[DueTrigger]]:
    """Due triggers of one schedule together, schedules in the order of the batch."""
    schedules: dict[ScheduleId, list[DueTrigger]] = {}
    for due in batch.triggers:
        if due.trigger.next_fire_at is not None and due.trigger.next_fire_at <= batch.now:
            schedules.setdefault(due.schedule_id, []).append(due)
    return schedules.values()


def plan_plain(due: DueTrigger, now_us: int) -> TriggerAdvance | None:
    """The short way of the ordinary firing: the schedule's one due trigger has one time, not late, and nothing is live.

    None where anything else is to be decided. A law of the tests: it says what `plan_schedule` says.
    """
    trigger = due.trigger
    at, through = trigger.next_fire_at, trigger.fired_through
    if at is None or (through is not None and at <= through):
        return None
    if due.queued_count or due.running_count or trigger.spec.fires_max is not None or due.is_withheld:
        return None
    at_us = to_microseconds(at)
    if at_us < late_before_us(now_us, due.policies):
        return None
    try:
        following_us = occurrences_of(due.schedule_id, trigger).next_us(at_us)
    except DomainError:
        return None
    if following_us is not None and following_us <= now_us:
        return None
    return TriggerAdvance(
        trigger_before=trigger,
        schedule_id=due.schedule_id,
        schedule_version=due.schedule_version,
        tenant_id=due.tenant_id,
        policies=due.policies,
        fired_through=at,
        next_fire_at=None if following_us is None else to_datetime(following_us),
        fires_count=trigger.fires_count + 1,
        runs=(_draft(due, at, punctual_reason(now_us - at_us)),),
        skipped=(),
    )


def plan_schedule(dues: list[DueTrigger], now: datetime) -> list[TriggerAdvance]:
    """The advances of all due triggers of one schedule, whatever the case."""
    courses: list[_Course] = []
    unreadable: list[TriggerAdvance] = []
    for due in dues:
        try:
            courses.append(_course_of(due, now))
        except DomainError as error:
            unreadable.append(_silenced(due, error))
    firings = sorted(
        (_Firing(time, course) for course in courses for time in course.times.fire), key=lambda firing: firing.time.at
    )
    cancel_live = _admit_all(dues[0], firings)
    return [*unreadable, *(_advance(course, cancel_live=cancel_live) for course in courses)]


def _course_of(due: DueTrigger, now: datetime) -> _Course:
    trigger = due.trigger
    occurrences = occurrences_of(due.schedule_id, trigger)
    first = trigger.next_fire_at or now
    if trigger.fired_through is not None and first <= trigger.fired_through:
        # Defence in depth: a time that was decided is never decided again, whatever next_fire_at says.
        following = occurrences.next_after(trigger.fired_through)
        if following is None or following > now:
            return _Course(due, occurrences, DueTimes((), (), trigger.fired_through), None, [], [])
        first = following
    if due.is_withheld:
        times = withhold_due_times(occurrences, first, now)
    else:
        times = decide_due_times(occurrences, first, now, due.policies)
    fires_max = trigger.spec.fires_max
    room = None if fires_max is None else max(0, fires_max - trigger.fires_count)
    skipped = [_draft(due, time.at, time.reason) for time in times.given_up]
    return _Course(due, occurrences, times, room, [], skipped, dropped_count=times.dropped_count)


def _admit_all(due: DueTrigger, firings: list[_Firing]) -> bool:
    """Turns firings into runs and skipped records of their courses; whether live runs are to be cancelled first."""
    overlap, live = due.policies.overlap, LiveRuns(due.queued_count, due.running_count)
    superseding = firings[-1].time.at if overlap == "cancel_running" and firings else None
    for place, firing in enumerate(firings):
        if firing.course.is_spent:
            continue
        refused = refusal(overlap, live)
        if superseding is not None and place < len(firings) - 1:
            refused = f"skipped: superseded by the firing of {superseding.isoformat()} (overlap cancel_running)"
        if refused is None:
            live = live.with_one_queued()
            _fire(firing)
        else:
            _skip(firing, refused)
    return superseding is not None and due.queued_count + due.running_count > 0


def _fire(firing: _Firing) -> None:
    course, time = firing.course, firing.time
    course.runs.append(_draft(course.due, time.at, time.reason))
    course.late_count += time.late
    course.last_fired = time.at


def _skip(firing: _Firing, reason: str) -> None:
    course = firing.course
    if len(course.skipped) < SKIPS_RECORDED_MAX:
        course.skipped.append(_draft(course.due, firing.time.at, reason))
    else:
        course.dropped_count += 1


def _draft(due: DueTrigger, at: datetime, reason: str) -> FireDraft:
    trigger = due.trigger
    return FireDraft(at, fire_key(trigger.id, at), reason, jitter_offset(trigger.id, at, trigger.spec.jitter_seconds))


def _advance(course: _Course, *, cancel_live: bool) -> TriggerAdvance:
    through = course.times.decided_through
    if course.is_spent and course.last_fired is not None:
        through = course.last_fired
    return TriggerAdvance(
        trigger_before=course.due.trigger,
        schedule_id=course.due.schedule_id,
        schedule_version=course.due.schedule_version,
        tenant_id=course.due.tenant_id,
        policies=course.due.policies,
        fired_through=through,
        next_fire_at=None if course.is_spent else course.occurrences.next_after(through),
        fires_count=course.due.trigger.fires_count + len(course.runs),
        runs=tuple(course.runs),
        skipped=tuple(course.skipped),
        late_count=course.late_count,
        dropped_count=course.dropped_count,
        cancel_live=cancel_live and bool(course.runs),
    )


def _silenced(due: DueTrigger, error: DomainError) -> TriggerAdvance:
    """A stored trigger that this release cannot read must not hold up all others: it fires no more, and says so."""
    trigger = due.trigger
    at = trigger.next_fire_at or trigger.anchor_at
    reason = f"skipped: the trigger cannot be read ({error.detail}); it fires no more until its schedule is changed"
    return TriggerAdvance(
        trigger_before=trigger,
        schedule_id=due.schedule_id,
        schedule_version=due.schedule_version,
        tenant_id=due.tenant_id,
        policies=due.policies,
        fired_through=at if trigger.fired_through is None else max(at, trigger.fired_through),
        next_fire_at=None,
        fires_count=trigger.fires_count,
        runs=(),
        skipped=(_draft(due, at, reason),),
    )
