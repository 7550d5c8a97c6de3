"""Backfills and their steps, over every backend."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from rota.core.backfilling import free_key, keys_of, next_times, plan_step
from rota.core.run_identity import backfill_key, fire_key
from rota.domain.backfill import Backfill, BackfillStep, BackfillTime, DueBackfill
from rota.domain.errors import DomainError, Stale
from rota.domain.firing import FireDraft, TriggerAdvance
from rota.domain.ids import BackfillId, Epoch
from rota.domain.lease import Fence
from rota.domain.page import PageRequest
from rota.domain.policies import Policies
from rota.domain.run import Run
from rota.domain.schedule import Schedule
from rota.domain.tenancy import AuditEntry
from rota.domain.triggers import IntervalTrigger
from rota.ports.backfill_store import BackfillSteps, BackfillStore
from rota.ports.run_store import RunFilter
from rota.ports.tenant_store import EventFilter
from rota.storage.memory.backfills import MemoryBackfillStore
from rota.storage.postgres.backfills import PostgresBackfillSteps, PostgresBackfillStore
from tests.contract.records import ACME, GLOBEX, change, new_id, schedule, trigger
from tests.contract.run_stores import RunStores, draft
from tests.contract.stores import START, Stores

AUDIT = AuditEntry("ada", "backfill", "schedule", "s", "req-1")
HOUR = timedelta(hours=1)
SINCE = START - 3 * HOUR


@pytest.fixture
def backfills(backend: str, runs: RunStores, request: pytest.FixtureRequest) -> BackfillStore:
    del runs
    if backend == "memory":
        return MemoryBackfillStore(request.getfixturevalue("memory_database"), running_max=3, kept_max=4)
    return PostgresBackfillStore(request.getfixturevalue("api_pool"), running_max=3, kept_max=4)


@pytest.fixture
def steps(backfills: BackfillStore, request: pytest.FixtureRequest) -> BackfillSteps:
    if isinstance(backfills, MemoryBackfillStore):
        return backfills
    return PostgresBackfillSteps(request.getfixturevalue("service_pool"))


async def hourly(stores: Stores, name: str = "hourly") -> Schedule:
    """Each hour since long ago."""
    spec = IntervalTrigger(every_seconds=3600.0, start_at=START - 100 * HOUR)
    made = schedule(name, triggers=(trigger(spec, START + HOUR),), policies=Policies(queue="slow", priority=2))
    await stores.schedules.insert_many(ACME, (made,), change())
    return made


def backfill_of(of: Schedule, **fields: object) -> Backfill:
    made = Backfill(
        id=BackfillId(new_id()),
        tenant_id=of.tenant_id,
        schedule_id=of.id,
        state="running",
        since=SINCE,
        to=START,
        overlap="queue_all",
        priority=None,
        runs_per_minute_max=60_000.0,
        triggers=of.triggers,
        total_count=4,
        created_at=START,
        created_by="ada",
        paced_at=START - timedelta(seconds=1),
        resume_at=START,
    )
    return structs.replace(made, **fields)


async def fence_of(runs: RunStores) -> Fence:
    taken = await runs.leases.acquire_if_free("leader", "me", 60.0)
    return Fence("leader", taken.epoch, "me")


async def planned(steps: BackfillSteps) -> tuple[DueBackfill, BackfillStep]:
    (due,) = await steps.list_due(10)
    times = next_times(due.backfill)
    keys = keys_of(due.backfill.triggers, times)
    return due, plan_step(due, times, await steps.known_keys(due.backfill.tenant_id, keys))


async def runs_of(runs: RunStores, of: Schedule) -> list[Run]:
    page = await runs.reader.page(ACME, RunFilter(schedule_id=of.id), PageRequest())
    return sorted(page.items, key=lambda run: run.id)


async def told(stores: Stores) -> list[str]:
    events = await stores.events.after(EventFilter(ACME), None, 100)
    return [one.type for one in events if one.type.startswith("Backfill")]


async def test_what_is_started_is_read_and_listed_newest_first(backfills: BackfillStore, stores: Stores) -> None:
    of = await hourly(stores)
    made = [await backfills.create(backfill_of(of), AUDIT) for _ in range(3)]
    assert await backfills.get(ACME, made[0].id) == made[0]
    assert await backfills.create(made[0], AUDIT) == made[0]
    first = await backfills.page(ACME, PageRequest(limit=2))
    rest = await backfills.page(ACME, PageRequest(limit=2, cursor=first.next_cursor))
    assert [one.id for one in (*first.items, *rest.items)] == [one.id for one in reversed(made)]
    assert (first.total_count, rest.total_count, rest.next_cursor) == (3, 3, None)
    with pytest.raises(DomainError) as refused:
        await backfills.create(backfill_of(of), AUDIT)
    assert refused.value.code == "QUOTA_EXCEEDED"
    assert (await told(stores)).count("BackfillStarted") == 3
    assert (await stores.audit.audit_of(ACME)).count(AUDIT) == 3


async def test_another_tenants_backfill_is_unknown(backfills: BackfillStore, stores: Stores) -> None:
    made = await backfills.create(backfill_of(await hourly(stores)), AUDIT)
    for attempt in (backfills.get(GLOBEX, made.id), backfills.cancel_if_running(GLOBEX, made.id, AUDIT)):
        with pytest.raises(DomainError) as refused:
            await attempt
        assert refused.value.code == "NOT_FOUND"
    assert (await backfills.page(GLOBEX, PageRequest())).items == ()


async def test_old_ones_that_have_ended_are_forgotten(backfills: BackfillStore, stores: Stores) -> None:
    of = await hourly(stores)
    running = await backfills.create(backfill_of(of), AUDIT)
    ended = [await backfills.create(backfill_of(of), AUDIT)]
    for _ in range(5):
        await backfills.cancel_if_running(ACME, ended[-1].id, AUDIT)
        ended.append(await backfills.create(backfill_of(of), AUDIT))
    kept = (await backfills.page(ACME, PageRequest())).items
    assert [one.id for one in kept] == [one.id for one in reversed([running, *ended[-4:]])]


async def test_a_step_makes_runs_of_what_has_not_run_and_the_last_one_ends_it(
    backfills: BackfillStore, steps: BackfillSteps, runs: RunStores, stores: Stores
) -> None:
    of = await hourly(stores)
    made = await backfills.create(backfill_of(of), AUDIT)
    fence = await fence_of(runs)
    assert await steps.next_in_seconds() == 0.0
    _, step = await planned(steps)
    assert await steps.apply_step(fence, step)

    after = await backfills.get(ACME, made.id)
    assert (after.state, after.created_count, after.skipped_count, after.ended_at) == ("finished", 4, 0, START)
    found = await runs_of(runs, of)
    assert [run.fire_at for run in found] == [SINCE + n * HOUR for n in range(4)]
    assert {(run.queue, run.priority, run.state, run.created_by, run.due_at) for run in found} == {
        ("slow", 2, "queued", "ada", START)
    }
    assert {(run.trigger_id, run.schedule_version, run.policy.serial) for run in found} == {
        (of.triggers[0].id, 1, True)
    }
    assert all("backfilled by ada" in run.reason for run in found)
    assert await steps.next_in_seconds() is None
    assert await told(stores) == ["BackfillStarted", "BackfillFinished"]
    claimed = await runs.claim(await runs.worker(queues=("slow",)), 10, ("slow",))
    assert [one.fire_at for one in claimed] == [SINCE]


async def test_a_time_that_ran_is_skipped_and_one_that_was_recorded_as_skipped_runs_once(
    backfills: BackfillStore, steps: BackfillSteps, runs: RunStores, stores: Stores
) -> None:
    of = await hourly(stores)
    await stores.clock.set(START + HOUR)
    state, fence = of.triggers[0], await fence_of(runs)
    ran, skipped = SINCE + HOUR, SINCE + 2 * HOUR
    advance = TriggerAdvance(
        trigger_before=state,
        schedule_id=of.id,
        schedule_version=1,
        tenant_id=ACME,
        policies=of.policies,
        fired_through=START + HOUR,
        next_fire_at=START + 2 * HOUR,
        fires_count=1,
        runs=(FireDraft(ran, fire_key(state.id, ran), "fired"),),
        skipped=(FireDraft(skipped, fire_key(state.id, skipped), "skipped"),),
    )
    assert (await runs.firing.apply(fence, (advance,))).advanced == 1
    assert await backfills.known_keys(ACME, keys_of(of.triggers, [BackfillTime(ran, 0), BackfillTime(skipped, 0)])) == {
        fire_key(state.id, ran): False,
        fire_key(state.id, skipped): True,
    }
    assert await backfills.known_keys(GLOBEX, [fire_key(state.id, ran)]) == {}
    for expected in ((3, 1), (0, 4)):
        now = await stores.clock.now()
        made = await backfills.create(backfill_of(of, paced_at=now - HOUR, resume_at=now), AUDIT)
        _, step = await planned(steps)
        assert await steps.apply_step(fence, step)
        after = await backfills.get(ACME, made.id)
        assert (after.state, after.created_count, after.skipped_count) == ("finished", *expected)
    lived = [run.fire_at for run in await runs_of(runs, of) if run.state != "skipped"]
    assert sorted(at for at in lived if at is not None) == [SINCE + n * HOUR for n in range(4)]


async def test_a_time_that_fires_between_plan_and_step_makes_no_second_run(
    backfills: BackfillStore, steps: BackfillSteps, runs: RunStores, stores: Stores
) -> None:
    of = await hourly(stores)
    state, fence = of.triggers[0], await fence_of(runs)
    made = await backfills.create(backfill_of(of), AUDIT)
    _, step = await planned(steps)
    await runs.enqueue(draft(key=fire_key(state.id, SINCE)))
    assert await steps.apply_step(fence, step)
    after = await backfills.get(ACME, made.id)
    assert (after.created_count, after.skipped_count) == (3, 1)


async def test_a_step_is_taken_once_under_its_fence_and_not_after_a_cancel_or_change(
    backfills: BackfillStore, steps: BackfillSteps, runs: RunStores, stores: Stores
) -> None:
    of = await hourly(stores)
    fence = await fence_of(runs)
    await backfills.create(backfill_of(of, runs_per_minute_max=60.0), AUDIT)
    _, step = await planned(steps)
    with pytest.raises(Stale):
        await steps.apply_step(Fence("leader", Epoch(fence.epoch + 1), "me"), step)
    assert await steps.apply_step(fence, step)
    assert not await steps.apply_step(fence, step)
    assert len(await runs_of(runs, of)) == 1

    await stores.clock.advance(1)
    _, outdated = await planned(steps)
    paused = structs.replace(of, enabled=False, paused_reason="x", updated_by="ada")
    await stores.schedules.save_if_version(paused, 1, change(verb="pause"))
    assert not await steps.apply_step(fence, outdated)
    _, again = await planned(steps)
    assert await steps.apply_step(fence, again)
    assert len(await runs_of(runs, of)) == 2

    await stores.clock.advance(1)
    due, late = await planned(steps)
    cancelled = await backfills.cancel_if_running(ACME, due.backfill.id, AUDIT)
    assert (cancelled.state, cancelled.reason, cancelled.resume_at) == ("cancelled", "cancelled by ada", None)
    assert not await steps.apply_step(fence, late)
    assert len(await runs_of(runs, of)) == 2
    assert await steps.list_due(10) == ()
    with pytest.raises(DomainError) as refused:
        await backfills.cancel_if_running(ACME, due.backfill.id, AUDIT)
    assert refused.value.code == "STATE_CONFLICT"


async def test_a_backfill_ends_with_its_schedule(
    backfills: BackfillStore, steps: BackfillSteps, runs: RunStores, stores: Stores
) -> None:
    of = await hourly(stores)
    made = await backfills.create(backfill_of(of), AUDIT)
    gone = structs.replace(of, deleted_at=START, deleted_by="ada")
    await stores.schedules.save_if_version(gone, 1, change(verb="delete"))
    due, step = await planned(steps)
    assert due.schedule_version is None
    assert await steps.apply_step(await fence_of(runs), step)
    after = await backfills.get(ACME, made.id)
    assert (after.state, after.created_count, after.reason) == (
        "cancelled",
        0,
        "its schedule was deleted, or its tenant revoked",
    )
    assert await told(stores) == ["BackfillStarted", "BackfillCancelled"]


def test_a_taken_own_key_says_that_it_ran() -> None:
    state, at = trigger(), datetime(2026, 3, 1, tzinfo=UTC)
    assert free_key(state, at, {fire_key(state.id, at): True, backfill_key(state.id, at): False}) is None
