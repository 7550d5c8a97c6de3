"""What a run's state does not allow, and what its clone looks like: the same in every store."""

from msgspec.structs import replace

from rota.core.fan_out import retried_target
from rota.core.run_identity import replay_key
from rota.domain.errors import DomainError
from rota.domain.run import RUN_LIFECYCLE, Run, RunDraft

CANCELLED_ON_REQUEST = "cancelled on request"


def run_has_ended(run: Run) -> DomainError:
    """The 409 of cancelling what is over."""
    return DomainError(
        "STATE_CONFLICT", f"run {run.id!r} is {run.state}: only a run that has not ended can be cancelled"
    )


def refuse_unless_terminal(run: Run) -> None:
    """Raises the 409 of retrying what is not over."""
    if run.state not in RUN_LIFECYCLE.terminal:
        message = f"run {run.id!r} is {run.state}: only a run that has ended can be retried"
        raise DomainError("STATE_CONFLICT", message)


def refuse_unless_dead(run: Run, *, was_replayed: bool) -> None:
    """Raises the 409 of replaying what is no dead letter, and was none."""
    if not run.dead_lettered and not was_replayed:
        message = f"run {run.id!r} is {run.state} and not dead-lettered: only a dead-lettered run can be replayed"
        raise DomainError("STATE_CONFLICT", message)


def replay_draft(run: Run, actor: str) -> RunDraft:
    """The clone of a run that is made once."""
    return replace(clone_draft(run, actor), key=replay_key(run.tenant_id, run.id))


def clone_draft(run: Run, actor: str) -> RunDraft:
    """The same work once more. It keeps the nominal time, which handlers read, but no key: the clone is no firing.

    Of a fan-out that did not succeed, it covers what did not.
    """
    return RunDraft(
        tenant_id=run.tenant_id,
        target=retried_target(run),
        policy=run.policy,
        queue=run.queue,
        priority=run.priority,
        schedule_id=run.schedule_id,
        schedule_version=run.schedule_version,
        trigger_id=run.trigger_id,
        fire_at=run.fire_at,
        reason=f"retry of run {run.id}",
        retry_of=run.id,
        created_by=actor,
    )
