import asyncio
from datetime import timedelta

import pytest
from msgspec import json, structs

from rota.core.schedule_changes import Change, pause_schedule, resume_schedule
from rota.domain.ids import ScheduleId
from rota.domain.intervention import InterventionSummary, OldestIntervention
from rota.domain.page import PageRequest
from rota.domain.policies import InterventionPolicy, Policies, RunPolicy
from rota.domain.run import FailureClass, RunError
from rota.domain.schedule import Schedule
from rota.domain.tenancy import AuditEntry
from rota.ports.intervention_store import FOLLOWER, InterventionDuties, InterventionReader
from rota.ports.schedule_store import ScheduleFilter
from rota.storage.memory.interventions import MemoryInterventions
from rota.storage.postgres.interventions import PostgresInterventionDuties, PostgresInterventionReader
from tests.contract.records import ACME, GLOBEX, change, schedule
from tests.contract.run_stores import RunStores, draft, success

REVOKE = AuditEntry("root", "revoke", "tenant", "acme", "req-3")
COOLING = Policies(intervention=InterventionPolicy(cool_off_seconds=600.0))


@pytest.fixture
def duties(backend: str, runs: RunStores, request: pytest.FixtureRequest) -> InterventionDuties:
    del runs
    if backend == "memory":
        return MemoryInterventions(request.getfixturevalue("memory_database"))
    return PostgresInterventionDuties(request.getfixturevalue("service_pool"))


@pytest.fixture
def reader(duties: InterventionDuties, request: pytest.FixtureRequest) -> InterventionReader:
    if isinstance(duties, MemoryInterventions):
        return duties
    return PostgresInterventionReader(request.getfixturevalue("api_pool"))


async def stored(runs: RunStores, name: str = "nightly", policies: Policies = COOLING) -> ScheduleId:
    made = schedule(name, policies=policies)
    await runs.base.schedules.insert_many(ACME, [made], change())
    return made.id


async def end(
    runs: RunStores, schedule_id: ScheduleId | None, failure_class: FailureClass | None, minutes: float = 1
) -> None:
    """A run of it, made and ended so much later."""
    await runs.base.clock.advance(minutes * 60)
    _, claimed = await runs.claim_one(draft(schedule_id=schedule_id, policy=RunPolicy()))
    if failure_class is None:
        await runs.claims.settle_batch([success(claimed)])
        return
    error = json.encode(RunError("boom 7\nat line 3", failure_class=failure_class)).decode()
    failed = success(claimed, verb="fail", outcome="failed", reason="failed", error_json=error, result_json=None)
    await runs.claims.settle_batch([failed])


async def fail(runs: RunStores, schedule_id: ScheduleId, *classes: FailureClass) -> None:
    for failure_class in classes:
        await end(runs, schedule_id, failure_class)


async def now_is(runs: RunStores, schedule_id: ScheduleId) -> Schedule:
    return await runs.base.schedules.get(ACME, schedule_id)


async def test_three_failures_in_a_row_stop_a_schedule_and_are_told_and_audited(
    runs: RunStores, duties: InterventionDuties
) -> None:
    schedule_id = await stored(runs)
    await fail(runs, schedule_id, "auth", "network")
    assert (await runs.firing.look(None)).ended_for == (FOLLOWER,)
    assert (await duties.note_failures(10)).stopped == ()
    assert (await runs.firing.look(None)).ended_for == ()
    await fail(runs, schedule_id, "network")
    found = await duties.note_failures(10)
    assert (found.ends_count, found.stopped) == (1, ("network",))
    after = await now_is(runs, schedule_id)
    assert (after.enabled, after.needs_intervention, after.next_fire_at) == (False, True, None)
    assert after.version == 2
    last = after.intervention
    assert last is not None
    assert (last.cause, last.failure_class, last.pattern, last.failures_count) == ("streak", "network", "boom <n>", 3)
    assert last.opened_at == await runs.base.clock.now()
    assert "ScheduleNeedsIntervention" in await runs.event_types()
    assert AuditEntry("intervention rule", "stop", "schedule", schedule_id) in await runs.base.audit.audit_of(ACME)


async def test_a_success_between_them_breaks_the_streak_and_what_is_skipped_or_cancelled_does_not(
    runs: RunStores, duties: InterventionDuties
) -> None:
    mended, broken = await stored(runs, "mended"), await stored(runs, "broken")
    for schedule_id in (mended, broken):
        await fail(runs, schedule_id, "network", "network")
    await end(runs, mended, None)
    (cancelled,) = await runs.enqueue(draft(schedule_id=broken, delay_seconds=3600))
    await runs.control.cancel_if_live(ACME, cancelled, AuditEntry("ada", "cancel", "run", cancelled))
    for schedule_id in (mended, broken):
        await fail(runs, schedule_id, "network")
    assert (await duties.note_failures(100)).stopped == ("network",)
    assert not (await now_is(runs, mended)).needs_intervention
    assert (await now_is(runs, broken)).needs_intervention


async def test_attempts_at_milestones_stop_no_schedule(runs: RunStores, duties: InterventionDuties) -> None:
    schedule_id = await stored(runs)
    trigger_id = (await now_is(runs, schedule_id)).triggers[0].id
    for _ in range(3):
        _, claimed = await runs.claim_one(draft(schedule_id=schedule_id, trigger_id=trigger_id))
        await runs.claims.settle_batch([success(claimed, verb="fail", outcome="failed", reason="failed")])
    found = await duties.note_failures(10)
    assert (found.ends_count, found.stopped) == (3, ())
    assert not (await now_is(runs, schedule_id)).needs_intervention


async def test_five_within_the_window_stop_it_although_others_succeed(
    runs: RunStores, duties: InterventionDuties
) -> None:
    schedule_id = await stored(runs)
    for _ in range(5):
        assert (await duties.note_failures(10)).stopped == ()
        await fail(runs, schedule_id, "timeout")
        await end(runs, schedule_id, None)
    assert (await duties.note_failures(10)).stopped == ("timeout",)
    last = (await now_is(runs, schedule_id)).intervention
    assert last is not None
    assert (last.cause, last.failures_count) == ("window", 5)


async def test_runs_of_no_schedule_and_what_is_off_deleted_or_of_a_revoked_tenant_stop_nothing(
    runs: RunStores, duties: InterventionDuties
) -> None:
    await end(runs, None, "network")
    assert (await runs.firing.look(None)).ended_for == ()
    off = await stored(runs, "off", Policies(intervention=InterventionPolicy(is_off=True)))
    deleted = await stored(runs, "deleted")
    for schedule_id in (off, deleted):
        await fail(runs, schedule_id, *("network",) * 3)
    gone = structs.replace(await now_is(runs, deleted), deleted_at=await runs.base.clock.now(), deleted_by="ada")
    await runs.base.schedules.save_if_version(gone, 1, change())
    found = await duties.note_failures(10)
    assert (found.ends_count, found.stopped) == (6, ())
    closed = await stored(runs, "closed")
    await fail(runs, closed, *("network",) * 3)
    await runs.base.tenants.revoke(ACME, REVOKE)
    assert await duties.note_failures(10) == structs.replace(found, ends_count=3)


async def test_failures_are_worked_off_in_bounded_batches_and_once_by_however_many(
    runs: RunStores, duties: InterventionDuties
) -> None:
    schedule_id = await stored(runs)
    await fail(runs, schedule_id, *("network",) * 4)
    assert (await duties.note_failures(2)).ends_count == 2
    found = await asyncio.gather(*(duties.note_failures(2) for _ in range(4)))
    assert sum(one.ends_count for one in found) == 2
    assert sum(len(one.stopped) for one in found) == 1
    assert (await now_is(runs, schedule_id)).version == 2


async def test_a_cool_off_really_ends_by_the_stores_clock_and_the_next_failure_stops_it_again(
    runs: RunStores, duties: InterventionDuties
) -> None:
    schedule_id = await stored(runs)
    assert await duties.next_cool_off_in_seconds() is None
    await fail(runs, schedule_id, *("network",) * 3)
    await duties.note_failures(10)
    assert await duties.next_cool_off_in_seconds() == 600
    await runs.base.clock.advance(599)
    assert await duties.resume_cooled(10) == 0
    await runs.base.clock.advance(1)
    assert await duties.next_cool_off_in_seconds() == 0
    assert sorted(await asyncio.gather(*(duties.resume_cooled(10) for _ in range(3)))) == [0, 0, 1]
    assert await duties.next_cool_off_in_seconds() is None
    after = await now_is(runs, schedule_id)
    assert (after.enabled, after.needs_intervention, after.paused_reason) == (True, False, None)
    assert after.next_fire_at is not None
    assert after.next_fire_at > await runs.base.clock.now()
    assert AuditEntry("intervention rule", "resume", "schedule", schedule_id) in await runs.base.audit.audit_of(ACME)
    await fail(runs, schedule_id, "auth")
    assert (await duties.note_failures(10)).stopped == ("auth",)
    last = (await now_is(runs, schedule_id)).intervention
    assert last is not None
    assert (last.cause, last.failures_count) == ("probation", 4)


async def test_a_success_on_probation_ends_it(runs: RunStores, duties: InterventionDuties) -> None:
    schedule_id = await stored(runs)
    await fail(runs, schedule_id, *("network",) * 3)
    await duties.note_failures(10)
    await runs.base.clock.advance(600)
    await duties.resume_cooled(10)
    await end(runs, schedule_id, None)
    await fail(runs, schedule_id, "network", "network")
    assert (await duties.note_failures(10)).stopped == ()


async def test_one_that_is_paused_by_hand_meanwhile_does_not_resume_by_itself(
    runs: RunStores, duties: InterventionDuties
) -> None:
    schedule_id = await stored(runs)
    await fail(runs, schedule_id, *("network",) * 3)
    await duties.note_failures(10)
    now = await runs.base.clock.now()
    before = await now_is(runs, schedule_id)
    paused, _ = pause_schedule(before, "mine", change=Change("ada", now))
    await runs.base.schedules.save_if_version(paused, before.version, change())
    await runs.base.clock.advance(601)
    assert await duties.next_cool_off_in_seconds() is None
    assert await duties.resume_cooled(10) == 0
    assert (await now_is(runs, schedule_id)).paused_reason == "mine"


async def test_a_revoked_tenants_schedules_do_not_resume(runs: RunStores, duties: InterventionDuties) -> None:
    schedule_id = await stored(runs)
    await fail(runs, schedule_id, *("network",) * 3)
    await duties.note_failures(10)
    await runs.base.tenants.revoke(ACME, REVOKE)
    await runs.base.clock.advance(601)
    assert (await duties.next_cool_off_in_seconds(), await duties.resume_cooled(10)) == (None, 0)


async def test_the_summary_counts_by_type_and_class_and_names_what_waits_longest(
    runs: RunStores, duties: InterventionDuties, reader: InterventionReader
) -> None:
    assert await reader.summary(ACME) == InterventionSummary(0, {}, {}, 0, None)
    first = await stored(runs, "first")
    patient = Policies(intervention=InterventionPolicy(streak=6, window_count=6))
    second = await stored(runs, "second", patient)
    await fail(runs, first, *("network",) * 3)
    await duties.note_failures(10)
    await fail(runs, second, *("auth",) * 6)
    await duties.note_failures(10)
    opened = (await now_is(runs, first)).intervention
    assert opened is not None
    oldest = OldestIntervention(first, "first", opened.opened_at)
    expected = InterventionSummary(2, {"report": 2}, {"auth": 1, "network": 1}, 1, oldest)
    assert await reader.summary(ACME) == expected
    assert (await reader.summary(GLOBEX)).total_count == 0
    listed = await runs.base.schedules.page(ACME, ScheduleFilter(needs_intervention=True), PageRequest())
    assert ([one.name for one in listed.items], listed.total_count) == (["first", "second"], 2)
    before = await now_is(runs, first)
    resumed, _ = resume_schedule(before, None, change=Change("ada", await runs.base.clock.now()))
    await runs.base.schedules.save_if_version(resumed, before.version, change())
    assert (await reader.summary(ACME)).total_count == 1
    others = await runs.base.schedules.page(ACME, ScheduleFilter(needs_intervention=False), PageRequest())
    assert [one.name for one in others.items] == ["first"]
    assert timedelta(0) <= (await runs.base.clock.now()) - opened.opened_at
