"""What the stores of check-ins answer alike."""

from rota.domain.check_in import CHECK_INS_PER_TENANT_MAX, CheckIn
from rota.domain.errors import DomainError
from rota.domain.event import EventDraft
from rota.domain.problems import FieldProblem
from rota.domain.tenancy import AuditEntry


def name_taken(name: str) -> DomainError:
    problem = FieldProblem("name", f"{name!r} is in use", "choose another name, or delete the check-in that has it")
    return DomainError("NAME_TAKEN", f"there is a check-in {name!r} already", [problem])


def quota_exceeded() -> DomainError:
    return DomainError("QUOTA_EXCEEDED", f"a tenant may have {CHECK_INS_PER_TENANT_MAX} check-ins")


def check_in_event(event_type: str, check_in: CheckIn, audit: AuditEntry) -> EventDraft:
    return EventDraft(event_type, check_in.tenant_id, check_in.id, audit.actor, {"name": check_in.name})
