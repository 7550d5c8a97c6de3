"""Flags over every backend, and the leader that obeys them."""

from datetime import timedelta

import pytest
from msgspec import structs

from rota.core.backfilling import next_times, plan_step
from rota.core.firing import plan_firing
from rota.core.flags import off_words
from rota.domain.backfill import Backfill
from rota.domain.errors import DomainError
from rota.domain.flag import FIRING, MILESTONES, RECONCILE, FlagChange, FlagSetting, PlatformSetting
from rota.domain.ids import BackfillId, TenantId
from rota.domain.lease import Fence
from rota.domain.page import PageRequest
from rota.domain.policies import Policies
from rota.domain.schedule import Schedule
from rota.domain.tenancy import AuditEntry
from rota.domain.triggers import IntervalTrigger
from rota.ports.flag_store import FlagStore
from rota.ports.run_store import RunFilter
from rota.ports.tenant_store import EventFilter
from rota.services.flag_verbs import flags_of
from rota.storage.memory.backfills import MemoryBackfillStore
from rota.storage.memory.flags import MemoryFlagStore
from rota.storage.postgres.backfills import PostgresBackfillSteps, PostgresBackfillStore
from rota.storage.postgres.flags import PostgresFlagStore
from tests.contract.records import ACME, GLOBEX, change, new_id, schedule, trigger
from tests.contract.run_stores import RunStores
from tests.contract.stores import START, Stores

AUDIT = AuditEntry("ada", "switch_off", "flag", FIRING, "req-1")
OFF, ON = FlagChange(enabled=False, reason="a move"), FlagChange(enabled=True)
HOUR = timedelta(hours=1)
UNKNOWN = TenantId("nobody")


@pytest.fixture
def flags(backend: str, runs: RunStores, request: pytest.FixtureRequest) -> FlagStore:
    del runs
    if backend == "memory":
        return MemoryFlagStore(request.getfixturevalue("memory_database"))
    return PostgresFlagStore(request.getfixturevalue("api_pool"), request.getfixturevalue("service_pool"))


async def due_schedule(stores: Stores, tenant_id: TenantId = ACME, name: str = "hourly") -> Schedule:
    """Due since three hours, each hour."""
    spec = IntervalTrigger(every_seconds=3600.0, start_at=START - 3 * HOUR)
    made = schedule(
        name,
        tenant_id,
        triggers=(trigger(spec, START - 3 * HOUR),),
        policies=Policies(misfire="fire_all", overlap="allow"),
    )
    await stores.schedules.insert_many(tenant_id, (made,), change())
    return made


async def fence_of(runs: RunStores) -> Fence:
    taken = await runs.leases.acquire_if_free("leader", "me", 60.0)
    return Fence("leader", taken.epoch, "me")


async def test_what_is_set_is_shown_told_and_audited(flags: FlagStore, stores: Stores) -> None:
    assert list(await flags.settings(ACME)) == []
    mine = await flags.change(ACME, FIRING, OFF, AUDIT)
    assert (mine.name, mine.tenant_id, mine.enabled, mine.reason) == (FIRING, ACME, False, "a move")
    assert (mine.changed_at, mine.changed_by) == (START, "ada")
    assert list(await flags.settings(ACME)) == [mine]
    assert list(await flags.settings(GLOBEX)) == []
    (told,) = await stores.events.after(EventFilter(ACME, types=("FlagChanged",)), None, 10)
    assert (told.subject, told.data) == (FIRING, {"enabled": False, "reason": "a move"})
    assert AUDIT in await stores.audit.audit_of(ACME)
    for_all = await flags.change(None, FIRING, OFF, AUDIT)
    again = await flags.change(ACME, FIRING, ON, AUDIT)
    shown = next(one for one in flags_of(await flags.settings(ACME)) if one.name == FIRING)
    assert (shown.enabled, shown.tenant, shown.platform) == (False, again, for_all)
    assert [one.tenant_id for one in await flags.settings(GLOBEX)] == [None]
    assert AUDIT in await stores.audit.audit_of(None)
    with pytest.raises(DomainError) as refused:
        await flags.change(UNKNOWN, FIRING, OFF, AUDIT)
    assert refused.value.code == "NOT_FOUND"


@pytest.mark.parametrize("switched", [ACME, None])
async def test_what_comes_due_while_it_is_off_is_recorded_and_not_made_up_for(
    flags: FlagStore, runs: RunStores, stores: Stores, switched: TenantId | None
) -> None:
    mine, theirs, fence = await due_schedule(stores), await due_schedule(stores, GLOBEX), await fence_of(runs)
    await flags.change(switched, FIRING, OFF, AUDIT)
    batch = await runs.firing.due_triggers(10)
    withheld = {due.tenant_id for due in batch.triggers if due.is_withheld}
    assert withheld == ({ACME} if switched else {ACME, GLOBEX})
    result = await runs.firing.apply(fence, plan_firing(batch))
    assert (result.runs_created, result.runs_skipped) == ((4, 1) if switched else (0, 2))
    (recorded,) = (await runs.reader.page(ACME, RunFilter(schedule_id=mine.id), PageRequest())).items
    assert (recorded.state, recorded.fire_at) == ("skipped", START)
    assert recorded.reason == "skipped: the flag firing is off (4 due)"
    (told,) = await stores.events.after(EventFilter(ACME, types=("FireSkipped",)), None, 10)
    assert (told.data["skipped_count"], told.data["dropped_count"]) == (1, 3)

    await flags.change(switched, FIRING, ON, AUDIT)
    await stores.clock.set(START + HOUR)
    fence = await fence_of(runs)
    batch = await runs.firing.due_triggers(10)
    assert not any(due.is_withheld for due in batch.triggers)
    own = tuple(due for due in batch.triggers if due.schedule_id == mine.id)
    result = await runs.firing.apply(fence, plan_firing(structs.replace(batch, triggers=own)))
    assert (result.runs_created, result.runs_skipped) == (1, 0)
    assert (await stores.schedules.get(GLOBEX, theirs.id)).version == 1


@pytest.mark.parametrize("switched", [ACME, None])
async def test_what_was_planned_before_it_was_off_is_refused(
    flags: FlagStore, runs: RunStores, stores: Stores, switched: TenantId | None
) -> None:
    mine, theirs, fence = await due_schedule(stores), await due_schedule(stores, GLOBEX), await fence_of(runs)
    later = structs.replace(schedule("later"), triggers=(trigger(None, START + HOUR),))
    await stores.schedules.insert_many(ACME, (later,), change())
    planned = plan_firing(await runs.firing.due_triggers(10))
    await flags.change(switched, FIRING, OFF, AUDIT)
    assert await flags.refuse_planned(switched) == (1 if switched else 2)
    result = await runs.firing.apply(fence, planned)
    assert (result.advanced, result.refused) == ((1, 1) if switched else (0, 2))
    assert (await runs.reader.page(ACME, RunFilter(schedule_id=mine.id), PageRequest())).total_count == 0
    versions = [(await stores.schedules.get(one.tenant_id, one.id)).version for one in (mine, theirs, later)]
    assert versions == [2, 1 if switched else 2, 1]


async def test_a_backfill_waits_while_it_is_off(
    flags: FlagStore, runs: RunStores, stores: Stores, backend: str, request: pytest.FixtureRequest
) -> None:
    of = await due_schedule(stores)
    backfill = Backfill(
        id=BackfillId(new_id()),
        tenant_id=ACME,
        schedule_id=of.id,
        state="running",
        since=START - 2 * HOUR,
        to=START,
        overlap="allow",
        priority=None,
        runs_per_minute_max=60_000.0,
        triggers=of.triggers,
        total_count=3,
        created_at=START,
        created_by="ada",
        paced_at=START - HOUR,
        resume_at=START,
    )
    if backend == "memory":
        store = steps = MemoryBackfillStore(request.getfixturevalue("memory_database"))
    else:
        store = PostgresBackfillStore(request.getfixturevalue("api_pool"))
        steps = PostgresBackfillSteps(request.getfixturevalue("service_pool"))
    await store.create(backfill, AUDIT)
    for switched in (ACME, None):
        await flags.change(switched, FIRING, OFF, AUDIT)
        (due,) = await steps.list_due(10)
        step = plan_step(due, next_times(due.backfill), {})
        assert (due.is_withheld, step.drafts, step.after.state) == (True, (), "running")
        assert step.after.resume_at == START + timedelta(seconds=5)
        await flags.change(switched, FIRING, ON, AUDIT)
    (due,) = await steps.list_due(10)
    assert len(plan_step(due, next_times(due.backfill), {}).drafts) == 3


async def test_the_platform_sees_its_own_settings_and_how_many_tenants_switched_off(flags: FlagStore) -> None:
    assert list(await flags.platform()) == []
    await flags.change(ACME, MILESTONES, OFF, AUDIT)
    await flags.change(GLOBEX, MILESTONES, OFF, AUDIT)
    await flags.change(ACME, RECONCILE, ON, AUDIT)
    mine = await flags.change(None, FIRING, ON, AUDIT)
    assert list(await flags.platform()) == [
        PlatformSetting(FIRING, mine, 0, ()),
        PlatformSetting(MILESTONES, None, 2, (ACME, GLOBEX)),
    ]


def test_the_words_of_a_flag_that_is_off_say_for_whom() -> None:
    mine = FlagSetting(RECONCILE, ACME, enabled=False, reason="a move", changed_at=START, changed_by="ada")
    for_all = structs.replace(mine, tenant_id=None, reason="")
    assert off_words([mine], RECONCILE) == "the flag reconcile is off for the tenant: a move"
    assert off_words([mine, for_all], RECONCILE) == "the flag reconcile is off for all tenants"
    assert off_words([structs.replace(mine, enabled=True)], RECONCILE) is None
    assert off_words([mine], MILESTONES) is None
