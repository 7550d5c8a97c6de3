"""What is wrong with a schedule or a run that somebody asks for: every field, and the rules between fields.

Types and unknown fields are refused while the input is read; here are the rules that types cannot say. Each problem
names the field as the caller wrote it, what is wrong, and the remedy. Nothing here stores or asks anything.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from rota.core.field_rules import (
    KEY_RULE,
    LABEL_KEY_RULE,
    LABEL_VALUE_RULE,
    NAME_RULE,
    TextRule,
    number_problems,
    text_problems,
    under,
)
from rota.core.occurrences import validate_trigger
from rota.core.policy_validation import priority_problems, queue_problems, validate_policies, validate_run_policy
from rota.core.target_validation import validate_target
from rota.core.uniqueness import unique_problems
from rota.domain.errors import invalid_input
from rota.domain.problems import FieldProblem
from rota.domain.run import RunDraft
from rota.domain.schedule import ScheduleDraft
from rota.domain.triggers import MilestoneTrigger

DESCRIPTION_RULE = TextRule(4_000, NAME_RULE.pattern, "no space at its beginning or end", length_min=0)
LABELS_MAX = 64
TRIGGERS_MAX = 20
DELAY_SECONDS_MAX = 366 * 86_400.0
DUE_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
DUE_END = datetime(2200, 1, 1, tzinfo=UTC)


def validate_draft(draft: ScheduleDraft) -> tuple[FieldProblem, ...]:
    """All problems of a schedule to be created or replaced; empty where it may be stored."""
    return tuple(_draft_problems(draft))


def validate_run_draft(draft: RunDraft) -> tuple[FieldProblem, ...]:
    """All problems of a run that a caller enqueues; empty where it may be stored."""
    return tuple(_run_draft_problems(draft))


def require_valid_draft(draft: ScheduleDraft) -> None:
    """Raises INVALID_INPUT with every problem of `draft`."""
    problems = validate_draft(draft)
    if problems:
        raise invalid_input(problems)


def refuse_far_times(**times: datetime | None) -> None:
    """Raises INVALID_INPUT: ids hold the time of creation, and know no year before 1970."""
    for field, at in times.items():
        if at is not None and not DUE_FIRST <= at < DUE_END:
            problem = f"lies outside the years {DUE_FIRST.year} to {DUE_END.year - 1}"
            raise invalid_input([FieldProblem(field, problem, "send a time within them, or leave it out")])


def require_valid_run_draft(draft: RunDraft) -> None:
    """Raises INVALID_INPUT with every problem of `draft`."""
    problems = validate_run_draft(draft)
    if problems:
        raise invalid_input(problems)


def _draft_problems(draft: ScheduleDraft) -> Iterator[FieldProblem]:
    yield from text_problems("name", draft.name, NAME_RULE)
    if draft.description:
        yield from text_problems("description", draft.description, DESCRIPTION_RULE, lines=True)
    yield from _label_problems(draft.labels)
    yield from _triggers_problems(draft)
    yield from under("target", validate_target(draft.target))
    yield from under("policies", validate_policies(draft.policies))


def _label_problems(labels: dict[str, str]) -> Iterator[FieldProblem]:
    if len(labels) > LABELS_MAX:
        yield FieldProblem("labels", f"has {len(labels)} entries", f"use at most {LABELS_MAX}")
    for key, value in list(labels.items())[:LABELS_MAX]:
        field = f"labels.{key[:64]}"
        yield from text_problems(field, key, LABEL_KEY_RULE)
        yield from text_problems(field, value, LABEL_VALUE_RULE)


def _triggers_problems(draft: ScheduleDraft) -> Iterator[FieldProblem]:
    count = len(draft.triggers)
    if not 1 <= count <= TRIGGERS_MAX:
        problem = "is empty, so the schedule would never fire" if count == 0 else f"has {count} entries"
        yield FieldProblem("triggers", problem, f"give 1 to {TRIGGERS_MAX} triggers")
    milestones: set[str] = set()
    for place, trigger in enumerate(draft.triggers[:TRIGGERS_MAX]):
        found = list(validate_trigger(trigger))
        yield from under(f"triggers[{place}]", iter(found))
        if not found and trigger in draft.triggers[:place]:
            first = draft.triggers.index(trigger)
            problem = f"is the same as triggers[{first}], so each of its times would fire twice"
            yield FieldProblem(f"triggers[{place}]", problem, "remove one of them")
        elif isinstance(trigger, MilestoneTrigger) and trigger.name in milestones:
            yield FieldProblem(f"triggers[{place}].name", "is another milestone's of this schedule", "choose another")
        if isinstance(trigger, MilestoneTrigger):
            milestones.add(trigger.name)


def _run_draft_problems(draft: RunDraft) -> Iterator[FieldProblem]:
    yield from under("target", validate_target(draft.target))
    yield from under("policy", validate_run_policy(draft.policy))
    if draft.policy.serial and draft.schedule_id is None:
        problem = "is for the runs of a schedule, and this run has none"
        yield FieldProblem("policy.serial", problem, "leave it out, or use a schedule with an overlap policy")
    if draft.policy.concurrency_max is not None and draft.policy.concurrency_key is None and draft.schedule_id is None:
        problem = "is for the runs of a schedule, and this run has none"
        yield FieldProblem("policy.concurrency_max", problem, "name a concurrency_key beside it")
    yield from queue_problems("queue", draft.queue)
    yield from priority_problems("priority", draft.priority)
    yield from number_problems("delay_seconds", draft.delay_seconds, 0, DELAY_SECONDS_MAX, "seconds")
    if draft.due_at is not None:
        yield from _due_at_problems(draft.due_at, draft.delay_seconds)
    if draft.unique is not None:
        yield from under("unique", unique_problems(draft.unique))
    if draft.idempotency_key is not None:
        yield from text_problems("idempotency_key", draft.idempotency_key, KEY_RULE)
    if draft.fire_at is not None and draft.fire_at.utcoffset() is None:
        yield FieldProblem("fire_at", "has no UTC offset, so it names no instant", "end it with 'Z' or an offset")


def _due_at_problems(due_at: datetime, delay_seconds: float) -> Iterator[FieldProblem]:
    if due_at.utcoffset() is None:
        yield FieldProblem("due_at", "has no UTC offset, so it names no instant", "end it with 'Z' or an offset")
    elif not DUE_FIRST <= due_at < DUE_END:
        remedy = f"use a time within the years {DUE_FIRST.year} to {DUE_END.year - 1}"
        yield FieldProblem("due_at", "is too far away", remedy)
    elif delay_seconds:
        yield FieldProblem("due_at", "stands beside delay_seconds", "give one of the two")
