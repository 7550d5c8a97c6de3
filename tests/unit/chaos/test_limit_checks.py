"""Each bug of limits that chaos is to find, planted in facts that are otherwise sound."""

from collections.abc import Callable
from typing import TypeAlias

import pytest
from msgspec.structs import replace

from tests.chaos.checker import check, figures_of
from tests.chaos.facts import FEW_QUEUE, METERED_QUEUE, NARROW_TENANT, AttemptFact, Facts, TurnFact
from tests.unit.chaos.sound_facts import SECOND, run_id, sound_facts

Bug: TypeAlias = Callable[[Facts], Facts]

SOUND = sound_facts()
METERED_RUN = run_id("m0", 5)
FIRST, TWIN, OTHER = run_id("n0", 5), run_id("n1", 5), run_id("n0", 6)


def turn(name: str, token: int, *, begins: bool = True) -> TurnFact:
    return TurnFact(name, token, begins, NARROW_TENANT, 5_650_000)


def turns(change: Callable[[TurnFact], tuple[TurnFact, ...]]) -> Bug:
    return lambda facts: replace(facts, turns=tuple(after for before in facts.turns for after in change(before)))


def in_front_of_the_end_of(name: str, *put: TurnFact) -> Bug:
    return turns(lambda turn: (*put, turn) if (turn.run_id, turn.begins) == (name, False) else (turn,))


def without(name: str, *, begins: bool) -> Bug:
    return turns(lambda turn: () if (turn.run_id, turn.begins) == (name, begins) else (turn,))


def works(name: str, from_us: int, until_us: int) -> Bug:
    return lambda facts: replace(
        facts,
        effects=tuple(
            replace(one, started_us=from_us, finished_us=until_us) if one.run_id == name else one
            for one in facts.effects
        ),
    )


def with_limit(name: str, **changes: object) -> Bug:
    return lambda facts: replace(
        facts, limits=tuple(replace(one, **changes) if one.name == name else one for one in facts.limits)
    )


def earlier(name: str, by_us: int) -> Bug:
    return turns(lambda one: (replace(one, at_us=one.at_us - by_us),) if one.run_id == name else (one,))


def both(*bugs: Bug) -> Bug:
    def plant(facts: Facts) -> Facts:
        for bug in bugs:
            facts = bug(facts)
        return facts

    return plant


# The next firing's work begins while both others of that tenant are still at theirs.
AT_ONCE = works(OTHER, 5_650_000, 6_700_000)

BUGS: dict[str, tuple[str, Bug]] = {
    "a third begins": ("limit exceeded", in_front_of_the_end_of(FIRST, turn(OTHER, 9))),
    "two begin where one has ended": (
        "limit exceeded",
        in_front_of_the_end_of(TWIN, turn(OTHER, 8), turn(OTHER, 9)),
    ),
    "three are at work": ("limit exceeded in effect", AT_ONCE),
    "a run is claimed by two": ("limit exceeded", in_front_of_the_end_of(FIRST, turn(FIRST, 2))),
    "a token is given twice": ("turn out of order", in_front_of_the_end_of(FIRST, turn(FIRST, 1))),
    "a turn is given back twice": ("turn out of order", in_front_of_the_end_of(TWIN, turn(FIRST, 1, begins=False))),
    "another token's turn is given back": (
        "turn out of order",
        turns(lambda turn: (replace(turn, token=2),) if (turn.run_id, turn.begins) == (FIRST, False) else (turn,)),
    ),
    "a turn is never given back": ("turn without end", without(run_id("n0", 10), begins=False)),
    "a turn is not given back, and others come": ("limit exceeded", without(FIRST, begins=False)),
    "a run begins without a turn": (
        "attempt without turn",
        both(without(FIRST, begins=True), without(FIRST, begins=False)),
    ),
    "the limit is never reached": ("too little seen", with_limit(NARROW_TENANT, concurrency_max=3)),
    "two runs of a queue for one are held": ("limit exceeded", with_limit(FEW_QUEUE, concurrency_max=0)),
    "the queue's limit is never reached": ("too little seen", with_limit(FEW_QUEUE, concurrency_max=3)),
    "more begin than the rate allows": ("rate exceeded", with_limit(METERED_QUEUE, rate=0.9)),
    "one begins a little too early": ("rate exceeded", earlier(run_id("m0", 6), 2_000)),
    "two begin where one may": (
        "rate exceeded",
        in_front_of_the_end_of(METERED_RUN, TurnFact("x", 1, True, METERED_QUEUE, 5_700_000)),
    ),
    "the bucket is never empty": ("too little seen", with_limit(METERED_QUEUE, burst=3)),
    "the turn of another limit is taken": (
        "attempt without turn",
        turns(lambda one: (replace(one, limit=FEW_QUEUE),) if one.run_id == METERED_RUN else (one,)),
    ),
}


@pytest.mark.parametrize("bug", BUGS)
def test_each_planted_bug_is_named(bug: str) -> None:
    kind, plant = BUGS[bug]

    found = check(plant(SOUND))

    assert kind in {violation.kind for violation in found}


def test_a_run_that_is_too_many_is_told() -> None:
    found = check(in_front_of_the_end_of(FIRST, turn(OTHER, 9))(SOUND))

    assert ("limit exceeded", OTHER, "3 at once, 2 are allowed") in {
        (one.kind, one.subject, one.detail) for one in found
    }


def test_a_handler_that_was_given_up_is_not_counted_among_those_at_work() -> None:
    given_up = AttemptFact(OTHER, 1, "w9", "lost", 5_600_000, 6 * SECOND)
    lost = replace(SOUND, attempts=(*SOUND.attempts, given_up))

    assert "limit exceeded in effect" not in {one.kind for one in check(AT_ONCE(lost))}


def test_a_turn_that_was_given_back_may_be_taken() -> None:
    again = (turn(OTHER, 8), turn(OTHER, 8, begins=False))
    late = turns(lambda turn: (turn, *again) if (turn.run_id, turn.begins) == (FIRST, False) else (turn,))

    assert check(late(SOUND)) == ()
    assert figures_of(late(SOUND)).narrow == figures_of(SOUND).narrow + 1


def test_a_bucket_fills_up_at_its_rate_and_no_further() -> None:
    """What was not used for an hour is no leave for more than the burst."""
    late = turns(lambda one: (replace(one, at_us=one.at_us + 3_600 * SECOND),) if one.run_id == METERED_RUN else (one,))
    twice = in_front_of_the_end_of(METERED_RUN, TurnFact("x", 1, True, METERED_QUEUE, 3_605_650_000))

    assert "rate exceeded" in {one.kind for one in check(twice(late(SOUND)))}
