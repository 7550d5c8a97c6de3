"""What the stores of backfills answer alike, and the events that tell of one."""

from rota.domain.backfill import BACKFILLS_RUNNING_MAX, Backfill
from rota.domain.errors import DomainError
from rota.domain.event import EventDraft


def too_many_running() -> DomainError:
    detail = f"a tenant may have {BACKFILLS_RUNNING_MAX} backfills running; wait for one, or cancel one"
    return DomainError("QUOTA_EXCEEDED", detail)


def has_ended(state: str) -> DomainError:
    return DomainError("STATE_CONFLICT", f"the backfill is {state} already")


def cancel_reason(actor: str) -> str:
    return f"cancelled by {actor}"


def backfill_event(event_type: str, backfill: Backfill, actor: str) -> EventDraft:
    facts = {
        "schedule_id": backfill.schedule_id,
        "from": backfill.since,
        "to": backfill.to,
        "total_count": backfill.total_count,
        "created_count": backfill.created_count,
        "skipped_count": backfill.skipped_count,
        "reason": backfill.reason,
    }
    return EventDraft(event_type, backfill.tenant_id, backfill.id, actor, facts)


def ending_event(backfill: Backfill) -> EventDraft | None:
    """What the last step of a backfill tells."""
    if backfill.state == "running":
        return None
    event_type = "BackfillFinished" if backfill.state == "finished" else "BackfillCancelled"
    return backfill_event(event_type, backfill, "leader")
