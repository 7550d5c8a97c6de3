"""What becomes of a trigger's due times: which are to fire, which are given up, and why (design §5 Misfire).

A time is *late* when more than the grace has passed since; only late times are the policy's business, the others fire:

    fire_once   the latest late time fires, for all of them
    fire_all    the newest `catch_up_max` late times within `catch_up_window` fire, oldest first; older ones are not:
                after a long outage the newest are worth most, and a flood must end
    skip        no late time fires; one skipped record, at the latest of them, stands for all

It knows nothing of runs that are live; `rota.core.overlap` decides on those afterwards. Work is bounded by `TIMES_MAX`
per plan: what is due beyond it stays due and is read again.
"""

from datetime import datetime

from msgspec import Struct

from rota.core.due_times import TimesCount, count_through, last_before, newest_through, take_through
from rota.core.occurrences import Occurrences
from rota.core.occurrences.instants import SECOND_US, to_datetime, to_microseconds
from rota.core.policy_validation import CATCH_UP_MAX_LIMIT
from rota.domain.policies import Policies

# No lower than CATCH_UP_MAX_LIMIT: one catch-up is decided in one plan, so that its bound holds.
TIMES_MAX = CATCH_UP_MAX_LIMIT
# Handing a run over takes a moment; only what exceeds this is worth a word.
ON_TIME_SECONDS = 3.0
ON_TIME_REASON = "fired on time"


class NominalTime(Struct, frozen=True, order=True):
    """One nominal time with the words that its run, or its skipped record, is stored with."""

    at: datetime
    reason: str
    late: bool = False


class DueTimes(Struct, frozen=True):
    """The decision: `fire` (oldest first), `given_up` (recorded), and `dropped_count` times without a record.

    Every nominal time up to `decided_through` is decided.
    """

    fire: tuple[NominalTime, ...]
    given_up: tuple[NominalTime, ...]
    decided_through: datetime
    dropped_count: int = 0


class _Late(Struct, frozen=True):
    """The late times of one trigger, `first` to `last`, all in microseconds."""

    first: int
    last: int
    now: int

    def count(self, occurrences: Occurrences) -> TimesCount:
        return count_through(occurrences, self.first, self.last)

    def seconds_late(self, at: int) -> str:
        return f"{(self.now - at) / SECOND_US:.0f} s late"


def decide_due_times(occurrences: Occurrences, first: datetime, now: datetime, policies: Policies) -> DueTimes:
    """All due times from `first` (a nominal time that is due) to `now`."""
    first_us, now_us = to_microseconds(first), to_microseconds(now)
    late_before = late_before_us(now_us, policies)
    if first_us >= late_before:
        after = [first_us, *take_through(occurrences, first_us, now_us, TIMES_MAX - 1)]
        return _with_punctual(DueTimes((), (), first), after, now_us)
    last_us = last_before(occurrences, first_us, late_before)
    decided = _decide_late(occurrences, _Late(first_us, last_us, now_us), policies)
    room = max(0, TIMES_MAX - len(decided.fire))
    return _with_punctual(decided, take_through(occurrences, last_us, now_us, room), now_us)


def withhold_due_times(occurrences: Occurrences, first: datetime, now: datetime) -> DueTimes:
    """All due times where the flag `firing` is off: one record, at the latest of them, stands for all."""
    first_us, now_us = to_microseconds(first), to_microseconds(now)
    last_us = last_before(occurrences, first_us, now_us + 1)
    due = count_through(occurrences, first_us, last_us)
    reason = f"skipped: the flag firing is off ({due} due)"
    return DueTimes((), (NominalTime(to_datetime(last_us), reason),), to_datetime(last_us), due.count - 1)


def late_before_us(now_us: int, policies: Policies) -> int:
    """What was due before this is late: the misfire policy decides on it."""
    return now_us - round(policies.misfire_grace_seconds * SECOND_US)


def _with_punctual(decided: DueTimes, times: list[int], now_us: int) -> DueTimes:
    """`decided` with `times` after it, which are late by no more than the grace."""
    punctual = tuple(NominalTime(to_datetime(time), punctual_reason(now_us - time)) for time in times)
    through = punctual[-1].at if punctual else decided.decided_through
    return DueTimes((*decided.fire, *punctual), decided.given_up, through, decided.dropped_count)


def punctual_reason(late_us: int) -> str:
    """The words of a run that is handed over within the misfire grace."""
    seconds = late_us / SECOND_US
    return ON_TIME_REASON if seconds < ON_TIME_SECONDS else f"fired {seconds:.0f} s late, within the misfire grace"


def _decide_late(occurrences: Occurrences, late: _Late, policies: Policies) -> DueTimes:
    match policies.misfire:
        case "fire_once":
            return _fire_latest(late, late.count(occurrences))
        case "fire_all":
            return _fire_newest(occurrences, late, policies)
        case "skip":
            return _give_up(late, late.count(occurrences), f"the grace of {policies.misfire_grace_seconds:g} s", "skip")


def _fire_latest(late: _Late, missed: TimesCount) -> DueTimes:
    dropped = TimesCount(missed.count - 1, missed.exact)
    words = f"misfire fire_once; {missed} missed, {dropped} dropped"
    fired = NominalTime(to_datetime(late.last), f"fired {late.seconds_late(late.last)} ({words})", late=True)
    return DueTimes((fired,), (), fired.at, dropped.count)


def _fire_newest(occurrences: Occurrences, late: _Late, policies: Policies) -> DueTimes:
    window_us = round(policies.catch_up_window_seconds * SECOND_US)
    after_us = max(late.first, late.now - window_us) - 1
    kept = newest_through(occurrences, after_us, late.last, policies.catch_up_max)
    if not kept:
        bound = f"the catch-up window of {policies.catch_up_window_seconds:g} s"
        return _give_up(late, late.count(occurrences), bound, "fire_all")
    through_kept = count_through(occurrences, late.first, kept[0])
    dropped = TimesCount(through_kept.count - 1, through_kept.exact)
    words = f"misfire fire_all; {TimesCount(dropped.count + len(kept), dropped.exact)} missed, {dropped} dropped"
    fired = tuple(
        NominalTime(to_datetime(time), f"fired {late.seconds_late(time)} ({words})", late=True) for time in kept
    )
    return DueTimes(fired, (), fired[-1].at, dropped.count)


def _give_up(late: _Late, missed: TimesCount, bound: str, misfire: str) -> DueTimes:
    reason = f"skipped: {late.seconds_late(late.last)}, more than {bound} (misfire {misfire}; {missed} missed)"
    return DueTimes((), (NominalTime(to_datetime(late.last), reason),), to_datetime(late.last), missed.count - 1)
