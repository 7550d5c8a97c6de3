"""The tick: whatever of a subject's milestones is due is tried now, and waited for, a bounded time, for an answer.

It is the serverless caller's way; the leader finds the same milestones by itself, and makes them by the same code.
While it waits it holds no connection: it looks again, from time to time.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypeAlias

from msgspec import Struct

from rota.core.field_rules import text_problems
from rota.core.milestones import SUBJECT_RULE, assess, milestone_label, wait_problems
from rota.domain.errors import invalid_input
from rota.domain.ids import RunId, TenantId
from rota.domain.milestone import Assessment, MilestoneError, MilestoneLook
from rota.ports.clock import Clock
from rota.ports.milestone_store import MilestoneStore, SubjectLook
from rota.services.acting import Actor
from rota.services.milestone_generating import MilestoneGenerating

WAIT_SECONDS_MAX = 25.0
WAITING_TICKS_MAX = 500
FIRST_PAUSE_SECONDS = 0.02
PAUSE_SECONDS_MAX = 0.5

Reason: TypeAlias = Literal[
    "generated",
    "failed",
    "in_progress",
    "backoff_active",
    "missed",
    "paused",
    "held",
    "evidence_missing",
    "nothing_due",
    "done",
    "undefined",
]
# What a tick says where its milestones stand differently: what happened first, then what is waited for.
_LOUDEST: tuple[Reason, ...] = (
    "failed",
    "in_progress",
    "generated",
    "backoff_active",
    "held",
    "paused",
    "nothing_due",
    "evidence_missing",
    "missed",
    "done",
    "undefined",
)


class TickedMilestone(Struct, frozen=True):
    """How one milestone stands after the tick. `until` is when the back-off ends, or the age is reached."""

    name: str
    reason: Reason
    message: str
    due_at: datetime | None = None
    until: datetime | None = None
    attempt_count: int = 0
    generated_at: datetime | None = None
    last_error: MilestoneError | None = None
    run_id: RunId | None = None


class Tick(Struct, frozen=True):
    """The answer of a tick. `reason` is that of the milestone that has most to say: `due_trigger`, where it was due.

    `success` is False only where an attempt failed. `backoff_until` is the first of the back-offs that are active.
    """

    tenant_id: TenantId
    subject: str
    success: bool
    reason: Reason
    message: str
    due_trigger: str | None
    report_generated: bool
    attempt_count: int | None
    backoff_until: datetime | None
    timestamp: datetime
    triggers: tuple[TickedMilestone, ...]


class MilestoneTicks:
    """One per process: its bound is the process's."""

    def __init__(self, milestones: MilestoneStore, generating: MilestoneGenerating, clock: Clock) -> None:
        self._milestones = milestones
        self._generating = generating
        self._clock = clock
        self._waiting = 0

    async def evaluate(self, actor: Actor, subject: str, wait_seconds: float = WAIT_SECONDS_MAX) -> Tick:
        """Raises INVALID_INPUT; Unavailable where the store cannot be read, and then nothing was tried."""
        problems = [
            *text_problems("subject", subject, SUBJECT_RULE),
            *wait_problems(wait_seconds, WAIT_SECONDS_MAX),
        ]
        if problems:
            raise invalid_input(problems)
        before = await self._milestones.look(actor.tenant_id, subject)
        acted = await self._begin(actor, before)
        after = await self._await_end(actor.tenant_id, subject, acted, wait_seconds)
        return _answer(actor.tenant_id, subject, after, acted)

    async def _begin(self, actor: Actor, found: SubjectLook) -> dict[str, RunId]:
        """The runs of what was due, or under way already, by name. Each is tried whatever the others do."""
        acted: dict[str, RunId] = {}
        for look in found.looks:
            if assess(look).standing in ("due", "in_progress", "missed", "held"):
                audit = actor.audit("generate", "milestone", milestone_label(look.name, look.subject))
                step = await self._generating.generate(look.tenant_id, look.name, look.subject, audit)
                under_way = step.milestone is not None and step.milestone.state == "in_progress"
                if under_way and step.milestone is not None and step.milestone.run_id is not None:
                    acted[look.name] = step.milestone.run_id
        return acted

    async def _await_end(
        self, tenant_id: TenantId, subject: str, acted: dict[str, RunId], wait_seconds: float
    ) -> SubjectLook:
        deadline = self._clock.monotonic_seconds() + (wait_seconds if self._waiting < WAITING_TICKS_MAX else 0.0)
        pause = FIRST_PAUSE_SECONDS
        self._waiting += 1
        try:
            while True:
                found = await self._milestones.look(tenant_id, subject)
                left = deadline - self._clock.monotonic_seconds()
                if left <= 0 or not _is_under_way(found.looks, acted):
                    return found
                await self._clock.sleep(min(pause, left))
                pause = min(PAUSE_SECONDS_MAX, pause * 1.5)
        finally:
            self._waiting -= 1


def _is_under_way(looks: Sequence[MilestoneLook], acted: dict[str, RunId]) -> bool:
    return any(
        look.milestone is not None
        and look.milestone.state == "in_progress"
        and look.milestone.run_id == acted.get(look.name)
        for look in looks
    )


def _answer(tenant_id: TenantId, subject: str, found: SubjectLook, acted: dict[str, RunId]) -> Tick:
    ticked = tuple(_ticked(look, acted.get(look.name)) for look in found.looks)
    loudest = min(ticked, key=lambda one: _LOUDEST.index(one.reason), default=None)
    backoffs = [one.until for one in ticked if one.reason in ("backoff_active", "failed") and one.until is not None]
    was_due = loudest is not None and loudest.reason in (
        "failed",
        "in_progress",
        "generated",
        "backoff_active",
        "held",
        "missed",
    )
    return Tick(
        tenant_id=tenant_id,
        subject=subject,
        success=loudest is None or loudest.reason != "failed",
        reason=loudest.reason if loudest else "nothing_due",
        message=loudest.message if loudest else "the tenant defines no milestone",
        due_trigger=loudest.name if loudest and was_due else None,
        report_generated=any(one.reason == "generated" for one in ticked),
        attempt_count=loudest.attempt_count if loudest and was_due else None,
        backoff_until=min(backoffs, default=None),
        timestamp=found.now,
        triggers=ticked,
    )


def _ticked(look: MilestoneLook, acted_run: RunId | None) -> TickedMilestone:
    milestone = look.milestone
    assessment = assess(look)
    reason, words = _reason(look, assessment, acted_run)
    if milestone is None:
        return TickedMilestone(look.name, reason, words, until=assessment.until)
    return TickedMilestone(
        look.name,
        reason,
        words,
        due_at=milestone.due_at,
        until=milestone.backoff_until if reason == "failed" else assessment.until,
        attempt_count=milestone.attempts_count,
        generated_at=milestone.generated_at,
        last_error=milestone.last_error,
        run_id=milestone.run_id,
    )


def _reason(look: MilestoneLook, assessment: Assessment, acted_run: RunId | None) -> tuple[Reason, str]:
    milestone = look.milestone
    if milestone is not None and acted_run is not None and milestone.run_id == acted_run:
        if milestone.state == "done":
            return "generated", f"{look.name} was generated"
        if milestone.state == "waiting":
            said = milestone.last_error.message if milestone.last_error else "without an error"
            return "failed", f"attempt {milestone.attempts_count} at {look.name} failed: {said}"
    if assessment.standing == "due":
        return "in_progress", assessment.words
    return assessment.standing, assessment.words
