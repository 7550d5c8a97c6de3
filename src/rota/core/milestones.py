"""How a milestone stands, and what an attempt at it is made of. Pure: the look carries the store's time.

There is one way to an attempt, `attempt`, whoever found it due: a tick, the leader or an operator. Milestones know
nothing of each other: what one of them waits for holds up no other one.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, cast

from msgspec import structs, to_builtins

from rota.core.field_rules import KEY_RULE, TextRule, number_problems, text_problems
from rota.core.retry import plain_delay_seconds
from rota.core.run_identity import milestone_key
from rota.domain.errors import DomainError
from rota.domain.event import EventDraft
from rota.domain.milestone import (
    FOLLOWER,
    MILESTONE_LIFECYCLE,
    Assessment,
    Evidence,
    Generator,
    Milestone,
    MilestoneDefinition,
    MilestoneLook,
    MilestoneOrder,
    MilestoneState,
    MilestoneStep,
)
from rota.domain.policies import RetryPolicy, RunPolicy
from rota.domain.problems import FieldProblem
from rota.domain.run import RunDraft
from rota.domain.schedule import Schedule
from rota.domain.targets import HttpTarget, Target, TaskTarget
from rota.domain.triggers import MILESTONE_CATALOGUE, MilestoneTrigger

BACKOFF_SECONDS = (1_800.0, 7_200.0, 86_400.0)
"""Where the schedule's retry policy does not say otherwise. The last delay repeats."""
EARLY_SECONDS_MAX = 60.0
"""A clock elsewhere may be fast: what it says happened so little later than now did happen."""
SUBJECT_RULE = TextRule(500, KEY_RULE.pattern, KEY_RULE.shape)
ARGUMENT = "milestone"

_STATES: dict[str, MilestoneState] = {state: state for state in ("waiting", "in_progress", "done", "skipped")}
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


def definitions_of(schedule: Schedule) -> tuple[MilestoneDefinition, ...]:
    """The milestones that a schedule defines; none while it is deleted."""
    if schedule.deleted_at is not None:
        return ()
    specs = ((trigger.id, trigger.spec) for trigger in schedule.triggers)
    found: list[MilestoneDefinition] = []
    for trigger_id, spec in specs:
        if isinstance(spec, MilestoneTrigger):
            known = MILESTONE_CATALOGUE.get(spec.name)
            evidence = spec.evidence or (known.evidence if known else "")
            age = spec.age_seconds if spec.age_seconds is not None else known.age_seconds if known else 0.0
            found.append(
                MilestoneDefinition(
                    schedule.tenant_id,
                    spec.name,
                    schedule.id,
                    trigger_id,
                    evidence,
                    age,
                    spec.window_seconds,
                    spec.on_missed,
                )
            )
    return tuple(found)


def evidence_problems(kind: str, subject: str, occurred_at: datetime, now: datetime) -> Iterator[FieldProblem]:
    yield from text_problems("kind", kind, KEY_RULE)
    yield from text_problems("subject", subject, SUBJECT_RULE)
    if occurred_at.utcoffset() is None:
        yield FieldProblem("occurred_at", "has no UTC offset, so it names no instant", "end it with 'Z' or an offset")
    elif is_early(occurred_at, now):
        yield FieldProblem("occurred_at", "lies in the future", "record a fact when it has happened")


def wait_problems(wait_seconds: float, wait_seconds_max: float) -> Iterator[FieldProblem]:
    return number_problems("wait_seconds", wait_seconds, 0, wait_seconds_max, "seconds")


def is_early(occurred_at: datetime, now: datetime) -> bool:
    return occurred_at > now + timedelta(seconds=EARLY_SECONDS_MAX)


def due_at(definition: MilestoneDefinition, evidence: Evidence) -> datetime:
    return evidence.occurred_at + timedelta(seconds=definition.age_seconds)


def retry_delay_seconds(policy: RetryPolicy, attempts_count: int) -> float:
    """The back-off behind the nth attempt (n ≥ 1). It never ends: where a list is used up, its last delay repeats."""
    if policy.delays_seconds is None and policy != RetryPolicy(attempts_max=policy.attempts_max):
        return plain_delay_seconds(policy, attempts_count)
    delays = policy.delays_seconds or BACKOFF_SECONDS
    return delays[min(attempts_count, len(delays)) - 1]


def assess(look: MilestoneLook, *, whatever_the_backoff: bool = False) -> Assessment:
    """What stands in the way of an attempt at `look.now`; `due` where nothing does."""
    milestone = look.milestone
    if look.is_done or (milestone is not None and milestone.state == "done"):
        return Assessment("done", f"{look.name} is done")
    if milestone is not None and milestone.state == "in_progress":
        return Assessment("in_progress", f"attempt {milestone.attempts_count} is under way")
    if milestone is not None and milestone.state == "skipped":
        return Assessment("missed", f"the window of {look.name} passed without it; reset it to have it made")
    if look.definition is None or look.generator is None:
        return Assessment("undefined", f"no schedule defines {look.name}")
    return _assess_time(look, look.definition, look.generator, whatever_the_backoff=whatever_the_backoff)


def _assess_time(
    look: MilestoneLook, definition: MilestoneDefinition, generator: Generator, *, whatever_the_backoff: bool
) -> Assessment:
    if look.evidence is None:
        return Assessment("evidence_missing", f"there is no evidence {definition.evidence!r}")
    if is_early(look.evidence.occurred_at, look.now):
        return Assessment("evidence_missing", f"the evidence {definition.evidence!r} is invalid: it lies in the future")
    due = due_at(definition, look.evidence)
    if due > look.now:
        return Assessment("nothing_due", f"{look.name} is due at {due.isoformat()}", due)
    if not generator.enabled:
        return Assessment("paused", f"the schedule of {look.name} is paused")
    until = look.milestone.backoff_until if look.milestone is not None else None
    is_backing_off = until is not None and until > look.now and not whatever_the_backoff
    if look.held_because is not None and not is_backing_off:
        return Assessment("held", f"{look.name} is due and held: {look.held_because}")
    if _is_missed(definition, due, look.now):
        return Assessment("missed", f"the window of {look.name} has passed")
    if until is not None and is_backing_off:
        return Assessment("backoff_active", f"{look.name} failed; the next attempt is at {until.isoformat()}", until)
    return Assessment("due", f"{look.name} is due since {due.isoformat()}")


def _is_missed(definition: MilestoneDefinition, due: datetime, now: datetime) -> bool:
    window = definition.window_seconds
    return definition.on_missed == "skip" and window is not None and now >= due + timedelta(seconds=window)


def attempt(look: MilestoneLook, actor: str, *, whatever_the_backoff: bool = False) -> MilestoneStep:
    """The next attempt where it is due; the end of waiting where its window has passed; else when to look again."""
    assessment = assess(look, whatever_the_backoff=whatever_the_backoff)
    milestone, definition, evidence = look.milestone, look.definition, look.evidence
    if milestone is None or milestone.state != "waiting":
        return MilestoneStep(assessment, milestone)
    if definition is None or look.generator is None or evidence is None:
        return MilestoneStep(assessment, structs.replace(milestone, next_at=None, held_since=None))
    known = structs.replace(
        milestone, due_at=due_at(definition, evidence), schedule_id=definition.schedule_id, held_since=None
    )
    if assessment.standing == "due":
        return _begun(look, known, assessment, actor)
    if assessment.standing == "missed":
        skipped = structs.replace(known, state=_moved(known, "miss"), next_at=None, backoff_until=None)
        data = {"due_at": known.due_at, "window_seconds": definition.window_seconds}
        return MilestoneStep(assessment, skipped, events=(milestone_event("MilestoneMissed", skipped, actor, data),))
    if assessment.standing == "held":
        return _held(look, structs.replace(known, held_since=milestone.held_since), assessment, actor)
    return MilestoneStep(assessment, structs.replace(known, next_at=assessment.until))


def _held(look: MilestoneLook, milestone: Milestone, assessment: Assessment, actor: str) -> MilestoneStep:
    """Nothing is done until the flag is on again; that it came due is told once."""
    held = structs.replace(milestone, next_at=None, held_since=milestone.held_since or look.now)
    if milestone.held_since is not None:
        return MilestoneStep(assessment, held)
    data = {"due_at": milestone.due_at, "reason": look.held_because}
    return MilestoneStep(assessment, held, events=(milestone_event("MilestoneHeld", held, actor, data),))


def _begun(look: MilestoneLook, milestone: Milestone, assessment: Assessment, actor: str) -> MilestoneStep:
    """The count and the back-off that follows a failure are stored before anything is tried (law 1)."""
    definition, generator, evidence = look.definition, look.generator, look.evidence
    if definition is None or generator is None or evidence is None:
        return MilestoneStep(assessment, milestone)
    count = milestone.attempts_count + 1
    begun = structs.replace(
        milestone,
        state=_moved(milestone, "begin"),
        attempts_count=count,
        attempts_total=milestone.attempts_total + 1,
        retry_delay_seconds=retry_delay_seconds(generator.policies.retry, count),
        backoff_until=None,
        last_attempt_at=look.now,
        next_at=None,
    )
    order = MilestoneOrder(
        look.name, look.tenant_id, look.subject, definition.evidence, evidence.occurred_at, milestone.due_at, count
    )
    policies = generator.policies
    draft = RunDraft(
        tenant_id=look.tenant_id,
        target=told(generator.target, order),
        policy=RunPolicy(
            policies.timeout_seconds,
            policies.soft_timeout_seconds,
            RetryPolicy(attempts_max=1),
            concurrency_key=policies.concurrency_key,
            concurrency_max=policies.concurrency_max,
        ),
        queue=policies.queue,
        priority=policies.priority,
        key=milestone_key(look.tenant_id, look.name, look.subject, begun.attempts_total),
        schedule_id=definition.schedule_id,
        schedule_version=generator.schedule_version,
        trigger_id=definition.trigger_id,
        reason=f"milestone {look.name} of {look.subject}, attempt {count}",
        created_by=actor,
        followers=(FOLLOWER,),
    )
    return MilestoneStep(assessment, begun, draft)


def told(target: Target, order: MilestoneOrder) -> Target:
    """The target with the order in it: as an argument, or in a JSON body. Another body is sent as it is."""
    said: dict[str, Any] = to_builtins(order)
    if isinstance(target, TaskTarget):
        return structs.replace(target, args={**target.args, ARGUMENT: said})
    return _told_by_request(target, said) if isinstance(target, HttpTarget) else target


def _told_by_request(target: HttpTarget, said: dict[str, Any]) -> Target:
    if target.method not in _WITH_BODY or not (target.body is None or isinstance(target.body, Mapping)):
        return target
    body = cast("Mapping[str, Any]", target.body or {})
    return structs.replace(target, body={**body, ARGUMENT: said})


def reset(look: MilestoneLook, actor: str) -> MilestoneStep:
    """As if it had never been tried. Raises STATE_CONFLICT where an attempt is under way, or it is done."""
    milestone = _known(look)
    _require_move(milestone, "reset")
    return _anew(look, milestone, "reset", "MilestoneReset", actor)


def clear_marker(look: MilestoneLook, actor: str) -> MilestoneStep:
    """Not done any more: it will be made again. Raises STATE_CONFLICT where it is not done."""
    milestone = _known(look)
    _require_move(milestone, "clear")
    return structs.replace(_anew(look, milestone, "clear", "MilestoneMarkerCleared", actor), clears_marker=True)


def retry_now(look: MilestoneLook, actor: str) -> MilestoneStep:
    """An attempt without waiting for the back-off. Raises STATE_CONFLICT where something else stands in its way."""
    _known(look)
    step = attempt(look, actor, whatever_the_backoff=True)
    if step.draft is None and step.assessment.standing != "in_progress":
        raise DomainError("STATE_CONFLICT", f"nothing is tried: {step.assessment.words}")
    return step


def _anew(look: MilestoneLook, milestone: Milestone, verb: str, event_type: str, actor: str) -> MilestoneStep:
    fresh = structs.replace(
        milestone,
        state=_moved(milestone, verb),
        attempts_count=0,
        retry_delay_seconds=0.0,
        backoff_until=None,
        generated_at=None,
        last_error=None,
        held_since=None,
        next_at=milestone.due_at if look.generator is not None and look.generator.enabled else None,
    )
    data = {"attempts_count": milestone.attempts_count, "was": milestone.state}
    event = milestone_event(event_type, milestone, actor, data)
    after = structs.replace(look, milestone=fresh, is_done=False)
    return MilestoneStep(assess(after), fresh, events=(event,))


def _known(look: MilestoneLook) -> Milestone:
    if look.milestone is None:
        raise DomainError("NOT_FOUND", f"there is no milestone {look.name!r} of {look.subject!r}")
    return look.milestone


def _require_move(milestone: Milestone, verb: str) -> None:
    if MILESTONE_LIFECYCLE.allows(milestone.state, verb):
        return
    remedies = {"in_progress": "cancel its run first", "done": "clear its marker", "waiting": "", "skipped": "reset it"}
    remedy = remedies[milestone.state]
    raise DomainError(
        "STATE_CONFLICT", f"{milestone.name} is {milestone.state.replace('_', ' ')}{remedy and '; '}{remedy}"
    )


def _moved(milestone: Milestone, verb: str) -> MilestoneState:
    return _STATES[MILESTONE_LIFECYCLE.next_state(milestone.state, verb)]


def milestone_event(event_type: str, milestone: Milestone, actor: str, data: Mapping[str, object]) -> EventDraft:
    said = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in data.items()}
    known = {"name": milestone.name, "subject": milestone.subject, **said}
    return EventDraft(event_type, milestone.tenant_id, milestone_label(milestone.name, milestone.subject), actor, known)


def milestone_label(name: str, subject: str) -> str:
    """How audit entries and events name it."""
    return f"{name}/{subject}"
