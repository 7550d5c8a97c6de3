import asyncio
from datetime import datetime, timedelta

import pytest
from msgspec import structs

from rota.core.run_identity import fire_key
from rota.domain.errors import Stale
from rota.domain.firing import DueBatch, DuePosition, DueTrigger, FireDraft, TriggerAdvance
from rota.domain.ids import Epoch, TenantId, TriggerId
from rota.domain.lease import Fence
from rota.domain.page import PageRequest
from rota.domain.policies import Overlap, Policies, RunPolicy
from rota.domain.schedule import Schedule
from rota.domain.targets import TaskTarget
from rota.ports.firing_store import FiringResult
from rota.ports.run_store import RunFilter
from rota.storage.postgres.driver import Pool
from tests.contract.records import ACME, GLOBEX, change, rich_schedule, schedule, trigger
from tests.contract.run_stores import RunStores, draft
from tests.contract.stores import START
from tests.support.waiting import wait_until

NEXT = START + timedelta(hours=1)
FENCE = Fence("firing", Epoch(1), "leader")


async def due_schedule(
    runs: RunStores,
    name: str = "nightly",
    due_at: datetime = START,
    *,
    tenant_id: TenantId = ACME,
    enabled: bool = True,
) -> Schedule:
    """A stored schedule whose one trigger is due."""
    made = schedule(name, tenant_id, triggers=(trigger(next_fire_at=due_at),), enabled=enabled)
    await runs.base.schedules.insert_many(made.tenant_id, [made], change())
    return made


async def lead(runs: RunStores) -> None:
    await runs.leases.acquire_if_free(FENCE.lease_name, "leader", 60)


def firing_draft(due: DueTrigger, fire_at: datetime = START, **fields: object) -> FireDraft:
    return structs.replace(FireDraft(fire_at, fire_key(due.trigger.id, fire_at), "fired on time"), **fields)


def advance(due: DueTrigger, **fields: object) -> TriggerAdvance:
    """One run now, and the next time in an hour; *fields* replace what they name."""
    made = TriggerAdvance(
        trigger_before=due.trigger,
        schedule_id=due.schedule_id,
        schedule_version=due.schedule_version,
        tenant_id=due.tenant_id,
        policies=due.policies,
        fired_through=START,
        next_fire_at=NEXT,
        fires_count=due.trigger.fires_count + 1,
        runs=(firing_draft(due),),
        skipped=(),
    )
    return structs.replace(made, **fields)


async def the_due(runs: RunStores) -> DueTrigger:
    (due,) = (await runs.firing.due_triggers(10)).triggers
    return due


async def test_due_triggers_come_the_longest_due_first_with_all_that_deciding_needs(runs: RunStores) -> None:
    late = await due_schedule(runs, "late", START - timedelta(minutes=5))
    rich = structs.replace(rich_schedule("rich"), enabled=True, triggers=(trigger(next_fire_at=START),))
    await runs.base.schedules.insert_many(ACME, [rich], change())
    await due_schedule(runs, "future", NEXT)
    await due_schedule(runs, "paused", enabled=False)
    await runs.enqueue(draft(schedule_id=late.id), draft(schedule_id=late.id))
    await runs.claim(await runs.worker(), 1)

    batch = await runs.firing.due_triggers(10)

    assert batch.now == START
    assert [due.schedule_id for due in batch.triggers] == [late.id, rich.id]
    first, second = batch.triggers
    assert (first.queued_count, first.running_count) == (1, 1)
    assert (second.policies, second.trigger) == (rich.policies, rich.triggers[0])
    assert (second.schedule_name, second.schedule_version, second.tenant_id) == ("rich", 1, ACME)
    assert [due.schedule_id for due in (await runs.firing.due_triggers(1)).triggers] == [late.id]


async def test_due_triggers_are_walked_batch_by_batch_each_behind_the_last(runs: RunStores) -> None:
    times = [START - timedelta(seconds=seconds) for seconds in (9, 9, 9, 5, 5, 0, 0)]
    made = [await due_schedule(runs, f"s{place}", at) for place, at in enumerate(times)]
    await due_schedule(runs, "future", NEXT)
    walked: list[DueTrigger] = []
    batch = await runs.firing.due_triggers(2)
    while batch.triggers:
        walked += batch.triggers
        batch = DueBatch(START, ()) if batch.end is None else await runs.firing.due_triggers(2, batch.end)
    whole = await runs.firing.due_triggers(7)

    assert [due.trigger.id for due in walked] == [due.trigger.id for due in whole.triggers]
    assert sorted(due.schedule_id for due in walked) == sorted(item.id for item in made)
    assert whole.end == DuePosition(START, whole.triggers[-1].trigger.id)
    assert (await runs.firing.due_triggers(8)).end is None


async def test_nothing_due_is_an_empty_batch_with_the_stores_time(runs: RunStores) -> None:
    batch = await runs.firing.due_triggers(10)

    assert (batch.now, batch.triggers) == (START, ())


async def test_a_firing_creates_the_run_and_advances_its_trigger(runs: RunStores) -> None:
    made = await due_schedule(runs)
    await lead(runs)
    result = await runs.firing.apply(FENCE, [advance(await the_due(runs))])
    (run,) = (await runs.reader.page(ACME, RunFilter(schedule_id=made.id), PageRequest())).items
    stored = (await runs.base.schedules.get(ACME, made.id)).triggers[0]

    assert result == FiringResult(1, 0, 1, 0, ("default",))
    assert (run.state, run.reason, run.fire_at, run.due_at) == ("queued", "fired on time", START, START)
    assert (run.schedule_id, run.schedule_version, run.trigger_id) == (made.id, 1, stored.id)
    assert (run.target, run.policy, run.created_by) == (made.target, made.policies.run_policy(), "schedule")
    assert (stored.next_fire_at, stored.fired_through, stored.fires_count) == (NEXT, START, 1)
    assert len(await runs.claim(await runs.worker())) == 1


async def test_every_run_has_its_own_schedules_target_and_policies(runs: RunStores) -> None:
    made = {
        name: structs.replace(
            schedule(name, tenant_id, triggers=(trigger(next_fire_at=START),)),
            target=TaskTarget(name, {"of": name}),
            policies=Policies(queue=name, priority=priority, timeout_seconds=10.0 + priority, overlap=overlap),
        )
        for name, tenant_id, priority, overlap in list[tuple[str, TenantId, int, Overlap]](
            [("a", ACME, 1, "allow"), ("b", GLOBEX, 2, "skip"), ("c", ACME, 3, "skip")]
        )
    }
    for item in made.values():
        await runs.base.schedules.insert_many(item.tenant_id, [item], change())
    await lead(runs)
    plan = [advance(due) for due in (await runs.firing.due_triggers(10)).triggers]
    # Of one trigger two times fire, and one is skipped.
    earlier = [START - timedelta(seconds=seconds) for seconds in (2, 1)]
    plan[1] = structs.replace(
        plan[1],
        runs=(structs.replace(plan[1].runs[0], fire_at=earlier[0], key=fire_key(TriggerId("x"), START)), *plan[1].runs),
        skipped=(FireDraft(earlier[1], fire_key(TriggerId("y"), START), "skipped: of no use", 3.0),),
    )
    result = await runs.firing.apply(FENCE, plan)
    found = [
        run
        for tenant_id in (ACME, GLOBEX)
        for run in (await runs.reader.page(tenant_id, RunFilter(), PageRequest())).items
    ]

    assert (result.runs_created, result.runs_skipped, result.queues) == (4, 1, ("a", "b", "c"))
    assert len(found) == 5
    for run in found:
        item = next(item for item in made.values() if item.id == run.schedule_id)
        assert (run.tenant_id, run.target, run.policy) == (item.tenant_id, item.target, item.policies.run_policy())
        assert (run.queue, run.priority) == (item.policies.queue, item.policies.priority)
        assert run.trigger_id == item.triggers[0].id
    assert sorted((run.fire_at, run.state) for run in found if run.schedule_id == plan[1].schedule_id) == [
        (earlier[0], "queued"),
        (earlier[1], "skipped"),
        (START, "queued"),
    ]


async def test_jitter_delays_the_run_behind_its_nominal_time(runs: RunStores) -> None:
    await due_schedule(runs)
    await lead(runs)
    due = await the_due(runs)
    await runs.firing.apply(FENCE, [advance(due, runs=(firing_draft(due, delay_seconds=7.5),))])
    (run,) = (await runs.reader.page(ACME, RunFilter(), PageRequest())).items

    assert (run.state, run.fire_at, run.due_at) == ("scheduled", START, START + timedelta(seconds=7.5))


async def test_the_same_plan_applied_twice_fires_once(runs: RunStores) -> None:
    await due_schedule(runs)
    await lead(runs)
    plan = [advance(await the_due(runs))]
    first, second = await asyncio.gather(runs.firing.apply(FENCE, plan), runs.firing.apply(FENCE, plan))

    assert sorted((r.runs_created, r.advanced, r.refused) for r in (first, second)) == [(0, 0, 1), (1, 1, 0)]
    assert (await runs.reader.page(ACME, RunFilter(), PageRequest())).total_count == 1


async def test_a_nominal_time_that_has_a_run_is_not_fired_again_and_its_trigger_moves_on(runs: RunStores) -> None:
    made = await due_schedule(runs)
    await lead(runs)
    due = await the_due(runs)
    await runs.enqueue(draft(key=firing_draft(due).key))
    result = await runs.firing.apply(FENCE, [advance(due)])

    assert result == FiringResult(0, 0, 1, 0, ())
    assert (await runs.base.schedules.get(ACME, made.id)).next_fire_at == NEXT


@pytest.mark.parametrize("changed", ["version", "paused", "deleted"])
async def test_a_schedule_that_has_changed_is_refused_and_its_neighbour_fires(runs: RunStores, changed: str) -> None:
    made = await due_schedule(runs)
    await due_schedule(runs, "neighbour", tenant_id=GLOBEX)
    await lead(runs)
    plan = [advance(due) for due in (await runs.firing.due_triggers(10)).triggers]
    fields = {"version": {}, "paused": {"enabled": False}, "deleted": {"deleted_at": START}}[changed]
    await runs.base.schedules.save_if_version(structs.replace(made, **fields), 1, change())

    result = await runs.firing.apply(FENCE, plan)

    assert (result.runs_created, result.advanced, result.refused) == (1, 1, 1)
    assert (await runs.reader.page(ACME, RunFilter(), PageRequest())).total_count == 0
    assert (await runs.reader.page(GLOBEX, RunFilter(), PageRequest())).total_count == 1


async def test_skipped_times_are_runs_with_their_reason_and_one_event(runs: RunStores) -> None:
    await due_schedule(runs)
    await lead(runs)
    due = await the_due(runs)
    times = [START - timedelta(hours=n) for n in (1, 2)]
    skipped = tuple(firing_draft(due, at, reason="skipped: 2 runs are live") for at in times)
    result = await runs.firing.apply(FENCE, [advance(due, runs=(), skipped=skipped, dropped_count=3)])
    found = (await runs.reader.page(ACME, RunFilter(state="skipped"), PageRequest())).items

    assert (result.runs_created, result.runs_skipped, result.queues) == (0, 2, ())
    assert {(run.fire_at, run.reason, run.finished_at) for run in found} == {
        (at, "skipped: 2 runs are live", START) for at in times
    }
    assert await runs.claim(await runs.worker()) == []
    assert [kind for kind in await runs.event_types() if kind.startswith("Fire")] == ["FireSkipped"]


async def test_late_firings_are_told_once_per_trigger(runs: RunStores) -> None:
    await due_schedule(runs)
    await lead(runs)
    await runs.firing.apply(FENCE, [advance(await the_due(runs), late_count=4)])

    assert [kind for kind in await runs.event_types() if kind.startswith("Fire")] == ["FireLate"]


async def test_cancel_live_ends_waiting_runs_and_marks_running_ones_before_the_new_one(runs: RunStores) -> None:
    made = await due_schedule(runs)
    waiting, running, other = await runs.enqueue(
        draft(schedule_id=made.id, followers=("ones",)), draft(schedule_id=made.id, priority=5), draft()
    )
    worker_id = await runs.worker()
    await runs.claim(worker_id, 1)
    await lead(runs)
    await runs.firing.apply(FENCE, [advance(await the_due(runs), cancel_live=True)])
    states = {run.id: run.state for run in (await runs.reader.page(ACME, RunFilter(), PageRequest())).items}
    renewal = await runs.workers.renew_if_live(worker_id, ["default"], 60)

    assert (states[waiting], states[running], states[other]) == ("cancelled", "running", "queued")
    assert sorted(states.values()) == ["cancelled", "queued", "queued", "running"]
    assert renewal is not None
    assert renewal.cancel_run_ids == (running,)
    assert [(end.run_id, end.state) for end in await runs.ends.list_of("ones", 10)] == [(waiting, "cancelled")]


@pytest.mark.parametrize("end", ["expired", "taken over", "released", "never held", "another's"])
async def test_without_a_current_fence_nothing_is_written(runs: RunStores, end: str) -> None:
    made = await due_schedule(runs)
    plan = [advance(await the_due(runs))]
    if end == "another's":  # of the same epoch: the store was restored, and has given it out a second time
        await runs.leases.acquire_if_free(FENCE.lease_name, "next", 60)
    elif end != "never held":
        await lead(runs)
    if end in {"expired", "taken over"}:
        await runs.base.clock.advance(60)
    if end == "taken over":
        await runs.leases.acquire_if_free(FENCE.lease_name, "next", 60)
    if end == "released":
        await runs.leases.release_if_held(FENCE.lease_name, Epoch(1), "leader")

    with pytest.raises(Stale):
        await runs.firing.apply(FENCE, plan)
    assert (await runs.reader.page(ACME, RunFilter(), PageRequest())).total_count == 0
    assert (await runs.base.schedules.get(ACME, made.id)).next_fire_at == START


async def test_an_empty_plan_asks_nothing(runs: RunStores) -> None:
    assert await runs.firing.apply(FENCE, []) == FiringResult(0, 0, 0, 0, ())


async def test_a_look_tells_the_next_fire_ended_leases_and_overdue_attempts(runs: RunStores) -> None:
    nothing = await runs.firing.look(5)
    await due_schedule(runs, due_at=NEXT)
    await runs.enqueue(draft(policy=RunPolicy(timeout_seconds=20)), draft())
    short, long = await runs.worker(lease_seconds=10), await runs.worker(lease_seconds=1000)
    await runs.claim(long, 1)
    await runs.claim(short, 1)
    quiet = await runs.firing.look(5)
    await runs.base.clock.advance(10)
    ended = await runs.firing.look(5)
    await runs.workers.mark_lost(10)
    declared = await runs.firing.look(5)
    await runs.base.clock.advance(15)
    overdue = await runs.firing.look(5)

    assert (nothing.next_fire_in_seconds, nothing.lost_workers, nothing.overdue_attempts) == (None, False, False)
    assert (quiet.next_fire_in_seconds, quiet.lost_workers, quiet.overdue_attempts) == (3600.0, False, False)
    assert (ended.next_fire_in_seconds, ended.lost_workers, ended.overdue_attempts) == (3590.0, True, False)
    assert (declared.lost_workers, declared.overdue_attempts) == (True, False)
    assert (overdue.lost_workers, overdue.overdue_attempts) == (True, True)


@pytest.mark.parametrize("backend", ["pg18", "pg15"], indirect=True)
async def test_a_schedule_that_is_being_changed_is_passed_over_without_waiting(
    runs: RunStores, owner_pool: Pool
) -> None:
    made = await due_schedule(runs)
    await due_schedule(runs, "neighbour")
    await lead(runs)
    plan = [advance(due) for due in (await runs.firing.due_triggers(10)).triggers]
    async with owner_pool.acquire() as editor, editor.transaction():
        await editor.execute("SELECT set_config('rota.tenant', $1, true)", ACME)
        await editor.execute("SELECT FROM scheduler.schedules WHERE id = $1 FOR UPDATE", made.id)
        result = await asyncio.wait_for(runs.firing.apply(FENCE, plan), 10)
    later = await runs.firing.apply(FENCE, [step for step in plan if step.schedule_id == made.id])

    assert (result.advanced, result.refused) == (1, 1)
    assert (later.advanced, later.runs_created) == (1, 1)


@pytest.mark.parametrize("backend", ["pg18", "pg15"], indirect=True)
async def test_a_batch_that_waited_behind_a_take_over_writes_nothing(runs: RunStores, service_pool: Pool) -> None:
    made = await due_schedule(runs)
    await lead(runs)
    plan = [advance(await the_due(runs))]
    async with service_pool.acquire() as successor, successor.transaction():
        await successor.execute("UPDATE scheduler.leases SET epoch = 2, holder = 'next'")
        late = asyncio.ensure_future(runs.firing.apply(FENCE, plan))
        await wait_until(lambda: waits_for_a_lock(service_pool), what="the batch behind the take-over")

    with pytest.raises(Stale):
        await late
    assert (await runs.base.schedules.get(ACME, made.id)).next_fire_at == START


async def waits_for_a_lock(pool: Pool) -> bool:
    return bool(
        await pool.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
    )
