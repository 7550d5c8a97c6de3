from collections import Counter

import pytest

from rota.domain.jobs import JobFamily, JobState
from rota.ports.job_store import SettledEnds
from rota.services.job_following import ENDS_PER_BATCH_MAX, JobFollower


class Ended:
    """Answers what it was given, in order."""

    def __init__(self, *answers: SettledEnds) -> None:
        self._answers = list(answers)

    async def settle_ended(self, family: JobFamily, limit: int) -> SettledEnds:
        assert (family, limit) == ("policy", ENDS_PER_BATCH_MAX)
        return self._answers.pop(0)


@pytest.mark.parametrize(("taken_count", "goes_on"), [(ENDS_PER_BATCH_MAX, True), (2, False), (0, False)])
async def test_each_job_that_ended_is_counted_by_its_state(taken_count: int, goes_on: bool) -> None:  # noqa: FBT001
    """An end of a run whose job had ended before is taken, and counts nothing."""
    states: tuple[JobState, ...] = ("succeeded", "failed", "succeeded")[: max(0, taken_count - 1)]
    counted = Counter[tuple[JobFamily, JobState]]()
    follower = JobFollower(
        Ended(SettledEnds(taken_count, states)), "policy", lambda family, state: counted.update([(family, state)])
    )

    assert await follower.work_off() == goes_on
    assert counted == Counter(("policy", state) for state in states)
