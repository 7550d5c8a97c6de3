"""The follower of runs that others wait for: when one has ended, those that waited are let go, or skipped."""

from rota.domain.dependencies import DEPENDENCY_FOLLOWER
from rota.domain.errors import Stale
from rota.ports.dependency_store import DependencyStore
from rota.ports.wakeups import Wakeups
from rota.services.leadership import Leadership

# One end may have thousands of dependents, and the leader's statements have a second.
ENDS_PER_BATCH = 20


class DependencyFollowing:
    """See `rota.services.following.EndFollower`."""

    def __init__(self, store: DependencyStore, leadership: Leadership, wakeups: Wakeups) -> None:
        self._store = store
        self._leadership = leadership
        self._wakeups = wakeups

    @property
    def name(self) -> str:
        return DEPENDENCY_FOLLOWER

    async def work_off(self) -> bool:
        fence = self._leadership.fence()
        if fence is None:
            return False
        try:
            done = await self._store.work_off(fence, ENDS_PER_BATCH)
        except Stale:
            self._leadership.refuse(fence.epoch)
            return False
        for queue in done.queues:
            self._wakeups.announce(f"queue:{queue}")
        return done.ends_count == ENDS_PER_BATCH
