"""What the stores of evidence and milestones answer alike."""

from collections.abc import Collection, Sequence

from rota.core.milestones import definitions_of
from rota.domain.errors import DomainError
from rota.domain.event import EventDraft
from rota.domain.milestone import MILESTONES_PER_TENANT_MAX, Evidence
from rota.domain.problems import FieldProblem
from rota.domain.schedule import Schedule
from rota.domain.tenancy import AuditEntry
from rota.domain.triggers import MilestoneTrigger


def evidence_exists(recorded: Evidence) -> DomainError:
    said = f"{recorded.kind} of {recorded.subject} is recorded as of {recorded.occurred_at.isoformat()}"
    problem = FieldProblem("occurred_at", "is another time than the recorded one", "leave it as it is recorded")
    return DomainError("EVIDENCE_EXISTS", said, [problem])


def evidence_event(evidence: Evidence, audit: AuditEntry) -> EventDraft:
    data = {"kind": evidence.kind, "subject": evidence.subject, "occurred_at": evidence.occurred_at.isoformat()}
    return EventDraft("EvidenceRecorded", evidence.tenant_id, f"{evidence.kind}/{evidence.subject}", audit.actor, data)


def quota_exceeded() -> DomainError:
    return DomainError("QUOTA_EXCEEDED", f"a tenant may define {MILESTONES_PER_TENANT_MAX} milestones")


def milestone_names_taken(schedules: Sequence[Schedule], taken: Collection[str]) -> DomainError:
    """`taken` are names that another schedule has, or that two of the given ones ask for."""
    problems = [
        FieldProblem(
            f"triggers[{place}].name" if len(schedules) == 1 else f"[{position}].triggers[{place}].name",
            f"{trigger.spec.name!r} is the name of another schedule's milestone",
            "Choose another name, or change the schedule that has it.",
        )
        for position, schedule in enumerate(schedules)
        for place, trigger in enumerate(schedule.triggers)
        if isinstance(trigger.spec, MilestoneTrigger) and trigger.spec.name in taken
    ]
    first = problems[0]
    return DomainError("NAME_TAKEN", f"{first.field}: {first.problem}", problems)


def names_given_twice(schedules: Sequence[Schedule]) -> set[str]:
    """Names of milestones that more than one of the schedules define."""
    seen: set[str] = set()
    twice: set[str] = set()
    for name in (definition.name for schedule in schedules for definition in definitions_of(schedule)):
        (twice if name in seen else seen).add(name)
    return twice
