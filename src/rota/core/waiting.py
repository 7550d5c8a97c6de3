"""Why a queued run does not run yet, in words. Pure; the only place that says so.

What keeps a run from being claimed at all comes first: other runs, its due time, its schedule's turn, limits. That no
worker listens, or that none of them knows its task, is told beside it, since it will keep the run waiting all the same.
"""

from collections.abc import Iterator

from rota.domain.waiting import LimitFact, PlaceFact, WaitFacts


def waiting_reasons(facts: WaitFacts) -> tuple[str, ...]:
    """At least one, the most important first."""
    reasons = [*_holding(facts), *_lacking(facts)]
    if not reasons:
        reasons.append(f"waits for one of the {facts.listeners_count} workers of queue {facts.queue} to be free")
    return tuple(reasons)


def _holding(facts: WaitFacts) -> Iterator[str]:
    if facts.due_at is None:
        yield f"waits for {facts.upstreams_count} other {_runs(facts.upstreams_count)} to end"
        return
    if facts.due_at > facts.now:
        what = f"try {facts.attempts_count + 1} is" if facts.attempts_count else "it is"
        yield f"{what} not due until {facts.due_at.isoformat(timespec='seconds').replace('+00:00', 'Z')}"
        return
    if facts.turn_run_id is not None:
        yield f"waits for its schedule's turn: run {facts.turn_run_id} is running"
    if facts.place is not None:
        yield _place(facts.place)
    for limit in facts.limits:
        if limit.room <= 0:
            yield _limit(limit)


def _limit(limit: LimitFact) -> str:
    said = limit_words(limit.running_count, limit.concurrency_max, limit.rate_per_second)
    return f"waits for limit {limit.kind} {limit.name}: {said}"


def limit_words(running_count: int, concurrency_max: int | None, rate_per_second: float | None) -> str:
    """What is used up of a limit that has no room. Room may have been looked at a moment after `running_count`, and so
    be gone although fewer than the most were counted.
    """
    is_full = concurrency_max is not None and running_count >= concurrency_max
    if rate_per_second is None or is_full:
        return f"{running_count} of {concurrency_max} running"
    return f"{rate_per_second:g} {_runs(rate_per_second)} a second"


def _place(place: PlaceFact) -> str:
    whose = "its schedule" if place.key is None else f"concurrency key {place.key}"
    if place.taken_count >= place.concurrency_max:
        return f"waits for {whose}: {place.taken_count} of {place.concurrency_max} running"
    return f"waits for a place of {whose}: {place.taken_count} of {place.concurrency_max} are taken"


def _lacking(facts: WaitFacts) -> Iterator[str]:
    if not facts.listeners_count:
        yield f"no worker listens to queue {facts.queue}"
    elif not facts.capable_count:
        yield f"no worker that listens to queue {facts.queue} knows task {facts.task}"


def _runs(count: float | None) -> str:
    return "run" if count == 1 else "runs"
