"""The one way to an attempt at a milestone: for a tick, for the leader, and for an operator who will not wait."""

from collections.abc import Callable

from rota.core.milestones import attempt, milestone_label, retry_now
from rota.domain.ids import TenantId
from rota.domain.milestone import MilestoneLook, MilestoneStep
from rota.domain.tenancy import AuditEntry
from rota.ports.milestone_store import MilestoneStore
from rota.ports.wakeups import Wakeups

MILESTONES_TOPIC = "milestones"
LEADER = "leader"


class MilestoneGenerating:
    """Stateless. What is due is judged where it is stored: of two who ask at once, one begins."""

    def __init__(self, milestones: MilestoneStore, wakeups: Wakeups) -> None:
        self._milestones = milestones
        self._wakeups = wakeups

    async def generate(self, tenant_id: TenantId, name: str, subject: str, audit: AuditEntry) -> MilestoneStep:
        """The next attempt, if it is due."""
        return await self._change(tenant_id, name, subject, audit, lambda look: attempt(look, audit.actor))

    async def retry(self, tenant_id: TenantId, name: str, subject: str, audit: AuditEntry) -> MilestoneStep:
        """The next attempt, whatever the back-off. Raises STATE_CONFLICT where something else stands in its way."""
        return await self._change(tenant_id, name, subject, audit, lambda look: retry_now(look, audit.actor))

    async def _change(
        self,
        tenant_id: TenantId,
        name: str,
        subject: str,
        audit: AuditEntry,
        decide: Callable[[MilestoneLook], MilestoneStep],
    ) -> MilestoneStep:
        step = await self._milestones.change(tenant_id, name, subject, decide, audit)
        if step.draft is not None:
            self._wakeups.announce(f"queue:{step.draft.queue}")
        return step


def leader_audit(name: str, subject: str) -> AuditEntry:
    return AuditEntry(LEADER, "generate", "milestone", milestone_label(name, subject))
