"""What the leader needs to fire: due triggers, and one fenced write per batch (design §5 Firing)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from rota.domain.firing import DueBatch, DuePosition, DueTrigger, TriggerAdvance
from rota.domain.lease import Fence

__all__ = ["DueBatch", "DueTrigger", "FiringResult", "FiringStore", "LeaderLook", "TriggerAdvance"]


class FiringResult(Struct, frozen=True):
    """`refused` triggers had changed underneath and will be read again. `queues` are those with new work."""

    runs_created: int
    runs_skipped: int
    advanced: int
    refused: int
    queues: tuple[str, ...]


class LeaderLook(Struct, frozen=True):
    """One cheap statement tells the leader what there is to do. Seconds are from `now`, the store's; None: nothing.

    `lost_workers`: leases have ended, or workers have left that nobody has noted yet to hold nothing.
    `ended_for` names the followers of runs that have ended; `follows_live`: a followed run has not.
    """

    next_fire_in_seconds: float | None
    lost_workers: bool
    overdue_attempts: bool
    now: datetime
    ended_for: tuple[str, ...] = ()
    follows_live: bool = False


class FiringStore(Protocol):
    """The leader's side. `apply` is one transaction in one round trip and carries the fence."""

    async def look(self, overdue_grace_seconds: float | None, overdue_since: datetime | None = None) -> LeaderLook:
        """Overdue is what a live worker holds past its deadline by the grace, if that was after `overdue_since`.

        Without a grace nothing overdue is looked for. A fire may be left out that a change of schedules put before
        those of earlier looks, until `look_fully`.
        """
        ...

    async def look_fully(self) -> None:
        """Finds what looks leave out, for those to come. It may take seconds."""
        ...

    async def due_triggers(self, limit: int, after: DuePosition | None = None) -> DueBatch:
        """The longest due first, behind `after`."""
        ...

    async def apply(self, fence: Fence, advances: Sequence[TriggerAdvance]) -> FiringResult:
        """Runs take what the plan leaves out from their schedules. Two calls at once may not share a schedule.

        Raises `Stale` when the fence is not current: nothing was written then.
        """
        ...
