"""Each bug that chaos is to find, planted in facts that are otherwise sound: the checker names it."""

from collections.abc import Callable
from typing import TypeAlias

import pytest
from msgspec.structs import replace

from tests.chaos.checker import Figures, bars_of, check, figures_of
from tests.chaos.facts import AdvanceFact, AttemptFact, EffectFact, Facts, FrozenFact, RunFact, TermFact
from tests.unit.chaos.sound_facts import SECOND, SECONDS, TRIGGERS, TROUBLED, run_id, sound_facts

Bug: TypeAlias = Callable[[Facts], Facts]

PLAIN = run_id("t5", 7)
SOUND = sound_facts()


def change_run(name: str, **changes: object) -> Bug:
    return lambda facts: replace(
        facts, runs=tuple(replace(run, **changes) if run.id == name else run for run in facts.runs)
    )


def change_attempt(attempt_no: int, /, **changes: object) -> Bug:
    return lambda facts: replace(
        facts,
        attempts=tuple(
            replace(one, **changes) if (one.run_id, one.attempt_no) == (TROUBLED, attempt_no) else one
            for one in facts.attempts
        ),
    )


def change_effect(name: str, **changes: object) -> Bug:
    return lambda facts: replace(
        facts, effects=tuple(replace(one, **changes) if one.run_id == name else one for one in facts.effects)
    )


def change_trigger(name: str, **changes: object) -> Bug:
    return lambda facts: replace(
        facts, triggers=tuple(replace(one, **changes) if one.name == name else one for one in facts.triggers)
    )


def without_run(name: str) -> Bug:
    """As if it had never been born: no effect tells of it either."""
    return lambda facts: replace(
        facts,
        runs=tuple(run for run in facts.runs if run.id != name),
        effects=tuple(effect for effect in facts.effects if effect.run_id != name),
    )


def without_effect(name: str) -> Bug:
    return lambda facts: replace(facts, effects=tuple(one for one in facts.effects if one.run_id != name))


def and_run(name: str, **changes: object) -> Bug:
    """A second run like `name`, with its own effect."""

    def plant(facts: Facts) -> Facts:
        twin = replace(run_of(facts, name), id="twin", **changes)
        effect = EffectFact("twin", 1, twin.trigger, twin.fire_at_us, 0, 0, "worker-2.1")
        return replace(facts, runs=(*facts.runs, twin), effects=(*facts.effects, effect))

    return plant


def and_effect(**changes: object) -> Bug:
    return lambda facts: replace(facts, effects=(*facts.effects, replace(facts.effects[0], **changes)))


def and_attempt(attempt: AttemptFact) -> Bug:
    return lambda facts: replace(facts, attempts=(*facts.attempts, attempt))


def without_attempt(attempt_no: int) -> Bug:
    return lambda facts: replace(facts, attempts=tuple(one for one in facts.attempts if one.attempt_no != attempt_no))


def change_advances(change: Callable[[AdvanceFact], AdvanceFact | None]) -> Bug:
    return lambda facts: replace(
        facts, advances=tuple(after for before in facts.advances if (after := change(before)) is not None)
    )


def terms(*of: tuple[int, str]) -> Bug:
    return lambda facts: replace(facts, terms=tuple(TermFact(*one) for one in of), claimed_terms=())


def claims(*of: tuple[int, str]) -> Bug:
    return lambda facts: replace(facts, claimed_terms=tuple(TermFact(*one) for one in of))


def run_of(facts: Facts, name: str) -> RunFact:
    return next(run for run in facts.runs if run.id == name)


def lost_late(effect_second: float, worker: str) -> Bug:
    """An effect of the lost first attempt, done when the attempt had been given up."""
    effect = EffectFact(TROUBLED, 1, "t0", 3 * SECOND, 3 * SECOND, round(effect_second * SECOND), worker)
    return lambda facts: replace(facts, effects=(*facts.effects, effect))


def _falls_back(advance: AdvanceFact) -> AdvanceFact:
    return replace(advance, after_us=SECOND) if (advance.trigger, advance.after_us) == ("t9", 9 * SECOND) else advance


def _leaves_out(advance: AdvanceFact) -> AdvanceFact | None:
    return None if (advance.trigger, advance.after_us) == ("t9", 9 * SECOND) else advance


def _ends_early(advance: AdvanceFact) -> AdvanceFact | None:
    return None if (advance.trigger, advance.after_us) == ("t9", SECONDS * SECOND) else advance


BUGS: dict[str, tuple[str, Bug]] = {
    "a firing is lost": ("missing run", without_run(PLAIN)),
    "the last firing of all is lost": ("missing run", without_run(run_id("t5", SECONDS))),
    "the first firing of all is lost": ("missing run", without_run(run_id("t5", 0))),
    "a firing has two runs": ("fired twice", and_run(PLAIN)),
    "a run has a time between two due ones": ("run out of plan", and_run(PLAIN, fire_at_us=7 * SECOND + 1)),
    "a firing comes after the end": ("run out of plan", and_run(PLAIN, fire_at_us=(SECONDS + 1) * SECOND)),
    "a run belongs to a trigger that nobody planned": ("run out of plan", and_run(PLAIN, trigger="stray")),
    "a run has no fire key": ("no fire key", change_run(PLAIN, is_keyed=False)),
    "a run waits for ever": ("still live", change_run(PLAIN, state="queued", is_live=True)),
    "a run is neither ended nor live": ("orphan", change_run(PLAIN, state="queued")),
    "a run has ended and can be claimed": ("ended but live", change_run(PLAIN, is_live=True)),
    "a run was failed": ("unexpected end", change_run(PLAIN, state="failed")),
    "a run was skipped": ("unexpected end", change_run(PLAIN, state="skipped")),
    "a success has no time": ("end without time", change_run(PLAIN, finished_us=None)),
    "progress falls back": ("progress fell back", change_advances(_falls_back)),
    "progress jumps without a change": ("progress jumped", change_advances(_leaves_out)),
    "a trigger stands elsewhere than last changed": ("progress jumped", change_advances(_ends_early)),
    "a trigger stops too early": ("trigger not done", change_trigger("t5", fired_through_us=(SECONDS - 1) * SECOND)),
    "a trigger has more to come": ("trigger not done", change_trigger("t5", next_fire_at_us=(SECONDS + 1) * SECOND)),
    "firings are counted twice": ("miscounted", change_trigger("t5", fires_count=SECONDS + 2)),
    "a trigger is gone": ("no trigger", lambda facts: replace(facts, triggers=facts.triggers[1:])),
    "a loss is not recorded": ("attempts not contiguous", without_attempt(1)),
    "an attempt number is left out": ("attempts not contiguous", change_run(PLAIN, attempts_count=2, result_attempt=2)),
    "a loss costs two attempts": ("attempts not contiguous", change_attempt(2, attempt_no=1)),
    "a run succeeds twice": ("two successes", change_attempt(2, outcome="succeeded")),
    "an attempt belongs to no run": ("attempt of no run", and_attempt(AttemptFact("gone", 1, "w1", "lost", 0, 1))),
    "two attempts hold a run at once": ("held twice", change_attempt(2, started_us=3 * SECOND)),
    "a run succeeds before its last failure": ("held twice", change_attempt(2, finished_us=5 * SECOND)),
    "a lost attempt is found only by its time-out": ("forgotten", change_attempt(1, started_us=-31 * SECOND)),
    "a success was long forgotten": ("forgotten", change_run(PLAIN, finished_us=39 * SECOND)),
    "a stale token ends a run": ("stale end", change_run(TROUBLED, result_attempt=1)),
    "a success has no result": ("stale end", change_run(PLAIN, result_attempt=None)),
    "a success did nothing": ("success without effect", without_effect(PLAIN)),
    "only an earlier attempt did anything": ("success without effect", change_effect(TROUBLED, attempt_no=2)),
    "a success is recorded before it happened": ("success before effect", change_effect(PLAIN, finished_us=8 * SECOND)),
    "one attempt works twice": ("attempt worked twice", and_effect()),
    "an attempt that nobody knows of works": ("effect of no attempt", and_effect(attempt_no=2)),
    "work is done for no run": ("effect of no run", and_effect(run_id="gone")),
    "a handler is told another time": ("mistaken identity", change_effect(PLAIN, fire_at_us=8 * SECOND)),
    "a handler is told another trigger": ("mistaken identity", change_effect(PLAIN, trigger="t6")),
    "a lost handler goes on": ("work after loss", lost_late(3.5, "worker-1.1")),
    "two lead in one epoch": ("two leaders", terms((1, "a:1"), (2, "b:2"), (2, "c:3"))),
    "another claims to have led": ("two leaders", claims((2, "a:9"))),
    "somebody led without the lease": ("leader without lease", claims((9, "a:1"))),
    "an epoch falls back": ("epoch did not grow", terms((1, "a:1"), (3, "b:2"), (2, "a:3"))),
    "an epoch is used again": ("epoch did not grow", terms((1, "a:1"), (2, "b:2"), (2, "b:2"))),
    "too few fires": ("too little seen", lambda facts: replace(facts, planned=TRIGGERS[:-20])),
    "too few faults": ("too little seen", lambda facts: replace(facts, faults_count=1)),
    "too few take-overs": ("too little seen", terms((1, "a:1"), (2, "a:1"), (3, "a:1"))),
    "no rescue": ("too little seen", change_attempt(1, outcome="failed")),
    "a loss that the worker told itself is no rescue": ("too little seen", change_attempt(1, finished_us=3 * SECOND)),
}


def test_sound_facts_pass() -> None:
    assert check(SOUND) == ()


@pytest.mark.parametrize("bug", BUGS)
def test_each_planted_bug_is_named(bug: str) -> None:
    kind, plant = BUGS[bug]

    found = check(plant(SOUND))

    assert kind in {violation.kind for violation in found}


def test_a_lost_firing_is_all_that_is_said_of_it() -> None:
    found = check(without_run(PLAIN)(SOUND))

    assert [(one.kind, one.subject, one.detail) for one in found] == [
        ("missing run", "t5", "nothing fired for 7000000")
    ]


def test_a_worker_that_stood_still_as_a_whole_may_finish_a_word() -> None:
    still = replace(SOUND, frozen=(FrozenFact("worker-1.1", 3 * SECOND, 4 * SECOND),))

    assert check(lost_late(3.5, "worker-1.1")(still)) == ()
    assert [one.kind for one in check(lost_late(3.5, "worker-2.1")(still))] == ["work after loss"]
    assert [one.kind for one in check(lost_late(6.5, "worker-1.1")(still))] == ["work after loss"]


def test_a_work_done_before_the_loss_is_no_violation() -> None:
    assert check(lost_late(3.1, "worker-1.1")(SOUND)) == ()


def test_strays_and_repetitions_do_not_help_to_the_bar() -> None:
    padded = and_run(PLAIN)(and_run(PLAIN, trigger="stray")(SOUND))

    assert figures_of(padded) == figures_of(SOUND)


def test_figures_are_those_of_the_facts() -> None:
    assert figures_of(SOUND) == Figures(
        fires=172 * 11,
        faults=5,
        takeovers=2,
        rescues=1,
        milestones=18,
        ticked=11,
        led=8,
        segments=33,
        narrow=11,
        few=11,
        metered=11,
        let_go=18,
        skipped=9,
    )


@pytest.mark.parametrize(
    ("seconds", "bars"),
    [
        (180, Figures(30_000, 30, 5, 5, 300, 20, 100, 500, 30, 60, 20, 150, 60)),
        (60, Figures(10_000, 10, 2, 2, 100, 7, 34, 167, 10, 20, 7, 50, 20)),
        (20, Figures(3_334, 4, 1, 1, 34, 3, 12, 56, 4, 7, 3, 17, 7)),
        (360, Figures(60_000, 60, 10, 10, 600, 40, 200, 1_000, 60, 120, 40, 300, 120)),
    ],
)
def test_bars_are_in_proportion_and_never_rounded_down(seconds: int, bars: Figures) -> None:
    assert bars_of(seconds) == bars
