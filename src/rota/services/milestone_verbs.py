"""The verbs on evidence and milestones: record a fact; reset, clear a marker, retry without waiting."""

from datetime import datetime

from rota.core.milestones import clear_marker, evidence_problems, milestone_label, reset
from rota.domain.errors import invalid_input
from rota.domain.milestone import Evidence, Milestone
from rota.ports.milestone_store import EvidenceStore, MilestoneStore
from rota.ports.schedule_store import ScheduleStore
from rota.ports.wakeups import Wakeups
from rota.services.acting import Actor
from rota.services.milestone_generating import MILESTONES_TOPIC, MilestoneGenerating


class EvidenceVerbs:
    """Stateless."""

    def __init__(self, evidence: EvidenceStore, schedules: ScheduleStore, wakeups: Wakeups) -> None:
        self._evidence = evidence
        self._schedules = schedules
        self._wakeups = wakeups

    async def record(self, actor: Actor, kind: str, subject: str, occurred_at: datetime) -> tuple[Evidence, bool]:
        """And whether it is new. Raises INVALID_INPUT, EVIDENCE_EXISTS."""
        now = datetime.fromisoformat(await self._schedules.clock())
        problems = list(evidence_problems(kind, subject, occurred_at, now))
        if problems:
            raise invalid_input(problems)
        given = Evidence(actor.tenant_id, kind, subject, occurred_at, now, actor.label)
        recorded, is_new = await self._evidence.record_once(
            given, actor.audit("record", "evidence", f"{kind}/{subject}")
        )
        if is_new:
            self._wakeups.announce(MILESTONES_TOPIC)
        return recorded, is_new


class MilestoneVerbs:
    """Stateless."""

    def __init__(self, milestones: MilestoneStore, generating: MilestoneGenerating, wakeups: Wakeups) -> None:
        self._milestones = milestones
        self._generating = generating
        self._wakeups = wakeups

    async def reset(self, actor: Actor, name: str, subject: str) -> Milestone:
        """Its attempts and its back-off are taken back. Raises NOT_FOUND, STATE_CONFLICT."""
        audit = actor.audit("reset", "milestone", milestone_label(name, subject))
        step = await self._milestones.change(
            actor.tenant_id, name, subject, lambda look: reset(look, actor.label), audit
        )
        return self._announced(step.milestone)

    async def clear_marker(self, actor: Actor, name: str, subject: str) -> Milestone:
        """It is not done any more. Raises NOT_FOUND, STATE_CONFLICT."""
        audit = actor.audit("clear", "milestone", milestone_label(name, subject))
        step = await self._milestones.change(
            actor.tenant_id, name, subject, lambda look: clear_marker(look, actor.label), audit
        )
        return self._announced(step.milestone)

    async def retry(self, actor: Actor, name: str, subject: str) -> Milestone:
        """An attempt now, whatever the back-off; one that is under way is it. Raises NOT_FOUND, STATE_CONFLICT."""
        audit = actor.audit("retry", "milestone", milestone_label(name, subject))
        step = await self._generating.retry(actor.tenant_id, name, subject, audit)
        return self._announced(step.milestone)

    def _announced(self, milestone: Milestone | None) -> Milestone:
        assert milestone is not None, "what there is none of is refused"
        self._wakeups.announce(MILESTONES_TOPIC)
        return milestone
