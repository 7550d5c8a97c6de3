"""The leader's part over the memory store, on virtual time."""

import asyncio
from datetime import timedelta

import pytest
from msgspec import structs

from rota.domain.ids import Epoch, TenantId
from rota.domain.intervention import Intervention
from rota.domain.lease import Fence
from rota.domain.run import FailureClass
from rota.domain.tenancy import Tenant
from rota.ports.intervention_store import FailuresNoted
from rota.services.intervening import ENDS_AT_ONCE_MAX, CoolOffWatch, Intervening
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.interventions import MemoryInterventions
from tests.contract.records import ACME, schedule
from tests.contract.stores import START, NumberedIds
from tests.unit.services.virtual_time import FixedLeadership, VirtualClock

FENCE = Fence("leader", Epoch(1), "me")


class ManyFailures(MemoryInterventions):
    """Tells of so many ends."""

    left = 0

    async def note_failures(self, limit: int) -> FailuresNoted:
        taken = min(limit, self.left)
        self.left -= taken
        return FailuresNoted(taken, ("auth",) if taken else ())


def a_database(clock: VirtualClock) -> MemoryDatabase:
    began = clock.now
    database = MemoryDatabase(lambda: START + timedelta(seconds=clock.now - began), NumberedIds())
    database.tenants[ACME] = Tenant(TenantId("acme"), "acme", START, "root")
    return database


async def test_failures_are_worked_off_until_none_is_left_and_each_stop_is_counted() -> None:
    duties, counted = ManyFailures(a_database(VirtualClock())), list[FailureClass]()
    duties.left = ENDS_AT_ONCE_MAX + 1
    intervening = Intervening(duties, counted.append)
    assert [await intervening.work_off() for _ in range(3)] == [True, False, False]
    assert counted == ["auth", "auth"]


@pytest.mark.parametrize(("fence", "resumes"), [(FENCE, True), (None, False)])
async def test_a_cool_off_ends_within_moments_of_its_time_where_this_process_leads(
    fence: Fence | None, *, resumes: bool
) -> None:
    clock, told = VirtualClock(), list[float]()
    database = a_database(clock)
    last = Intervention(START, "streak", "auth", "no", 3, START + timedelta(seconds=3600))
    one = schedule("nightly", enabled=False, needs_intervention=True, intervention=last)
    other = structs.replace(schedule("other"), intervention=structs.replace(last, cool_off_until=None))
    database.schedules |= {one.id: one, other.id: other}
    began = clock.now
    watch = CoolOffWatch(
        MemoryInterventions(database), FixedLeadership(fence), clock, lambda: told.append(clock.now - began)
    )
    running = asyncio.create_task(watch.run())
    await clock.run_for(3590)
    assert told == []
    await clock.run_for(30)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert database.schedules[one.id].enabled is resumes
    assert len(told) == resumes
    assert all(3600 <= moment <= 3601 for moment in told)
