"""Judges a limit: never more of a tenant's runs at once than it allows, as the tokens tell, and as the handlers tell.

Pure. A turn is the window of a token: from the claim that gave it to the end that took it away. Claims are written
under the limit's lock and an end before it is committed, so that what is counted here was so.
"""

from collections import Counter
from collections.abc import Iterator

from tests.chaos.facts import NARROW_TENANT, Facts, TurnFact
from tests.chaos.violation import Violation


def the_limit_is_never_exceeded(facts: Facts) -> Iterator[Violation]:
    for turn, holders in _held(facts):
        if turn.begins and holders > facts.limit_max:
            problem = f"{holders} at once, {facts.limit_max} are allowed"
            yield Violation("limit exceeded", turn.run_id, problem)


def handlers_keep_the_limit(facts: Facts) -> Iterator[Violation]:
    """Their work lies within their turns. A worker that stood still as a whole may have finished a word after it."""
    limited, lost = _limited_runs(facts), {}
    for attempt in facts.attempts:
        if attempt.outcome == "lost":
            lost[attempt.run_id, attempt.attempt_no] = attempt.finished_us
    edges: list[tuple[int, int, str]] = []
    for effect in facts.effects:
        end_us = lost.get((effect.run_id, effect.attempt_no), effect.finished_us)
        if effect.run_id in limited and effect.finished_us <= end_us:
            edges += [(effect.started_us, 1, effect.run_id), (effect.finished_us, -1, effect.run_id)]
    at_work = 0
    for _, step, run_id in sorted(edges):
        at_work += step
        if step > 0 and at_work > facts.limit_max:
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
    begun = Counter(turn.run_id for turn in facts.turns if turn.begins)
    limited = _limited_runs(facts)
    for run in facts.runs:
        if run.id in limited and begun[run.id] < run.attempts_count:
            yield Violation("attempt without turn", run.id, f"{run.attempts_count} attempts in {begun[run.id]} turns")


CHECKS = (the_limit_is_never_exceeded, handlers_keep_the_limit, each_turn_has_its_end, each_attempt_had_its_turn)


def times_at_the_limit(facts: Facts) -> int:
    """How often a run took the last turn that was free, so that others had to wait."""
    return sum(turn.begins and holders == facts.limit_max for turn, holders in _held(facts))


def _held(facts: Facts) -> Iterator[tuple[TurnFact, int]]:
    """Each change, and how many hold a turn after it."""
    holders = 0
    for turn in facts.turns:
        holders += 1 if turn.begins else -1
        yield turn, holders


def _limited_runs(facts: Facts) -> set[str]:
    names = {trigger.name for trigger in facts.planned if trigger.tenant == NARROW_TENANT}
    return {run.id for run in facts.runs if run.trigger in names}
