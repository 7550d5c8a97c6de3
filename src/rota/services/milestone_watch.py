"""The leader's watch over milestones: it sleeps until the next one is due, and has it made by the way that all have.

It needs no fence: a milestone is judged again, and its attempt begun, while its row is held. An idle watch costs one
look per `POLL_SECONDS`; wake-ups shorten the sleep. What cannot be made (it is paused, say) loses its time.
"""

import asyncio
from collections.abc import Callable

import structlog

from rota.core.cycles import MILESTONE
from rota.domain.cycle import DueCounts
from rota.domain.errors import DomainError
from rota.domain.milestone import DueMilestone
from rota.ports.clock import Clock
from rota.ports.milestone_store import MilestoneDuties, MilestoneFigures
from rota.ports.wakeups import Wakeups
from rota.services.check_cycles import CheckNotes
from rota.services.leadership import Leadership
from rota.services.milestone_generating import MILESTONES_TOPIC, MilestoneGenerating, leader_audit
from rota.services.waiting import wait_for_any

POLL_SECONDS = 10.0
# What is due and could not be begun is not asked for without a pause.
SPACING_SECONDS = 0.05
STANDBY_SECONDS = 60.0
FIGURES_SECONDS = 60.0
POSTPONED_SECONDS = 60.0
DUE_PER_ROUND_MAX = 200
LANES = 2
SUBJECTS_PER_WALK_MAX = 1_000

_log = structlog.get_logger("rota.services.milestones")


class MilestoneWatch:
    """`run` is its loop."""

    def __init__(
        self,
        duties: MilestoneDuties,
        generating: MilestoneGenerating,
        leadership: Leadership,
        wakeups: Wakeups,
        clock: Clock,
        *,
        tell: Callable[[MilestoneFigures], None],
        notes: CheckNotes | None = None,
    ) -> None:
        """`tell` is for the leader's metrics; of who leads no more they are nought."""
        self._duties = duties
        self._generating = generating
        self._leadership = leadership
        self._clock = clock
        self._tell = tell
        self._notes = notes or CheckNotes()
        self._told_at: float | None = None
        self._changed = leadership.subscribe()
        self._told = wakeups.subscribe(MILESTONES_TOPIC)

    async def run(self) -> None:
        """Until it is cancelled. Raises Unavailable; the next run begins with a look."""
        while True:
            self._changed.clear()
            self._told.clear()
            if self._leadership.fence() is None:
                self._tell(MilestoneFigures())
                self._told_at = None
                await wait_for_any([self._changed], self._clock, STANDBY_SECONDS)
                continue
            pause = await self.round()
            await self._tell_figures()
            await self._clock.sleep(min(pause, SPACING_SECONDS))
            await wait_for_any([self._changed, self._told], self._clock, pause - SPACING_SECONDS)

    async def round(self) -> float:
        """One look and what it calls for; gives the seconds until the next one."""
        need = await self._duties.look()
        if need.walks:
            await self._duties.walk(SUBJECTS_PER_WALK_MAX)
        if need.next_in_seconds is not None and need.next_in_seconds <= 0:
            began = self._clock.monotonic_seconds()
            await self._make(await self._duties.list_due(DUE_PER_ROUND_MAX))
            self._notes.checked(self._clock.monotonic_seconds() - began, is_cycle=True)
            return SPACING_SECONDS
        if need.walks:
            return SPACING_SECONDS
        return POLL_SECONDS if need.next_in_seconds is None else min(POLL_SECONDS, need.next_in_seconds)

    async def _tell_figures(self) -> None:
        now = self._clock.monotonic_seconds()
        if self._told_at is None or now >= self._told_at + FIGURES_SECONDS:
            self._told_at = now
            self._tell(await self._duties.figures())

    async def _make(self, due: tuple[DueMilestone, ...]) -> None:
        pending = list(reversed(due))

        async def lane() -> None:
            while pending:
                self._notes.found({MILESTONE: await self._make_one(pending.pop())})

        await asyncio.gather(*(lane() for _ in range(LANES)))

    async def _make_one(self, due: DueMilestone) -> DueCounts:
        """What is refused here (a newer version stored its schedule, a quota) is tried again later."""
        try:
            audit = leader_audit(due.name, due.subject)
            step = await self._generating.generate(due.tenant_id, due.name, due.subject, audit)
        except DomainError as refused:
            _log.error("milestone_refused", tenant_id=due.tenant_id, name=due.name, problem=refused.detail)
            await self._duties.postpone(due, POSTPONED_SECONDS)
            return DueCounts(found=1, failed=1)
        if step.draft is not None:
            return DueCounts(found=1, executed=1)
        is_skipped = step.assessment.standing in ("missed", "held")
        return DueCounts(found=1, skipped=1) if is_skipped else DueCounts(found=1, refused=1)
