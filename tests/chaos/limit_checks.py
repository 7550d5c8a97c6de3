"""Judges limits: never more runs at once than one allows, never more begun in any stretch of time.

Pure. A turn is the window of a token: from the claim that gave it to the end that took it away. Claims are written
under the limit's lock and an end before it is committed, so that what is counted here was so. The time of a turn lies
between the look at the limit and what is taken from it: by `rate × seconds + burst` in any stretch, to the microsecond.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.chaos.facts import Facts, PlannedLimit, TurnFact
from tests.chaos.violation import Violation

# What is left of a bucket is a float.
DUST = 1e-3


def the_limit_is_never_exceeded(facts: Facts) -> Iterator[Violation]:
    for limit, turn, holders in _held(facts):
        if limit.concurrency_max is not None and turn.begins and holders > limit.concurrency_max:
            problem = f"{holders} at once, {limit.concurrency_max} are allowed"
            yield Violation("limit exceeded", turn.run_id, problem)


def the_rate_is_never_exceeded(facts: Facts) -> Iterator[Violation]:
    """The bucket is empty when so many have begun as fit into the worst stretch that ends now."""
    for limit, turn, begun in _spent(facts):
        if begun > limit.burst + DUST:
            problem = f"{begun:.3f} too close together, {limit.burst} are allowed"
            yield Violation("rate exceeded", turn.run_id, problem)


def handlers_keep_the_limit(facts: Facts) -> Iterator[Violation]:
    """Their work lies within their turns. A worker that stood still as a whole may have finished a word after it."""
    limited, lost = _limit_of_run(facts), {}
    for attempt in facts.attempts:
        if attempt.outcome == "lost":
            lost[attempt.run_id, attempt.attempt_no] = attempt.finished_us
    edges: defaultdict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for effect in facts.effects:
        end_us = lost.get((effect.run_id, effect.attempt_no), effect.finished_us)
        if effect.run_id in limited and effect.finished_us <= end_us:
            name = limited[effect.run_id]
            edges[name] += [(effect.started_us, 1, effect.run_id), (effect.finished_us, -1, effect.run_id)]
    for limit in facts.limits:
        at_work = 0
        for _, step, run_id in sorted(edges[limit.name]) if limit.concurrency_max is not None else ():
            at_work += step
            if step > 0 and at_work > (limit.concurrency_max or 0):
                yield Violation("limit exceeded in effect", run_id, f"{at_work} at work at once")


def each_turn_has_its_end(facts: Facts) -> Iterator[Violation]:
    """A limit that is not given back holds up all that come after."""
    held: dict[tuple[str, int], TurnFact] = {}
    for turn in facts.turns:
        key = (turn.run_id, turn.token)
        if turn.begins == (key in held):
            yield Violation(
                "turn out of order", turn.run_id, f"token {turn.token} {'begins' if turn.begins else 'ends'}"
            )
        held.pop(key, None)
        if turn.begins:
            held[key] = turn
    for run_id, token in held:
        yield Violation("turn without end", run_id, f"token {token}")


def each_attempt_had_its_turn(facts: Facts) -> Iterator[Violation]:
    """Where a claim passed by the witness, nothing would be proved."""
    begun = Counter((turn.limit, turn.run_id) for turn in facts.turns if turn.begins)
    limited = _limit_of_run(facts)
    for run in facts.runs:
        turns = begun[limited.get(run.id, ""), run.id]
        if run.id in limited and turns < run.attempts_count:
            yield Violation("attempt without turn", run.id, f"{run.attempts_count} attempts in {turns} turns")


CHECKS = (
    the_limit_is_never_exceeded,
    the_rate_is_never_exceeded,
    handlers_keep_the_limit,
    each_turn_has_its_end,
    each_attempt_had_its_turn,
)


def times_at_the_limit(facts: Facts, name: str) -> int:
    """How often a run took the last turn, or the last of what a bucket held, so that others had to wait."""
    full = sum(
        turn.begins and holders == limit.concurrency_max for limit, turn, holders in _held(facts) if limit.name == name
    )
    empty = sum(
        limit.burst - 1 < begun <= limit.burst + DUST for limit, _, begun in _spent(facts) if limit.name == name
    )
    return full + empty


def _held(facts: Facts) -> Iterator[tuple[PlannedLimit, TurnFact, int]]:
    """Each change, and how many hold a turn of that limit after it."""
    for limit in facts.limits:
        holders = 0
        for turn in facts.turns:
            if turn.limit == limit.name:
                holders += 1 if turn.begins else -1
                yield limit, turn, holders


def _spent(facts: Facts) -> Iterator[tuple[PlannedLimit, TurnFact, float]]:
    """Each run that began, and how many have begun by then beyond what the rate had allowed since."""
    for limit in facts.limits:
        begun, last_us = 0.0, 0
        for turn in facts.turns:
            if limit.rate is not None and turn.limit == limit.name and turn.begins:
                begun = 1 + max(0.0, begun - limit.rate * (turn.at_us - last_us) / 1e6)
                last_us = turn.at_us
                yield limit, turn, begun


def _limit_of_run(facts: Facts) -> dict[str, str]:
    names = {trigger.name: trigger.limit for trigger in facts.planned if trigger.limit is not None}
    return {run.id: names[run.trigger] for run in facts.runs if run.trigger in names}
