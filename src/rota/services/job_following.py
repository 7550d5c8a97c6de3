"""Graph jobs and policy jobs follow their runs: when one has ended, its job is ended and told of, once.

It needs no fence: an end is taken off the list in the transaction that acts on it, so that two who lead act on it once.
"""

from collections.abc import Callable
from typing import TypeAlias

from rota.domain.jobs import FOLLOWERS, JobFamily, JobState
from rota.ports.job_store import JobEnds

# A leader's statement has a second: each end is a few rows, and perhaps the run of a webhook.
ENDS_PER_BATCH_MAX = 50

CountEnd: TypeAlias = Callable[[JobFamily, JobState], None]


class JobFollower:
    """See `rota.services.following.EndFollower`."""

    def __init__(self, ends: JobEnds, family: JobFamily, count_end: CountEnd) -> None:
        self._ends = ends
        self._count_end = count_end
        self._family: JobFamily = family

    @property
    def name(self) -> str:
        return FOLLOWERS[self._family]

    async def work_off(self) -> bool:
        settled = await self._ends.settle_ended(self._family, ENDS_PER_BATCH_MAX)
        for state in settled.states:
            self._count_end(self._family, state)
        return settled.taken_count == ENDS_PER_BATCH_MAX
