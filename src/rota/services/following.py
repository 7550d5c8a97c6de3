"""Calls the followers of ended runs, when the leader's look has named them.

Each follower is a duty of its own: one that fails, or takes long, keeps neither the round nor the others waiting. It
is called again by the next look as long as an end is left, so that nothing is lost with a call.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from rota.ports.firing_store import LeaderLook
from rota.services.supervision import Duty

# While a followed run is live the leader looks this often: what waits for its end goes on that soon.
FOLLOWED_POLL_SECONDS = 0.25


class EndFollower(Protocol):
    """What acts when runs have ended that carry its name (see `rota.ports.run_ends`)."""

    @property
    def name(self) -> str: ...

    async def work_off(self) -> bool:
        """A bounded batch of its ends, each taken off together with what is done about it. True where more are left."""
        ...


class Following:
    """Names that no follower here has are another version's: they are left to it."""

    def __init__(self, followers: Sequence[EndFollower] = ()) -> None:
        self._called = {follower.name: asyncio.Event() for follower in followers}
        self.duties = tuple(
            Duty(f"following {each.name}", _Loop(each, self._called[each.name]).run) for each in followers
        )

    def note(self, look: LeaderLook) -> None:
        for name in look.ended_for:
            if name in self._called:
                self._called[name].set()


class _Loop:
    def __init__(self, follower: EndFollower, called: asyncio.Event) -> None:
        self._follower = follower
        self._called = called

    async def run(self) -> None:
        """Until it is cancelled. Raises Unavailable; the next look calls again."""
        while True:
            await self._called.wait()
            self._called.clear()
            while await self._follower.work_off():
                pass
