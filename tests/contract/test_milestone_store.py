"""Evidence and milestones over every store: what is due, the one attempt of many who ask, and how an attempt ends."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from msgspec import structs

from rota.core.milestones import attempt, clear_marker, reset, retry_now
from rota.core.schedule_changes import Change, delete_schedule, pause_schedule, restore_schedule, resume_schedule
from rota.domain.errors import DomainError
from rota.domain.ids import TenantId
from rota.domain.milestone import DueMilestone, Evidence, Milestone, MilestoneStep
from rota.domain.page import PageRequest
from rota.domain.policies import Policies, RetryPolicy
from rota.domain.run import ClaimedRun, RunError
from rota.domain.schedule import Schedule
from rota.domain.targets import TaskTarget
from rota.domain.tenancy import AuditEntry
from rota.domain.triggers import MilestoneTrigger, Trigger
from rota.ports.milestone_store import EvidenceStore, MilestoneDuties, MilestoneFigures, MilestoneFilter, MilestoneStore
from rota.storage.memory.milestones import MemoryEvidenceStore, MemoryMilestoneDuties, MemoryMilestoneStore
from rota.storage.postgres.evidence import PostgresEvidenceStore
from rota.storage.postgres.milestones import PostgresMilestoneDuties, PostgresMilestoneStore
from tests.contract.records import ACME, GLOBEX, audit, change, schedule, trigger
from tests.contract.run_stores import RunStores, success
from tests.contract.stores import START, Stores

GENERATE = AuditEntry("leader", "generate", "milestone", "m")
RECORD = AuditEntry("ada", "record", "evidence", "e", "req-1")
HALF_DAY, DAY = MilestoneTrigger(name="AUTO_12H"), MilestoneTrigger(name="AUTO_24H")
SITE = "ari:cloud/site 42"
HOUR = 3_600


@dataclass(frozen=True)
class MilestoneWorld:
    """The stores of one backend, and short cuts."""

    base: Stores
    runs: RunStores
    evidence: EvidenceStore
    milestones: MilestoneStore
    duties: MilestoneDuties

    async def define(self, *specs: Trigger, name: str = "reports", policies: Policies | None = None) -> Schedule:
        triggers = tuple(trigger(spec, None) for spec in specs)
        made = schedule(name, triggers=triggers, policies=policies or Policies())
        await self.base.schedules.insert_many(ACME, [made], change())
        return made

    async def record(self, subject: str = SITE, at: datetime = START, tenant_id: TenantId = ACME) -> None:
        await self.evidence.record_once(Evidence(tenant_id, "installation", subject, at, at, "ada"), RECORD)

    async def save(self, before: Schedule, after: Schedule) -> Schedule:
        return await self.base.schedules.save_if_version(after, before.version, change())

    async def walk(self, subjects_max: int = 100) -> None:
        while await self.duties.walk(subjects_max) is not None:
            pass

    async def generate(self, name: str = "AUTO_12H", subject: str = SITE) -> MilestoneStep:
        return await self.milestones.change(ACME, name, subject, lambda look: attempt(look, "leader"), GENERATE)

    async def one(self, name: str = "AUTO_12H", subject: str = SITE) -> Milestone:
        page = await self.milestones.page(ACME, MilestoneFilter(subject, name), PageRequest())
        (found,) = page.items
        return found

    async def claimed(self) -> list[ClaimedRun]:
        return await self.runs.claim(await self.runs.worker())

    async def fail(self, claimed: Sequence[ClaimedRun], error: str = '{"message": "boom", "type": "Boom"}') -> None:
        ends = [success(one, verb="fail", outcome="failed", reason="", error_json=error) for one in claimed]
        await self.runs.claims.settle_batch(ends)

    async def due(self) -> list[str]:
        return [one.name for one in await self.duties.list_due(10)]

    async def told(self) -> list[str]:
        return [one for one in await self.runs.event_types() if one.startswith(("Milestone", "Evidence"))]


@pytest.fixture
def world(backend: str, stores: Stores, runs: RunStores, request: pytest.FixtureRequest) -> MilestoneWorld:
    if backend == "memory":
        database = request.getfixturevalue("memory_database")
        kept = MemoryEvidenceStore(database), MemoryMilestoneStore(database), MemoryMilestoneDuties(database)
        return MilestoneWorld(stores, runs, *kept)
    api, service = request.getfixturevalue("api_pool"), request.getfixturevalue("service_pool")
    kept = PostgresEvidenceStore(api), PostgresMilestoneStore(api), PostgresMilestoneDuties(service)
    return MilestoneWorld(stores, runs, *kept)


async def test_evidence_is_written_once_and_stays_as_it_was(world: MilestoneWorld) -> None:
    given = Evidence(ACME, "installation", SITE, START, START + timedelta(days=9), "ada")
    recorded, is_new = await world.evidence.record_once(given, RECORD)
    assert (recorded, is_new) == (structs.replace(given, recorded_at=START), True)
    await world.base.clock.advance(HOUR)
    assert await world.evidence.record_once(structs.replace(given, recorded_by="bob"), RECORD) == (recorded, False)
    with pytest.raises(DomainError) as refused:
        await world.record(at=START - timedelta(seconds=1))
    assert (refused.value.code, refused.value.problems[0].field) == ("EVIDENCE_EXISTS", "occurred_at")
    assert await world.evidence.get(ACME, "installation", SITE) == recorded
    with pytest.raises(DomainError, match="there is no evidence"):
        await world.evidence.get(GLOBEX, "installation", SITE)
    assert await world.told() == ["EvidenceRecorded"]
    assert [one for one in await world.base.audit.audit_of(ACME) if one.resource == "evidence"] == [RECORD]


async def test_facts_that_come_at_once_are_one(world: MilestoneWorld) -> None:
    times = [START - timedelta(seconds=second) for second in range(5)]
    answers = await asyncio.gather(*(world.record(at=at) for at in times), return_exceptions=True)
    assert [type(one) for one in answers].count(DomainError) == 4
    assert await world.told() == ["EvidenceRecorded"]


async def test_evidence_is_paged_by_kind_and_subject(world: MilestoneWorld) -> None:
    for subject in ("b", "a", "c"):
        await world.record(subject)
    await world.record("z", tenant_id=GLOBEX)
    first = await world.evidence.page(ACME, "installation", PageRequest(limit=2))
    rest = await world.evidence.page(ACME, None, PageRequest(limit=2, cursor=first.next_cursor))
    assert [one.subject for one in (*first.items, *rest.items)] == ["a", "b", "c"]
    assert (first.total_count, rest.next_cursor) == (3, None)
    assert (await world.evidence.page(ACME, "other", PageRequest())).items == ()


async def test_what_is_defined_is_due_when_its_evidence_is_old_enough(world: MilestoneWorld) -> None:
    await world.define(HALF_DAY, DAY)
    assert (await world.duties.look()).walks
    await world.walk()
    assert await world.duties.look() == structs.replace(await world.duties.look(), next_in_seconds=None, walks=False)
    await world.record()
    assert (await world.duties.look()).next_in_seconds == 12 * HOUR
    await world.base.clock.advance(12 * HOUR - 0.001)
    assert await world.due() == []
    await world.base.clock.advance(0.001)
    assert await world.duties.list_due(10) == (DueMilestone(ACME, "AUTO_12H", SITE),)
    await world.base.clock.advance(12 * HOUR)
    assert await world.due() == ["AUTO_12H", "AUTO_24H"]
    look = await world.milestones.look(ACME, SITE)
    assert [(one.name, one.now, one.is_done) for one in look.looks] == [
        ("AUTO_12H", look.now, False),
        ("AUTO_24H", look.now, False),
    ]
    assert (await world.milestones.look(GLOBEX, SITE)).looks == ()


async def test_evidence_that_was_there_first_is_walked_through_in_bounded_steps(world: MilestoneWorld) -> None:
    for number in range(5):
        await world.record(f"s{number}")
    await world.define(HALF_DAY)
    await world.walk(2)
    await world.base.clock.advance(12 * HOUR)
    assert sorted(one.subject for one in await world.duties.list_due(10)) == [f"s{number}" for number in range(5)]
    assert len(await world.duties.list_due(2)) == 2


async def test_of_many_who_begin_at_once_one_does(world: MilestoneWorld) -> None:
    await world.define(HALF_DAY)
    await world.record()
    await world.base.clock.advance(12 * HOUR)
    steps = await asyncio.gather(*(world.generate() for _ in range(5)))
    assert sorted(step.assessment.standing for step in steps) == ["due", *["in_progress"] * 4]
    (claimed,) = await world.claimed()
    assert {step.milestone and step.milestone.run_id for step in steps} == {claimed.run_id}
    assert isinstance(claimed.target, TaskTarget)
    order = claimed.target.args["milestone"]
    assert (order["tenant_id"], order["subject"], order["name"], order["attempt"]) == (ACME, SITE, "AUTO_12H", 1)
    assert order["occurred_at"].startswith("2026-03-01T12:00:00")
    assert await world.due() == []


async def test_done_is_written_with_the_result_and_outlives_a_hundred_days_and_the_run(world: MilestoneWorld) -> None:
    await world.define(HALF_DAY)
    await world.record()
    await world.base.clock.advance(12 * HOUR)
    await world.generate()
    with pytest.raises(DomainError, match="done marker"):
        await world.milestones.marker(ACME, "AUTO_12H", SITE)
    (claimed,) = await world.claimed()
    await world.runs.claims.settle_batch([success(claimed, result_json='{"issues": 3}')])
    done = await world.one()
    assert (done.state, done.generated_at, done.last_error, done.next_at) == (
        "done", START + timedelta(hours=12), None, None,
    )  # fmt: skip
    marker = await world.milestones.marker(ACME, "AUTO_12H", SITE)
    assert (marker.result, marker.run_id, marker.attempts_count) == ({"issues": 3}, claimed.run_id, 1)

    await world.base.clock.advance(100 * 86_400)
    assert await world.due() == []
    again = await world.generate()
    assert (again.assessment.standing, again.draft) == ("done", None)
    assert await world.milestones.marker(ACME, "AUTO_12H", SITE) == marker
    with pytest.raises(DomainError, match="done marker"):
        await world.milestones.marker(GLOBEX, "AUTO_12H", SITE)
    assert await world.told() == ["EvidenceRecorded", "MilestoneGenerated"]


async def test_a_failure_backs_off_by_its_own_list_and_holds_up_no_other(world: MilestoneWorld) -> None:
    await world.define(HALF_DAY, DAY)
    await world.record()
    await world.base.clock.advance(12 * HOUR)
    for number, delay in enumerate((1_800, 7_200, 86_400, 86_400), 1):
        await world.generate()
        begun = await world.one()
        assert (begun.state, begun.attempts_count, begun.backoff_until) == ("in_progress", number, None)
        await world.fail(await world.claimed())
        now, failed = await world.base.clock.now(), await world.one()
        assert (failed.state, failed.attempts_count) == ("waiting", number)
        assert failed.backoff_until == failed.next_at == now + timedelta(seconds=delay)
        assert failed.last_error is not None
        assert (failed.last_error.message, failed.last_error.type) == ("boom", "Boom")
        assert "AUTO_12H" not in await world.due()
        assert (await world.generate()).assessment.standing == "backoff_active"
        if number == 3:
            await world.base.clock.set(START + timedelta(hours=24))
            assert (await world.generate("AUTO_24H")).assessment.standing == "due"
            await world.runs.claims.settle_batch([success(one) for one in await world.claimed()])
            assert (await world.one("AUTO_24H")).state == "done"
            assert (await world.one()).backoff_until == now + timedelta(seconds=delay)
            await world.base.clock.set(now)
        await world.base.clock.advance(delay)
        assert "AUTO_12H" in await world.due()


async def test_however_an_attempt_ends_it_counts_once(world: MilestoneWorld) -> None:
    """Cancelled while it waits, failed with its workers gone, asked to come back later."""
    await world.define(HALF_DAY, policies=Policies(retry=RetryPolicy(delays_seconds=(60.0,))))
    await world.record()
    await world.base.clock.advance(12 * HOUR)
    run_id = ((await world.generate()).milestone or await world.one()).run_id
    assert run_id is not None
    await world.runs.control.cancel_if_live(ACME, run_id, audit("cancel"))
    cancelled = await world.one()
    assert (cancelled.state, cancelled.attempts_count, cancelled.run_id) == ("waiting", 1, run_id)
    assert cancelled.last_error is not None
    assert "cancelled" in cancelled.last_error.message
    await world.base.clock.advance(60)
    await world.generate()
    await world.fail(await world.claimed(), '{"message": "busy", "retry_after_seconds": 600}')
    busy = await world.one()
    assert (busy.attempts_count, busy.next_at) == (2, await world.base.clock.now() + timedelta(seconds=600))
    assert await world.told() == ["EvidenceRecorded", "MilestoneAttemptFailed", "MilestoneAttemptFailed"]


async def test_an_attempt_that_goes_back_to_the_queue_is_still_the_same(world: MilestoneWorld) -> None:
    await world.define(HALF_DAY)
    await world.record()
    await world.base.clock.advance(12 * HOUR)
    await world.generate()
    (claimed,) = await world.claimed()
    lost = success(claimed, verb="retry", outcome="lost", error_json='{"message": "gone"}')
    await world.runs.claims.settle_batch([lost])
    waiting = await world.one()
    assert (waiting.state, waiting.attempts_count, waiting.run_id) == ("in_progress", 1, claimed.run_id)
    assert (await world.generate()).assessment.standing == "in_progress"
    await world.runs.claims.settle_batch([success(one) for one in await world.claimed()])
    assert (await world.one()).state == "done"


async def test_what_nobody_can_make_is_not_found_due_until_it_can(world: MilestoneWorld) -> None:
    defined = await world.define(HALF_DAY)
    await world.record()
    await world.base.clock.advance(13 * HOUR)
    now = await world.base.clock.now()
    paused, _ = pause_schedule(defined, "for now", change=Change("ada", now))
    paused = await world.save(defined, paused)
    await world.walk()
    assert (await world.generate()).assessment.standing == "paused"
    assert (await world.due(), (await world.one()).state) == ([], "waiting")
    resumed, _ = resume_schedule(paused, None, change=Change("ada", now))
    resumed = await world.save(paused, resumed)
    await world.walk()
    assert await world.due() == ["AUTO_12H"]
    deleted, _ = delete_schedule(resumed, change=Change("ada", now))
    deleted = await world.save(resumed, deleted)
    assert (await world.generate()).assessment.standing == "undefined"
    assert await world.due() == []
    assert (await world.milestones.look(ACME, SITE)).looks == ()
    other = await world.define(HALF_DAY, name="others")
    restored, _ = restore_schedule(deleted, change=Change("ada", now))
    with pytest.raises(DomainError) as taken:
        await world.save(deleted, restored)
    assert (taken.value.code, taken.value.problems[0].field) == ("NAME_TAKEN", "triggers[0].name")
    await world.walk()
    assert (await world.generate()).draft is not None
    assert (await world.one()).schedule_id == other.id


async def test_a_changed_age_moves_what_waits_and_nothing_that_is_done(world: MilestoneWorld) -> None:
    defined = await world.define(MilestoneTrigger(name="welcome", evidence="installation", age_seconds=HOUR))
    for subject in ("done", "waits"):
        await world.record(subject)
    await world.base.clock.advance(HOUR)
    await world.generate("welcome", "done")
    await world.runs.claims.settle_batch([success(one) for one in await world.claimed()])
    later = trigger(MilestoneTrigger(name="welcome", evidence="installation", age_seconds=2 * HOUR), None)
    await world.save(defined, structs.replace(defined, version=2, triggers=(later,)))
    assert (await world.generate("welcome", "waits")).assessment.standing == "nothing_due"
    await world.walk()
    assert (await world.one("welcome", "waits")).next_at == START + timedelta(hours=2)
    assert (await world.one("welcome", "done")).state == "done"
    await world.base.clock.advance(HOUR)
    assert [one.subject for one in await world.duties.list_due(10)] == ["waits"]


async def test_a_name_belongs_to_one_schedule_of_a_tenant(world: MilestoneWorld) -> None:
    await world.define(HALF_DAY)
    with pytest.raises(DomainError) as taken:
        await world.define(DAY, HALF_DAY, name="others")
    assert (taken.value.code, taken.value.problems[0].field) == ("NAME_TAKEN", "triggers[1].name")
    same = [schedule(name, triggers=(trigger(DAY, None),)) for name in ("a", "b")]
    with pytest.raises(DomainError) as twice:
        await world.base.schedules.insert_many(ACME, same, change())
    assert [one.field for one in twice.value.problems] == ["[0].triggers[0].name", "[1].triggers[0].name"]
    foreign = schedule("reports", GLOBEX, triggers=(trigger(HALF_DAY, None),))
    await world.base.schedules.insert_many(GLOBEX, [foreign], change())
    await world.define(DAY, name="others")


async def test_a_missed_window_ends_by_its_policy(world: MilestoneWorld) -> None:
    late = MilestoneTrigger(name="late", evidence="installation", age_seconds=60.0, window_seconds=60.0)
    await world.define(late, structs.replace(late, name="gone", on_missed="skip"))
    await world.record()
    await world.base.clock.advance(120)
    assert sorted(await world.due()) == ["gone", "late"]
    assert (await world.generate("gone")).assessment.standing == "missed"
    assert (await world.one("gone")).state == "skipped"
    assert (await world.generate("late")).draft is not None
    assert await world.due() == []
    assert await world.told() == ["EvidenceRecorded", "MilestoneMissed"]


async def test_operators_begin_anew(world: MilestoneWorld) -> None:
    await world.define(HALF_DAY)
    await world.record()
    await world.base.clock.advance(12 * HOUR)
    with pytest.raises(DomainError, match="there is no milestone"):
        await world.milestones.change(ACME, "AUTO_12H", "who", lambda look: reset(look, "ada"), audit("reset"))
    await world.generate()
    with pytest.raises(DomainError, match="cancel its run first"):
        await world.milestones.change(ACME, "AUTO_12H", SITE, lambda look: reset(look, "ada"), audit("reset"))
    await world.fail(await world.claimed())

    step = await world.milestones.change(ACME, "AUTO_12H", SITE, lambda look: retry_now(look, "ada"), audit("retry"))
    assert step.milestone is not None
    assert (step.milestone.attempts_count, step.milestone.retry_delay_seconds) == (2, 7_200)
    await world.fail(await world.claimed())
    await world.milestones.change(ACME, "AUTO_12H", SITE, lambda look: reset(look, "ada"), audit("reset"))
    fresh = await world.one()
    assert (fresh.attempts_count, fresh.attempts_total, fresh.backoff_until, fresh.last_error) == (0, 2, None, None)
    assert await world.due() == ["AUTO_12H"]
    await world.generate()
    await world.runs.claims.settle_batch([success(one) for one in await world.claimed()])

    await world.milestones.change(ACME, "AUTO_12H", SITE, lambda look: clear_marker(look, "ada"), audit("clear"))
    with pytest.raises(DomainError, match="done marker"):
        await world.milestones.marker(ACME, "AUTO_12H", SITE)
    assert await world.due() == ["AUTO_12H"]
    await world.generate()
    await world.runs.claims.settle_batch([success(one) for one in await world.claimed()])
    assert (await world.milestones.marker(ACME, "AUTO_12H", SITE)).attempts_count == 1
    verbs = [entry.verb for entry in await world.base.audit.audit_of(ACME)]
    assert sorted(verb for verb in verbs if verb not in ("create", "record")) == [
        "clear",
        *["generate"] * 3,
        "reset",
        "retry",
    ]


async def test_milestones_are_paged_and_filtered(world: MilestoneWorld) -> None:
    await world.define(HALF_DAY, DAY)
    for subject in ("b", "a"):
        await world.record(subject)
    where = MilestoneFilter()
    first = await world.milestones.page(ACME, where, PageRequest(limit=3))
    rest = await world.milestones.page(ACME, where, PageRequest(limit=3, cursor=first.next_cursor))
    assert [(one.subject, one.name) for one in (*first.items, *rest.items)] == [
        (subject, name) for subject in ("a", "b") for name in ("AUTO_12H", "AUTO_24H")
    ]
    assert (first.total_count, rest.next_cursor) == (4, None)
    named = await world.milestones.page(ACME, MilestoneFilter(name="AUTO_24H", state="waiting"), PageRequest())
    assert [one.subject for one in named.items] == ["a", "b"]
    assert (await world.milestones.page(ACME, MilestoneFilter(state="done"), PageRequest())).items == ()
    assert (await world.milestones.page(GLOBEX, where, PageRequest())).items == ()


async def test_a_thrown_and_a_returned_failure_leave_the_same(world: MilestoneWorld) -> None:
    await world.define(HALF_DAY, DAY)
    await world.record()
    await world.base.clock.advance(24 * HOUR)
    for name in ("AUTO_12H", "AUTO_24H"):
        await world.generate(name)
    claimed = await world.claimed()
    for one, error in zip(
        claimed, (RunError("bad", "ValueError", "Traceback"), RunError("bad", "Failure")), strict=True
    ):
        error_json = '{"message": "%s", "type": "%s"}' % (error.message, error.type)  # noqa: UP031
        await world.fail([one], error_json)
    thrown, returned = await world.one("AUTO_12H"), await world.one("AUTO_24H")
    assert (thrown.attempts_count, thrown.backoff_until) == (returned.attempts_count, returned.backoff_until)
    assert thrown.backoff_until == await world.base.clock.now() + timedelta(seconds=1_800)


async def test_the_figures_of_alerts_count_what_waits_long_and_what_failed(world: MilestoneWorld) -> None:
    await world.define(HALF_DAY)
    for subject in ("well", "badly"):
        await world.record(subject)
    await world.base.clock.advance(12 * HOUR)
    assert await world.duties.figures() == MilestoneFigures()
    await world.generate(subject="well")
    await world.runs.claims.settle_batch([success(one) for one in await world.claimed()])
    for delay in (1_800, 7_200):
        await world.generate(subject="badly")
        await world.fail(await world.claimed())
        figures = await world.duties.figures()
        assert (figures, figures.failed_ratio) == (MilestoneFigures(0, 2, 1), 0.5)
        await world.base.clock.advance(delay)
    await world.generate(subject="badly")
    await world.fail(await world.claimed())
    assert await world.duties.figures() == MilestoneFigures(1, 2, 1)
    await world.base.clock.advance(25 * HOUR)
    assert await world.duties.figures() == MilestoneFigures()


async def test_what_is_defined_and_recorded_at_once_misses_nothing(world: MilestoneWorld) -> None:
    """Either the evidence sees the definition, or the definition's walk sees the evidence."""
    specs = [
        MilestoneTrigger(name=f"m{number}", evidence="installation", age_seconds=60.0 + number) for number in range(4)
    ]
    await asyncio.gather(
        *(world.define(spec, name=spec.name) for spec in specs[:2]),
        *(world.record(f"s{number}") for number in range(10)),
        *(world.define(spec, name=spec.name) for spec in specs[2:]),
        world.walk(2),
    )
    await world.walk(2)
    page = await world.milestones.page(ACME, MilestoneFilter(), PageRequest(limit=100))
    planned = {(one.name, one.subject): one.due_at for one in page.items}
    assert planned == {
        (spec.name, f"s{number}"): START + timedelta(seconds=spec.age_seconds or 0)
        for spec in specs
        for number in range(10)
    }


async def test_what_cannot_be_judged_is_found_again_later_and_lets_others_pass(world: MilestoneWorld) -> None:
    await world.define(HALF_DAY)
    for subject in ("odd", "even"):
        await world.record(subject)
    await world.base.clock.advance(12 * HOUR)
    await world.duties.postpone(DueMilestone(ACME, "AUTO_12H", "odd"), 60.0)
    assert [one.subject for one in await world.duties.list_due(10)] == ["even"]
    await world.generate(subject="even")
    await world.duties.postpone(DueMilestone(ACME, "AUTO_12H", "even"), 60.0)
    assert (await world.one(subject="even")).next_at is None
    await world.base.clock.advance(60)
    assert [one.subject for one in await world.duties.list_due(10)] == ["odd"]
