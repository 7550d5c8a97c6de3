"""A snapshot that is held open keeps entries of all that was held and fired: a leader passes few of them each time."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from rota.adapters.system_rng import SystemRng
from rota.core.firing import plan_firing
from rota.domain.errors import Unavailable
from rota.domain.ids import Epoch, TenantId, WorkerId
from rota.domain.lease import Fence
from rota.domain.policies import RunPolicy
from rota.domain.run import ClaimedRun, RunDraft, Settlement
from rota.domain.targets import TaskTarget
from rota.domain.tenancy import AuditEntry
from rota.domain.worker import WorkerSpec
from rota.ports.firing_store import LeaderLook
from rota.services.loss_watch import LossWatch
from rota.services.rescuing import OVERDUE_GRACE_SECONDS, Rescued, Rescuing
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.firing import PostgresFiringStore
from rota.storage.postgres.look_floors import PASSED_IN_VAIN_MAX
from rota.storage.postgres.run_claims import PostgresRunClaims
from rota.storage.postgres.run_intake import PostgresRunIntake
from rota.storage.postgres.single_statements import SingleStatements
from rota.storage.postgres.workers import PostgresWorkerStore
from tests.contract.records import new_id
from tests.support.settable_clock import SettableClock
from tests.unit.services.virtual_time import FixedLeadership, LoudWakeups, VirtualClock

pytestmark = [pytest.mark.both_engines, pytest.mark.timeout(120)]

TENANT = TenantId("acme")
FENCE = Fence("leader", Epoch(1), "me")
BATCH = 1_000
ROUNDS = 20
SHORT_SECONDS, LONG_SECONDS = 2.0, 3600.0
DAY_SECONDS = 86_400.0
# What is in an index beside what the test is about.
FEW = 40

_REGISTER = """
WITH made AS (
    INSERT INTO scheduler.schedules (id, tenant_id, name, enabled, target, policies, created_at, created_by, updated_at,
                                     updated_by)
    SELECT gen_random_uuid(), 'acme', 'schedule ' || n, true, '{"kind": "task", "task": "noop"}', '{"overlap": "skip"}',
           now(), 'test', now(), 'test'
      FROM generate_series(1, $1::integer) AS n
    RETURNING id)
INSERT INTO scheduler.triggers (id, schedule_id, tenant_id, position, spec, anchor_at, next_fire_at)
SELECT gen_random_uuid(), id, 'acme', 0, '{"kind": "interval", "every_seconds": 100.0}', now, now + interval '100 s'
  FROM made, scheduler.current_time() AS now
"""


class Desk:
    """A leader's looks and rescues, and a count of the entries of an index that they pass."""

    def __init__(self, admin: Connection, service_pool: Pool, api_pool: Pool) -> None:
        self._admin = admin
        self._service_pool = service_pool
        self.claims, self.workers = PostgresRunClaims(service_pool), PostgresWorkerStore(service_pool)
        self.firing = PostgresFiringStore(service_pool)
        self.rescuing = Rescuing(self.workers, self.claims, LoudWakeups(), SystemRng(1))
        self.watch = LossWatch(self.rescuing, FixedLeadership(FENCE), VirtualClock())
        self._intake = PostgresRunIntake(api_pool)

    async def open(self) -> None:
        await self._admin.execute(
            "INSERT INTO scheduler.tenants (id, name, created_by) VALUES ('acme', 'Acme', 'test')"
        )
        await self._admin.execute(
            "INSERT INTO scheduler.leases VALUES ('leader', 1, 'me', now(), now() + interval '1 day')"
        )

    async def look(self) -> LeaderLook:
        look = await self.firing.look(*self.watch.span)
        self.watch.note(look)
        return look

    async def worker(self) -> WorkerId:
        spec = WorkerSpec(WorkerId(new_id()), "w", ("default",), BATCH, (), "host", 1, "0.1")
        await self.workers.register(spec, DAY_SECONDS)
        return spec.id

    async def claim(
        self, worker_id: WorkerId, *timeouts: float, after: Callable[[], Awaitable[None]] | None = None
    ) -> tuple[ClaimedRun, ...]:
        """New runs of these time-outs, and no others. `after` comes when they wait, and nothing is held."""
        drafts = [RunDraft(TENANT, TaskTarget("noop"), RunPolicy(timeout_seconds=each)) for each in timeouts]
        await self._intake.enqueue(TENANT, drafts, AuditEntry("test", "enqueue", "run", ""))
        if after is not None:
            await after()
        claimed = await self.claims.claim_batch(worker_id, ["default"], len(drafts))
        assert len(claimed) == len(drafts)
        return claimed

    async def gather_statistics(self) -> None:
        await self._admin.execute("ANALYZE scheduler.live_runs")

    async def pass_through(self, worker_id: WorkerId, after: Callable[[], Awaitable[None]] | None = None) -> None:
        """A batch of runs that are claimed and end, half of them with a short time-out."""
        claimed = await self.claim(worker_id, *(SHORT_SECONDS, LONG_SECONDS) * (BATCH // 2), after=after)
        await self.claims.settle_batch([Settlement(run.run_id, run.token, "succeed", "succeeded") for run in claimed])

    async def passed(self, index: str) -> int:
        """Entries passed so far by all sessions of the service's pool, which serves one after the other."""
        await self._service_pool.execute("SELECT pg_stat_force_next_flush()")
        await self._admin.execute("SELECT pg_stat_clear_snapshot()")
        count: int = await self._admin.fetchval(
            "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = $1", index
        )
        return count


@pytest.fixture
async def desk(
    admin_connection: Connection, service_pool: Pool, api_pool: Pool, test_clock: SettableClock, held_snapshot: None
) -> Desk:
    made = Desk(admin_connection, service_pool, api_pool)
    await made.open()
    await test_clock.set(await test_clock.now())
    return made


@pytest.mark.parametrize("analyzed_at", [None, 0, 5])
async def test_a_look_for_overdue_attempts_passes_each_entry_once(
    desk: Desk, test_clock: SettableClock, analyzed_at: int | None
) -> None:
    worker_id = await desk.worker()
    passed: list[int] = []
    for number in range(ROUNDS):
        await desk.pass_through(worker_id, desk.gather_statistics if number == analyzed_at else None)
        await test_clock.advance(3)
        before = await desk.passed("live_runs_held")
        seen = await desk.look()
        passed.append(await desk.passed("live_runs_held") - before)
        assert (seen.lost_workers, seen.overdue_attempts) == (False, False)
    assert max(passed) <= BATCH // 2 + FEW
    # As many as there are: it is this index that the looks go by.
    assert sum(passed) >= (ROUNDS - 5) * BATCH // 2

    short, _ = await desk.claim(worker_id, SHORT_SECONDS, LONG_SECONDS)
    await test_clock.advance(SHORT_SECONDS + OVERDUE_GRACE_SECONDS)
    _, since = desk.watch.span
    before = await desk.passed("live_runs_held")
    assert (await desk.look()).overdue_attempts
    (found,) = await desk.claims.find_lost(OVERDUE_GRACE_SECONDS, 10, since)
    assert (found.claimed.run_id, found.outcome) == (short.run_id, "timed_out")
    assert await desk.rescuing.rescue_since(since) == Rescued(1, is_all=True)
    assert not (await desk.look()).overdue_attempts
    assert await desk.passed("live_runs_held") - before <= 5 * (BATCH * 2 + FEW)

    before = await desk.passed("live_runs_held")
    await desk.firing.look(OVERDUE_GRACE_SECONDS)
    assert await desk.passed("live_runs_held") - before >= (ROUNDS - 5) * BATCH // 2


async def test_a_worker_that_has_left_is_passed_until_it_was_seen_to_hold_nothing(
    desk: Desk, test_clock: SettableClock
) -> None:
    leaver, stayer = await desk.worker(), await desk.worker()
    for worker_id in (leaver, stayer):
        for _ in range(ROUNDS // 2):
            await desk.pass_through(worker_id)
            await test_clock.advance(3)
    left, kept = *await desk.claim(leaver, LONG_SECONDS), *await desk.claim(stayer, LONG_SECONDS)
    await desk.look()
    assert not (await desk.look()).lost_workers

    await desk.workers.stop(leaver)
    _, since = desk.watch.span
    before = await desk.passed("live_runs_held")
    assert (await desk.look()).lost_workers
    assert await desk.rescuing.rescue_since(since) == Rescued(1, is_all=True)
    # Found once, not found once more, seen to hold nothing.
    assert await desk.passed("live_runs_held") - before <= 3 * (ROUNDS // 2) * BATCH + FEW

    before = await desk.passed("live_runs_held")
    assert not (await desk.look()).lost_workers
    assert await desk.rescuing.rescue_since(since) == Rescued(0, is_all=True)
    assert await desk.passed("live_runs_held") - before <= FEW
    assert [held.run_id for held in await desk.claims.list_held(stayer, BATCH)] == [kept.run_id]
    assert left.run_id in {run.run_id for run in await desk.claims.claim_batch(stayer, ["default"], 1)}


async def test_the_next_fire_is_found_without_passing_what_has_fired(
    desk: Desk, admin_connection: Connection, test_clock: SettableClock
) -> None:
    await admin_connection.execute(_REGISTER, BATCH)
    passed: list[int] = []
    for _ in range(ROUNDS):
        await test_clock.advance(100)
        before = await desk.passed("triggers_due")
        assert (await desk.look()).next_fire_in_seconds == 0.0
        batch = await desk.firing.due_triggers(BATCH)
        passed.append(await desk.passed("triggers_due") - before)
        assert len(batch.triggers) == BATCH
        assert (await desk.firing.apply(FENCE, plan_firing(batch))).advanced == BATCH

    # The first of each look, and the batch itself; what was fired before is passed by no look of now.
    assert max(passed[ROUNDS // 2 :]) <= 2 * BATCH + FEW
    assert (await desk.look()).next_fire_in_seconds == 100.0

    await admin_connection.execute(
        "UPDATE scheduler.triggers SET next_fire_at = next_fire_at - interval '1 year'"
        " WHERE id = (SELECT min(id::text)::uuid FROM scheduler.triggers)"
    )
    assert (await desk.look()).next_fire_in_seconds == 100.0
    await desk.firing.look_fully()
    put_back = (await desk.look()).next_fire_in_seconds
    assert put_back is not None
    assert put_back < -timedelta(days=364).total_seconds()
    assert len((await desk.firing.due_triggers(BATCH)).triggers) == 1


async def test_a_look_that_takes_too_long_is_not_made_again(
    desk: Desk, admin_connection: Connection, service_pool: Pool, test_clock: SettableClock
) -> None:
    """The leader's statements have a time limit: one that is exceeded must not be exceeded for ever."""
    await admin_connection.execute(_REGISTER, BATCH)
    assert PASSED_IN_VAIN_MAX < 3 * BATCH
    for _ in range(3):
        await test_clock.advance(100)
        await desk.firing.apply(FENCE, plan_firing(await desk.firing.due_triggers(BATCH)))
    new_leaders = PostgresFiringStore(service_pool, SingleStatements(service_pool, pooled_by_transaction=False))
    async with admin_connection.transaction():
        await admin_connection.execute("LOCK TABLE scheduler.triggers")
        await service_pool.execute("SET statement_timeout = '20ms'")
        with pytest.raises(Unavailable):
            await new_leaders.look(None)
    before = await desk.passed("triggers_due")
    assert (await new_leaders.look(None)).next_fire_in_seconds == 100.0
    assert await desk.passed("triggers_due") - before <= BATCH + FEW
    await service_pool.execute("RESET statement_timeout")
    await new_leaders.look_fully()
    assert (await new_leaders.look(None)).next_fire_in_seconds == 100.0
