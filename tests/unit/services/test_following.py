import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from rota.domain.errors import Unavailable
from rota.ports.firing_store import LeaderLook
from rota.services.following import Following
from rota.services.supervision import Duty
from tests.contract.stores import START
from tests.unit.services.virtual_time import VirtualClock


class Follower:
    """Works off what it is given, a batch a time, and fails as often as it is told to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.left = 0
        self.failures_left = 0
        self.batches = 0

    async def work_off(self) -> bool:
        if self.failures_left:
            self.failures_left -= 1
            raise Unavailable("the store is away")
        self.batches += 1
        self.left = max(0, self.left - 1)
        return self.left > 0


def look(*ended_for: str) -> LeaderLook:
    return LeaderLook(None, lost_workers=False, overdue_attempts=False, now=START, ended_for=ended_for)


async def _again_and_again(duty: Duty) -> None:
    while True:
        try:
            await duty.run()
        except Unavailable:
            continue


@asynccontextmanager
async def at_work(following: Following) -> AsyncGenerator[None]:
    tasks = [asyncio.create_task(_again_and_again(duty)) for duty in following.duties]
    yield
    for task in tasks:
        task.cancel()


async def _settle() -> None:
    await VirtualClock().run_for(0)


async def test_a_named_follower_works_until_nothing_is_left_and_others_are_not_called() -> None:
    ones, others = Follower("ones"), Follower("others")
    following = Following([ones, others])
    ones.left = 3
    async with at_work(following):
        following.note(look("ones", "a newer version's"))
        await _settle()
    assert (ones.batches, others.batches) == (3, 0)


async def test_a_follower_that_fails_is_called_by_the_next_look_and_keeps_nobody_waiting() -> None:
    ones, others = Follower("ones"), Follower("others")
    following = Following([ones, others])
    ones.failures_left = 1
    async with at_work(following):
        following.note(look("ones", "others"))
        await _settle()
        assert (ones.batches, others.batches) == (0, 1)
        following.note(look("ones"))
        await _settle()
    assert (ones.batches, others.batches) == (1, 1)
