"""Takes runs back from workers that are gone: declares them lost, and settles what they held by the retry rules.

It needs no fence: a settlement is accepted only under the attempt's own token, so two rescuers, or a rescuer and a
worker that lives after all, harm nothing. Only the leader does it, since one is enough.
"""

from datetime import datetime

from msgspec import Struct

from rota.core.settlement import decide_settlement
from rota.ports.rng import Rng
from rota.ports.run_store import LostAttempt, RunClaims
from rota.ports.wakeups import Wakeups
from rota.ports.worker_store import WorkerStore

WORKERS_PER_ROUND_MAX = 100
ATTEMPTS_PER_ROUND_MAX = 500
# How long past its hard time-out an attempt may be before it is taken from a worker that says nothing of it.
OVERDUE_GRACE_SECONDS = 10.0


class Rescued(Struct, frozen=True):
    """`is_all`: nothing was left when it looked last."""

    attempts_count: int
    is_all: bool


class Rescuing:
    """The leader's second duty. Calls may overlap: what one of them settles is refused to the others."""

    def __init__(self, workers: WorkerStore, claims: RunClaims, wakeups: Wakeups, rng: Rng) -> None:
        self._workers = workers
        self._claims = claims
        self._wakeups = wakeups
        self._rng = rng

    async def rescue(self) -> int:
        """Whatever is lost; the number of attempts that were settled.

        Raises Unavailable; a second call goes on from there.
        """
        return (await self.rescue_since(None)).attempts_count

    async def rescue_since(self, overdue_since: datetime | None) -> Rescued:
        """As `rescue`, of what is lost where no deadline until `overdue_since` is held."""
        while len(await self._workers.mark_lost(WORKERS_PER_ROUND_MAX)) == WORKERS_PER_ROUND_MAX:
            pass
        rescued = 0
        while lost := await self._claims.find_lost(OVERDUE_GRACE_SECONDS, ATTEMPTS_PER_ROUND_MAX, overdue_since):
            accepted = await self._settle(lost)
            rescued += accepted
            if accepted == 0:
                break
        while await self._workers.clear_departed(WORKERS_PER_ROUND_MAX) == WORKERS_PER_ROUND_MAX:
            pass
        return Rescued(rescued, is_all=not lost)

    async def _settle(self, lost: tuple[LostAttempt, ...]) -> int:
        settlements = [decide_settlement(one.claimed, one.outcome, None, self._rng) for one in lost]
        results = await self._claims.settle_batch(settlements)
        queues = {one.claimed.queue for one in lost}
        for queue in queues.union(*(result.startable_queues for result in results)):
            self._wakeups.announce(f"queue:{queue}")
        return sum(result.accepted for result in results)
