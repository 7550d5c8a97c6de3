"""Two worlds that are told the same: the memory stores and PostgreSQL's, with the names that each gave to its runs.

A run is known to a test by its number in the order of birth; replies are compared after each world's own ids were
replaced by those numbers.
"""

import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random  # noqa: TID251 - seeded, so that a failure can be told again by its seed
from typing import Any

import msgspec

from rota.domain.errors import DomainError, RotaError, Stale
from rota.domain.ids import RunId, WorkerId
from rota.domain.page import PageRequest
from rota.domain.run import ClaimedRun
from rota.ports.run_store import RunFilter
from tests.contract.records import ACME
from tests.contract.run_stores import RunStores

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

Dice = Random


@dataclass
class World:
    """One side: its stores, its runs in the order of birth, and every claim that it ever handed out."""

    stores: RunStores
    born: list[RunId] = field(default_factory=list[RunId])
    claims: list[ClaimedRun] = field(default_factory=list[ClaimedRun])
    woken: int = 0

    async def doubled_turns(self) -> list[str]:
        """Schedules of which more than one serial run is running."""
        page = await self.stores.reader.page(ACME, RunFilter(state="running"), PageRequest(500))
        counts = Counter(run.schedule_id for run in page.items if run.policy.serial and run.schedule_id)
        return [schedule_id for schedule_id, count in counts.items() if count > 1]

    def told(self, reply: object) -> str:
        """The reply as text, with numbers in place of run ids."""
        numbers = {run_id: f"run {number}" for number, run_id in enumerate(self.born)}
        text = msgspec.json.encode(reply, order="sorted").decode()
        return _UUID.sub(lambda found: numbers.get(RunId(found.group()), found.group()), text)

    async def snapshot(self, workers: list[WorkerId]) -> dict[str, str]:
        """All that can be read."""
        reader = self.stores.reader
        page = await reader.page(ACME, RunFilter(), PageRequest(500))
        shown: dict[str, str] = {"runs": self.told(page.items)}
        for state in ("scheduled", "queued", "running", "failed", "cancelled", "succeeded"):
            found = await reader.page(ACME, RunFilter(state=state), PageRequest(500))
            shown[state] = self.told([(run.id, run.state) for run in found.items])
        shown["attempts"] = self.told([await reader.attempts(ACME, run.id) for run in page.items if run.attempts_count])
        shown["counts"] = self.told(await reader.count_by_state(ACME, 1))
        held = [await self.stores.claims.list_held(worker_id, 500) for worker_id in sorted(workers)]
        shown["held"] = str([sorted(self.told(each) for each in some) for some in held])
        shown["workers"] = self.told(sorted(await self.stores.workers.list_recent(100), key=lambda w: w.id))
        shown["lease"] = self.told(await self.stores.leases.read("firing"))
        shown["held"] = self.told([claim.token for claim in self.claims[-50:]])
        shown["due"] = self.told(
            [await self.stores.workers.renew_if_live(worker, ["a"], 60) for worker in workers[-1:]]
        )
        return shown


@dataclass
class Worlds:
    """Both sides, told the same step by step. `succeeded` counts what each kind of step brought about."""

    memory: World
    postgres: World
    workers: list[WorkerId] = field(default_factory=list[WorkerId])
    succeeded: dict[str, int] = field(default_factory=dict[str, int])
    trail: list[str] = field(default_factory=list[str])

    async def step(self, kind: str, act: Callable[[World], Awaitable[Any]]) -> None:
        """Does the same in both worlds; their replies, or refusals, must be the same."""
        replies = [await self._reply(world, act) for world in (self.memory, self.postgres)]
        self.trail.append(f"{kind}: {replies[0]}")
        assert replies[0] == replies[1], "\n".join(self.trail[-30:])
        if replies[0] not in {"[]", "null", "0", "false"} and not replies[0].startswith('"refused'):
            self.succeeded[kind] = self.succeeded.get(kind, 0) + 1

    async def compare(self) -> None:
        """What can be read must be the same."""
        one, two = [await world.snapshot(self.workers) for world in (self.memory, self.postgres)]
        assert await self.postgres.doubled_turns() == [], "\n".join(self.trail[-30:])
        for part, text in one.items():
            assert text == two[part], "\n".join([part, *self.trail[-30:]])

    async def advance(self, seconds: float) -> None:
        for world in (self.memory, self.postgres):
            await world.stores.base.clock.advance(seconds)

    async def _reply(self, world: World, act: Callable[[World], Awaitable[Any]]) -> str:
        try:
            return world.told(await act(world))
        except (DomainError, Stale) as refusal:
            return world.told(f"refused: {_family(refusal)}")


def _family(refusal: RotaError) -> str:
    return f"{type(refusal).__name__} {refusal.code}"
