"""What is wrong with a milestone trigger, before anything is stored."""

import re
from collections.abc import Iterator

from msgspec import structs

from rota.core.field_rules import KEY_RULE, TextRule, choice_problems, number_problems, text_problems
from rota.domain.problems import FieldProblem
from rota.domain.triggers import MILESTONE_CATALOGUE, MilestoneTrigger, TriggerLimits

AGE_SECONDS_MAX = 3_660 * 86_400.0
WINDOW_SECONDS_MIN = 1.0
NAME_RULE = TextRule(
    100,
    re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*"),
    "letters, digits, '.', '_' and '-', beginning with a letter or digit",
)


def milestone_trigger_problems(trigger: MilestoneTrigger) -> Iterator[FieldProblem]:
    """Fields relative to the trigger."""
    yield from text_problems("name", trigger.name, NAME_RULE)
    catalogued = trigger.name in MILESTONE_CATALOGUE
    for field, value in (("evidence", trigger.evidence), ("age_seconds", trigger.age_seconds)):
        if value is None and not catalogued:
            known = ", ".join(MILESTONE_CATALOGUE)
            yield FieldProblem(field, "is missing", f"give it; only for {known} may it be left out")
    if trigger.evidence is not None:
        yield from text_problems("evidence", trigger.evidence, KEY_RULE)
    if trigger.age_seconds is not None:
        yield from number_problems("age_seconds", trigger.age_seconds, 0, AGE_SECONDS_MAX, "seconds")
    if trigger.window_seconds is not None:
        window = trigger.window_seconds
        yield from number_problems("window_seconds", window, WINDOW_SECONDS_MIN, AGE_SECONDS_MAX, "seconds")
    yield from choice_problems("on_missed", trigger.on_missed, ("run_late", "skip"))
    if trigger.on_missed == "skip" and trigger.window_seconds is None:
        yield FieldProblem("window_seconds", "is missing", "say after how long it is given up")
    for limit in structs.fields(TriggerLimits):
        if getattr(trigger, limit.name) != limit.default:
            yield FieldProblem(limit.name, "is for triggers of the clock", "leave it out of a milestone")
