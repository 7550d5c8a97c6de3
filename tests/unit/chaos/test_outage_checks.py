"""Each bug of an outage that chaos is to find, planted in facts that are otherwise sound."""

from collections.abc import Callable
from typing import TypeAlias

import pytest
from msgspec.structs import replace

from tests.chaos.checker import check
from tests.chaos.facts import Facts, OutageFact, RunFact
from tests.chaos.outage_checks import away_us, caught_up_seconds
from tests.unit.chaos.sound_facts import SECOND, run_id, sound_facts

Bug: TypeAlias = Callable[[Facts], Facts]

SOUND = sound_facts()
# Due at 7 s, amid the outage; and one of a second before.
IN_IT, BEFORE_IT = run_id("t5", 7), run_id("t5", 6)


def change_run(name: str, **changes: object) -> Bug:
    return lambda facts: replace(
        facts, runs=tuple(replace(run, **changes) if run.id == name else run for run in facts.runs)
    )


def outages(*of: tuple[float, float]) -> Bug:
    made = tuple(OutageFact(round(begin * SECOND), round(end * SECOND)) for begin, end in of)
    return lambda facts: replace(facts, outages=made)


BUGS: dict[str, tuple[str, Bug]] = {
    "there was none": ("no outage", outages()),
    "it was too short": ("no outage", outages((6.9, 7.3))),
    "two short ones are not a long one": ("no outage", outages((6.9, 7.2), (7.2, 7.5))),
    "nothing was due in it": ("no outage", outages((4.95, 4.99), (7.01, 7.55))),
    "a run was begun in it": ("worked in the outage", change_run(IN_IT, started_us=7_300_000)),
    "a run was ended in it": ("worked in the outage", change_run(BEFORE_IT, finished_us=7_300_000)),
    "what was due in it comes late": (
        "caught up late",
        change_run(IN_IT, started_us=97 * SECOND, finished_us=98 * SECOND),
    ),
    "what was due in it never comes": (
        "missing run",
        lambda facts: replace(facts, runs=tuple(run for run in facts.runs if run.id != IN_IT)),
    ),
    "a run is forgotten after it": ("forgotten", change_run(BEFORE_IT, finished_us=38 * SECOND)),
}


@pytest.mark.parametrize("bug", BUGS)
def test_each_planted_bug_is_named(bug: str) -> None:
    kind, plant = BUGS[bug]

    found = check(plant(SOUND))

    assert kind in {violation.kind for violation in found}


def test_a_run_is_not_forgotten_while_nobody_could_be_told_of_it() -> None:
    away = replace(SOUND, outage_seconds=60.0, outages=(OutageFact(7 * SECOND - 1, 67 * SECOND),))
    held = change_run(BEFORE_IT, started_us=6_600_000, finished_us=70 * SECOND)

    assert "forgotten" not in {one.kind for one in check(held(away))}
    assert "forgotten" in {one.kind for one in check(held(SOUND))}


@pytest.mark.parametrize(
    ("begin", "end", "away"), [(0, 6, 0), (0, 7, 0.1), (7, 7.2, 0.2), (7.4, 9, 0.1), (6, 9, 0.6), (8, 9, 0)]
)
def test_time_away_is_that_of_the_span_asked_for(begin: float, end: float, away: float) -> None:
    assert away_us(SOUND, round(begin * SECOND), round(end * SECOND)) == round(away * SECOND)


def test_catching_up_takes_until_the_last_run_that_fell_due_meanwhile_has_ended() -> None:
    runs: tuple[RunFact, ...] = change_run(IN_IT, finished_us=9 * SECOND)(SOUND).runs

    assert caught_up_seconds(replace(SOUND, runs=runs)) == 1.5
    assert caught_up_seconds(replace(SOUND, outages=())) == 0.0
