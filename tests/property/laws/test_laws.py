"""The laws of runs, by name. Each is looked at after every deed of any life that hypothesis can think of, over the
memory stores, which are the oracle; and of some lives over PostgreSQL.

Elsewhere: which times are due (`tests/property/core/test_firing_laws.py`, `tests/property/occurrences`); that both
backends tell the same story (`tests/property/run_differential`); that retention and bulk deletion leave the lifetime's
sums as they were (`tests/integration/tenant_stores/test_counting.py`).
"""

import asyncio
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random  # noqa: TID251 - seeded, so that a failure can be told again by its seed

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.core.retry import attempts_allowed, losses_max, plain_delay_seconds
from rota.core.statistics import add_all
from rota.domain.errors import DomainError
from rota.domain.page import PageRequest
from rota.domain.policies import RetryPolicy
from rota.domain.run import Run
from rota.ports.milestone_store import MilestoneFilter
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.milestones import MemoryEvidenceStore, MemoryMilestoneStore
from rota.storage.memory.run_statistics import MemoryRunStatistics
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.evidence import PostgresEvidenceStore
from rota.storage.postgres.milestones import PostgresMilestoneStore
from rota.storage.postgres.run_statistics import PostgresRunCounting, PostgresRunStatistics
from tests.contract.records import ACME, create_tenants
from tests.contract.run_stores import memory_run_stores, postgres_run_stores
from tests.contract.stores import START, MemoryClock, NumberedIds, memory_stores, postgres_stores
from tests.property.laws.lives import BURST, DEEDS, DRAWN, FEW, FEW_MAX, METERED, RATE, RETRY, RUNS_MAX, Deed, Life
from tests.support.settable_clock import SettableClock

LIVE = frozenset({"scheduled", "queued", "running"})
A_DEED = st.tuples(st.sampled_from(DRAWN), st.integers(0, 7), st.integers(0, 7))
DEEDS_MAX = 1_000


def one_run_per_firing(runs: tuple[Run, ...]) -> None:
    firings = Counter((run.trigger_id, run.fire_at) for run in runs if run.fire_at and run.retry_of is None)
    assert max(firings.values(), default=1) == 1, firings.most_common(1)


def no_overlap_under_skip(runs: tuple[Run, ...]) -> None:
    """A clone by hand waits for its turn; what the trigger fires beside a live run is skipped."""
    serial = [run for run in runs if run.policy.serial and run.state in LIVE]
    fired, at_work = Counter[str | None](), Counter[str | None]()
    for run in serial:
        at_work[run.schedule_id] += run.state == "running"
        fired[run.schedule_id] += run.retry_of is None
    assert max([*at_work.values(), *fired.values()], default=0) <= 1, (at_work, fired)


def limits_are_never_exceeded(runs: tuple[Run, ...], life: Life) -> None:
    assert sum(run.queue == FEW and run.state == "running" for run in runs) <= FEW_MAX
    level, last = 0.0, START
    for at, claimed in life.begun:
        if claimed.queue == METERED:
            level, last = 1 + max(0.0, level - RATE * (at - last).total_seconds()), at
            assert level <= BURST + 1e-6, f"{level} began too close together"


async def a_done_marker_implies_its_result(runs: tuple[Run, ...], life: Life) -> None:
    """And nothing is done without a marker."""
    by_id = {run.id: run for run in runs}
    page = await life.milestones.page(ACME, MilestoneFilter(), PageRequest(100))
    for milestone in page.items:
        try:
            marker = await life.milestones.marker(ACME, milestone.name, milestone.subject)
        except DomainError:
            assert milestone.state != "done"
            continue
        run = by_id[marker.run_id]
        assert milestone.state == "done"
        assert (run.state, run.result) == ("succeeded", marker.result)
        assert marker.result == {"made": True}


async def attempts_stay_within_their_policy(runs: tuple[Run, ...], life: Life) -> None:
    for run in runs:
        ended = await life.stores.reader.attempts(ACME, run.id) if run.attempts_count else ()
        outcomes = Counter(attempt.outcome for attempt in ended)
        assert outcomes["failed"] + outcomes["timed_out"] <= attempts_allowed(run.policy.retry)
        assert outcomes["lost"] <= losses_max(run.policy.retry)
        assert run.attempts_count <= attempts_allowed(run.policy.retry) + losses_max(run.policy.retry)


def no_attempt_begins_within_its_back_off(life: Life) -> None:
    begun: defaultdict[str, list[datetime]] = defaultdict(list)
    for at, claimed in life.begun:
        begun[claimed.run_id].append(at)
    for at, claimed in life.failed:
        failures_count = max(1, claimed.attempt_no - claimed.losses_count)
        ready = at + timedelta(seconds=plain_delay_seconds(claimed.policy.retry, failures_count))
        assert all(next_at <= at or next_at >= ready for next_at in begun[claimed.run_id]), (at, ready)


async def the_sums_are_those_of_history(runs: tuple[Run, ...], life: Life) -> None:
    hours = await life.statistics.hours(ACME, START - timedelta(days=1))
    lifetime = (await life.statistics.lifetime(ACME)).sums
    states = Counter(run.state for run in runs)
    assert add_all(hour.sums for hour in hours) == lifetime
    told = (lifetime.succeeded_count, lifetime.failed_count, lifetime.cancelled_count, lifetime.skipped_count)
    assert told == (states["succeeded"], states["failed"], states["cancelled"], states["skipped"])


async def look_at_the_laws(life: Life) -> None:
    runs = await life.runs()
    one_run_per_firing(runs)
    no_overlap_under_skip(runs)
    limits_are_never_exceeded(runs, life)
    await a_done_marker_implies_its_result(runs, life)
    await attempts_stay_within_their_policy(runs, life)
    no_attempt_begins_within_its_back_off(life)
    await the_sums_are_those_of_history(runs, life)


async def memory_life() -> Life:
    clock = MemoryClock()
    database = MemoryDatabase(clock.read, NumberedIds())
    base = memory_stores(database, clock)
    await create_tenants(base.tenants)
    statistics = MemoryRunStatistics(database)
    kept = MemoryEvidenceStore(database), MemoryMilestoneStore(database)
    life = Life(memory_run_stores(base, database), *kept, statistics, statistics)
    await life.begin()
    return life


@settings(deadline=None, max_examples=60)
@given(st.lists(A_DEED, min_size=10, max_size=60))
def test_the_laws_hold_after_every_deed(deeds: list[Deed]) -> None:
    async def live() -> int:
        life = await memory_life()
        for deed in deeds:
            await life.do(deed)
            await look_at_the_laws(life)
        return len(await life.runs())

    assert asyncio.run(live()) < RUNS_MAX


@pytest.fixture
async def postgres_life(api_pool: Pool, service_pool: Pool, owner_pool: Pool, test_clock: SettableClock) -> Life:
    await test_clock.set(START)
    base = postgres_stores(api_pool, service_pool, owner_pool, test_clock)
    await create_tenants(base.tenants)
    life = Life(
        postgres_run_stores(base, api_pool, service_pool),
        PostgresEvidenceStore(api_pool),
        PostgresMilestoneStore(api_pool),
        PostgresRunStatistics(api_pool),
        PostgresRunCounting(service_pool),
    )
    await life.begin()
    return life


async def live_long(life: Life, seed: int, deeds_min: int, looks_every: int) -> int:
    """Until everything that a law forbids came near; says how many runs there are, all of which were looked at."""
    dice, number = Random(seed), 0
    while number < deeds_min or (number % 20 == 0 and await what_was_not_seen(life)) or number % 20:
        await life.do((dice.choice(DRAWN), dice.randrange(8), dice.randrange(8)))
        number += 1
        if number % looks_every == 0:
            await look_at_the_laws(life)
        assert number < DEEDS_MAX, await what_was_not_seen(life)
    await look_at_the_laws(life)
    return len(await life.runs())


@pytest.mark.parametrize("seed", range(1, 6))
async def test_the_laws_hold_through_long_lives(seed: int) -> None:
    assert await live_long(await memory_life(), seed, deeds_min=300, looks_every=1) < RUNS_MAX


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_laws_hold_on_postgres(postgres_life: Life, seed: int) -> None:
    assert await live_long(postgres_life, seed, deeds_min=300, looks_every=20) < RUNS_MAX


async def what_was_not_seen(life: Life) -> list[str]:
    runs = await life.runs()
    page = await life.milestones.page(ACME, MilestoneFilter(), PageRequest(100))
    states = {run.state for run in runs} | {milestone.state for milestone in page.items} | life.deeds_done
    missing = {"succeeded", "failed", "cancelled", "skipped", "done", *DEEDS} - states
    last_tries = (
        claimed for _, claimed in life.begun if claimed.attempt_no - claimed.losses_count == RETRY.attempts_max
    )
    lost_before = (claimed for _, claimed in life.begun if claimed.losses_count)
    limited = {FEW, METERED} - {claimed.queue for _, claimed in life.begun}
    seen = {"a last try": any(last_tries), "a loss": any(lost_before), "limited runs": not limited}
    return sorted([*missing, *(name for name, is_seen in seen.items() if not is_seen)])


@settings(max_examples=200)
@given(
    base=st.floats(0, 1e6),
    factor=st.floats(1, 100),
    cap=st.floats(0, 1e7),
    attempts=st.integers(2, 60),
)
def test_back_off_never_shrinks_and_never_passes_its_cap(base: float, factor: float, cap: float, attempts: int) -> None:
    policy = RetryPolicy(base_seconds=base, factor=factor, cap_seconds=cap, attempts_max=attempts)
    delays = [plain_delay_seconds(policy, count) for count in range(1, attempts)]

    assert all(before <= after for before, after in pairwise(delays))
    assert all(delay <= cap for delay in delays)
    assert delays[0] == min(base, cap)
