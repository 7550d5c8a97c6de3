"""The leader's duties over a real PostgreSQL, on both engines."""

from datetime import timedelta

import pytest

from rota.adapters.system_rng import SystemRng
from rota.core.firing import plan_firing
from rota.domain.errors import Stale
from rota.domain.ids import Epoch, WorkerId
from rota.domain.lease import Fence
from rota.domain.policies import Policies
from rota.domain.triggers import AtTrigger, IntervalTrigger
from rota.domain.worker import WorkerSpec
from rota.services.firing import Firing
from rota.services.rescuing import Rescuing
from rota.storage.memory.wakeups import MemoryWakeups
from tests.integration.services.conftest import CLOCK, Office
from tests.support.settable_clock import SettableClock
from tests.support.waiting import wait_until
from tests.unit.services.virtual_time import FixedLeadership, LoudWakeups

pytestmark = pytest.mark.both_engines
WORKER = WorkerId("40000000-0000-7000-8000-000000000001")


async def leading(office: Office) -> FixedLeadership:
    lease = await office.leases.acquire_if_free("leader", "me", 3600.0)
    return FixedLeadership(lease.fence)


async def test_an_outage_is_caught_up_by_the_misfire_policy(office: Office, test_clock: SettableClock) -> None:
    await test_clock.set(await test_clock.now())
    minutely = IntervalTrigger(every_seconds=60)
    policies = Policies(overlap="allow", misfire="fire_all", misfire_grace_seconds=30, catch_up_max=3)
    schedule = await office.schedule(minutely, policies=policies)
    leadership, wakeups = await leading(office), LoudWakeups()
    firing = Firing(office.firing, leadership, wakeups)
    assert (await firing.fire_due()).batches == 0

    await test_clock.advance(610)
    summary = await firing.fire_due()
    assert (summary.runs_created, summary.triggers_advanced) == (4, 1)
    assert wakeups.announced == ["queue:default"]
    runs = await office.runs(schedule)
    assert [run.reason for run in runs] == [
        "fired 190 s late (misfire fire_all; 9 missed, 6 dropped)",
        "fired 130 s late (misfire fire_all; 9 missed, 6 dropped)",
        "fired 70 s late (misfire fire_all; 9 missed, 6 dropped)",
        "fired 10 s late, within the misfire grace",
    ]
    assert (await firing.fire_due()).batches == 0


async def test_a_plan_made_twice_is_applied_once(office: Office, test_clock: SettableClock) -> None:
    schedule = await office.schedule(IntervalTrigger(every_seconds=60))
    leadership = await leading(office)
    fence = leadership.fence()
    assert fence is not None
    await test_clock.advance(61)
    plan = plan_firing(await office.firing.due_triggers(10))
    again = plan_firing(await office.firing.due_triggers(10))

    assert (await office.firing.apply(fence, plan)).runs_created == 1
    assert (await office.firing.apply(fence, again)).refused == 1
    assert len(await office.runs(schedule)) == 1


async def test_a_leader_of_an_older_epoch_fires_nothing(office: Office, test_clock: SettableClock) -> None:
    schedule = await office.schedule(IntervalTrigger(every_seconds=60))
    await leading(office)
    await test_clock.advance(61)
    deposed = FixedLeadership(Fence("leader", Epoch(0), "me"))
    summary = await Firing(office.firing, deposed, LoudWakeups()).fire_due()

    assert (summary.runs_created, deposed.refused) == (0, [Epoch(0)])
    assert await office.runs(schedule) == []
    plan = plan_firing(await office.firing.due_triggers(10))
    with pytest.raises(Stale):
        await office.firing.apply(Fence("leader", Epoch(0), "me"), plan)


async def test_skipped_firings_are_kept_with_their_reason(office: Office, test_clock: SettableClock) -> None:
    await test_clock.set(await test_clock.now())
    schedule = await office.schedule(IntervalTrigger(every_seconds=60), policies=Policies(overlap="skip"))
    leadership = await leading(office)
    await test_clock.advance(121)
    await Firing(office.firing, leadership, LoudWakeups()).fire_due()

    runs = await office.runs(schedule)
    assert [(run.state, run.reason) for run in runs] == [
        ("queued", "fired 61 s late, within the misfire grace"),
        ("skipped", "skipped: 1 live (1 queued, 0 running) (overlap skip)"),
    ]


async def test_a_run_whose_worker_is_gone_is_queued_again_at_once(office: Office, test_clock: SettableClock) -> None:
    now = await test_clock.now()
    schedule = await office.schedule(AtTrigger(at=now + timedelta(seconds=5)))
    leadership = await leading(office)
    await test_clock.advance(6)
    await Firing(office.firing, leadership, LoudWakeups()).fire_due()
    await office.workers.register(WorkerSpec(WORKER, "w", ("default",), 1, (), "host", 1, "1"), 3.5)
    (claimed,) = await office.claims.claim_batch(WORKER, ["default"], 1)
    rescuing = Rescuing(office.workers, office.claims, LoudWakeups(), SystemRng(1))
    assert await rescuing.rescue() == 0

    await test_clock.advance(4)
    assert await rescuing.rescue() == 1
    assert await rescuing.rescue() == 0
    run = await office.reader.get(claimed.tenant_id, claimed.run_id)
    assert (run.state, run.schedule_id) == ("queued", schedule.id)
    attempts = await office.reader.attempts(claimed.tenant_id, claimed.run_id)
    assert [(attempt.outcome, attempt.error and attempt.error.type) for attempt in attempts] == [
        ("lost", "AttemptLost")
    ]


async def test_a_task_that_kills_its_workers_ends_failed(office: Office, test_clock: SettableClock) -> None:
    now = await test_clock.now()
    schedule = await office.schedule(AtTrigger(at=now + timedelta(seconds=5)))
    leadership = await leading(office)
    await test_clock.advance(6)
    await Firing(office.firing, leadership, LoudWakeups()).fire_due()
    rescuing = Rescuing(office.workers, office.claims, MemoryWakeups(), SystemRng(1))
    for life in range(5):
        worker = WorkerId(f"40000000-0000-7000-8000-00000000000{life}")
        await office.workers.register(WorkerSpec(worker, "w", ("default",), 1, (), "host", 1, "1"), 3.5)
        assert len(await office.claims.claim_batch(worker, ["default"], 1)) == 1
        await test_clock.advance(4)
        assert await rescuing.rescue() == 1

    (run,) = await office.runs(schedule)
    assert (run.state, run.dead_lettered, run.attempts_count) == ("failed", True, 5)
    assert run.reason == "lost with its worker 5 times; at most 5"


async def test_a_killed_workers_run_is_rescued_within_five_seconds(office: Office) -> None:
    """The whole way, on real time: the last renewal, the end of the lease, the leader's look."""
    leader = office.leader("leader")
    await leader.says("leads")
    now = await office.service_pool.fetchval("SELECT scheduler.current_time()")
    made = await office.schedule(AtTrigger(at=now + timedelta(seconds=0.3)))
    await office.wait_runs(made, 1)
    await office.workers.register(WorkerSpec(WORKER, "w", ("default",), 1, (), "host", 1, "1"), 3.5)
    died_at = CLOCK.monotonic_seconds()
    (claimed,) = await office.claims.claim_batch(WORKER, ["default"], 1)

    async def queued_again() -> bool:
        return (await office.reader.get(claimed.tenant_id, claimed.run_id)).state == "queued"

    await wait_until(queued_again, 10.0)
    assert CLOCK.monotonic_seconds() - died_at <= 5.0
