"""The flag `milestones` over every store: what is due while it is off is held, told once, and made when it is on."""

from datetime import timedelta

import pytest
from msgspec import structs

from rota.core.milestones import reset, retry_now
from rota.domain.errors import DomainError
from rota.domain.flag import MILESTONES, FlagChange
from rota.domain.ids import TenantId
from rota.domain.page import PageRequest
from rota.domain.tenancy import AuditEntry
from rota.domain.triggers import MilestoneTrigger
from rota.ports.flag_store import FlagStore
from rota.ports.milestone_store import MilestoneFilter
from rota.ports.tenant_store import EventFilter
from rota.storage.memory.flags import MemoryFlagStore
from rota.storage.memory.milestones import MemoryEvidenceStore, MemoryMilestoneDuties, MemoryMilestoneStore
from rota.storage.postgres.evidence import PostgresEvidenceStore
from rota.storage.postgres.flags import PostgresFlagStore
from rota.storage.postgres.milestones import PostgresMilestoneDuties, PostgresMilestoneStore
from tests.contract.records import ACME
from tests.contract.run_stores import RunStores
from tests.contract.stores import START, Stores
from tests.contract.test_milestone_store import GENERATE, HALF_DAY, HOUR, SITE, MilestoneWorld

AUDIT = AuditEntry("ada", "switch", "flag", MILESTONES, "req-1")
OFF, ON = FlagChange(enabled=False, reason="a move"), FlagChange(enabled=True)
SKIPPED_LATE = MilestoneTrigger(name="AUTO_12H", window_seconds=HOUR, on_missed="skip")


@pytest.fixture
def world(backend: str, stores: Stores, runs: RunStores, request: pytest.FixtureRequest) -> MilestoneWorld:
    if backend == "memory":
        database = request.getfixturevalue("memory_database")
        kept = MemoryEvidenceStore(database), MemoryMilestoneStore(database), MemoryMilestoneDuties(database)
        return MilestoneWorld(stores, runs, *kept)
    api, service = request.getfixturevalue("api_pool"), request.getfixturevalue("service_pool")
    kept = PostgresEvidenceStore(api), PostgresMilestoneStore(api), PostgresMilestoneDuties(service)
    return MilestoneWorld(stores, runs, *kept)


@pytest.fixture
def flags(backend: str, world: MilestoneWorld, request: pytest.FixtureRequest) -> FlagStore:
    del world
    if backend == "memory":
        return MemoryFlagStore(request.getfixturevalue("memory_database"))
    return PostgresFlagStore(request.getfixturevalue("api_pool"), request.getfixturevalue("service_pool"))


@pytest.mark.parametrize("switched", [ACME, None])
async def test_what_is_due_is_held_and_told_once_and_made_when_it_is_on_again(
    world: MilestoneWorld, flags: FlagStore, switched: TenantId | None
) -> None:
    await world.define(HALF_DAY)
    await world.record()
    await world.walk()
    await flags.change(switched, MILESTONES, OFF, AUDIT)
    await world.base.clock.advance(12 * HOUR)
    assert await world.due() == ["AUTO_12H"]
    whose = "the tenant" if switched else "all tenants"
    for _ in range(2):
        step = await world.generate()
        words = f"AUTO_12H is due and held: the flag milestones is off for {whose}: a move"
        assert (step.draft, step.assessment.standing, step.assessment.words) == (None, "held", words)
        await world.base.clock.advance(60)
    held = await world.one()
    due_at = START + timedelta(hours=12)
    assert (held.state, held.next_at, held.held_since, held.attempts_total) == ("waiting", None, due_at, 0)
    assert await world.due() == []
    (told,) = await world.base.events.after(EventFilter(ACME, ("MilestoneHeld",)), None, 9)
    assert told.subject == f"AUTO_12H/{SITE}"
    assert told.data["reason"] == f"the flag milestones is off for {whose}: a move"
    (look,) = (await world.milestones.look(ACME, SITE)).looks
    assert look.held_because is not None

    await flags.change(switched, MILESTONES, ON, AUDIT)
    await world.walk()
    assert await world.due() == ["AUTO_12H"]
    step = await world.generate()
    assert step.draft is not None
    begun = await world.one()
    assert (begun.state, begun.held_since) == ("in_progress", None)


async def test_what_was_held_and_is_not_due_any_more_is_held_no_more(world: MilestoneWorld, flags: FlagStore) -> None:
    made = await world.define(HALF_DAY)
    await world.record()
    await world.walk()
    await flags.change(ACME, MILESTONES, OFF, AUDIT)
    await world.base.clock.advance(12 * HOUR)
    await world.generate()
    assert (await world.one()).held_since is not None
    (look,) = (await world.milestones.look(ACME, SITE)).looks
    anew = reset(look, "ada").milestone
    assert anew is not None
    assert anew.held_since is None
    await world.save(made, structs.replace(made, version=made.version + 1, enabled=False))
    assert (await world.generate()).assessment.standing == "paused"
    assert (await world.one()).held_since is None


async def test_an_operator_cannot_retry_what_is_held(world: MilestoneWorld, flags: FlagStore) -> None:
    await world.define(HALF_DAY)
    await world.record()
    await world.base.clock.advance(12 * HOUR)
    await flags.change(ACME, MILESTONES, OFF, AUDIT)
    await world.generate()
    with pytest.raises(DomainError, match="the flag milestones is off"):
        await world.milestones.change(ACME, "AUTO_12H", SITE, lambda look: retry_now(look, "ada"), GENERATE)


async def test_a_back_off_goes_on_and_an_attempt_that_is_under_way_ends_as_it_does(
    world: MilestoneWorld, flags: FlagStore
) -> None:
    await world.define(HALF_DAY)
    await world.record()
    await world.base.clock.advance(12 * HOUR)
    await world.generate()
    claimed = await world.claimed()
    await flags.change(ACME, MILESTONES, OFF, AUDIT)
    assert (await world.generate()).assessment.standing == "in_progress"
    await world.fail(claimed)
    assert (await world.generate()).assessment.standing == "backoff_active"
    await world.base.clock.advance(1_800)
    assert (await world.generate()).assessment.standing == "held"


async def test_a_window_that_passes_while_it_is_off_is_judged_when_it_is_on(
    world: MilestoneWorld, flags: FlagStore
) -> None:
    await world.define(SKIPPED_LATE)
    await world.record()
    await flags.change(ACME, MILESTONES, OFF, AUDIT)
    await world.base.clock.advance(14 * HOUR)
    assert (await world.generate()).assessment.standing == "held"
    await flags.change(ACME, MILESTONES, ON, AUDIT)
    await world.walk()
    assert (await world.generate()).assessment.standing == "missed"
    assert (await world.one()).state == "skipped"


async def test_milestones_and_evidence_are_counted_no_further_than_asked(world: MilestoneWorld) -> None:
    await world.define(HALF_DAY)
    for subject in ("a", "b", "c"):
        await world.record(subject)
    await world.walk()
    bounded = PageRequest(limit=1, count_max=2)
    assert (await world.milestones.page(ACME, MilestoneFilter(), bounded)).total_count == 2
    assert (await world.evidence.page(ACME, None, bounded)).total_count == 2
    assert (await world.evidence.page(ACME, None, PageRequest(limit=1))).total_count == 3
