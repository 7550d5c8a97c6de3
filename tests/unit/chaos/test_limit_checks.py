"""Each bug of limits that chaos is to find, planted in facts that are otherwise sound."""

from collections.abc import Callable
from typing import TypeAlias

import pytest
from msgspec.structs import replace

from tests.chaos.checker import check, figures_of
from tests.chaos.facts import AttemptFact, Facts, TurnFact
from tests.unit.chaos.sound_facts import SECOND, run_id, sound_facts

Bug: TypeAlias = Callable[[Facts], Facts]

SOUND = sound_facts()
FIRST, TWIN, OTHER = run_id("n0", 5), run_id("n1", 5), run_id("n0", 6)


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


def both(*bugs: Bug) -> Bug:
    def plant(facts: Facts) -> Facts:
        for bug in bugs:
            facts = bug(facts)
        return facts

    return plant


# The next firing's work begins while both others of that tenant are still at theirs.
AT_ONCE = works(OTHER, 5_650_000, 6_700_000)

BUGS: dict[str, tuple[str, Bug]] = {
    "a third begins": ("limit exceeded", in_front_of_the_end_of(FIRST, TurnFact(OTHER, 9, begins=True))),
    "two begin where one has ended": (
        "limit exceeded",
        in_front_of_the_end_of(TWIN, TurnFact(OTHER, 8, begins=True), TurnFact(OTHER, 9, begins=True)),
    ),
    "three are at work": ("limit exceeded in effect", AT_ONCE),
    "a run is claimed by two": ("limit exceeded", in_front_of_the_end_of(FIRST, TurnFact(FIRST, 2, begins=True))),
    "a token is given twice": ("turn out of order", in_front_of_the_end_of(FIRST, TurnFact(FIRST, 1, begins=True))),
    "a turn is given back twice": ("turn out of order", in_front_of_the_end_of(TWIN, TurnFact(FIRST, 1, begins=False))),
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
    "the limit is never reached": ("too little seen", lambda facts: replace(facts, limit_max=3)),
}


@pytest.mark.parametrize("bug", BUGS)
def test_each_planted_bug_is_named(bug: str) -> None:
    kind, plant = BUGS[bug]

    found = check(plant(SOUND))

    assert kind in {violation.kind for violation in found}


def test_a_run_that_is_too_many_is_told() -> None:
    found = check(in_front_of_the_end_of(FIRST, TurnFact(OTHER, 9, begins=True))(SOUND))

    assert ("limit exceeded", OTHER, "3 at once, 2 are allowed") in {
        (one.kind, one.subject, one.detail) for one in found
    }


def test_a_handler_that_was_given_up_is_not_counted_among_those_at_work() -> None:
    given_up = AttemptFact(OTHER, 1, "w9", "lost", 5_600_000, 6 * SECOND)
    lost = replace(SOUND, attempts=(*SOUND.attempts, given_up))

    assert "limit exceeded in effect" not in {one.kind for one in check(AT_ONCE(lost))}


def test_a_turn_that_was_given_back_may_be_taken() -> None:
    again = (TurnFact(OTHER, 8, begins=True), TurnFact(OTHER, 8, begins=False))
    late = turns(lambda turn: (turn, *again) if (turn.run_id, turn.begins) == (FIRST, False) else (turn,))

    assert check(late(SOUND)) == ()
    assert figures_of(late(SOUND)).limited == figures_of(SOUND).limited + 1
