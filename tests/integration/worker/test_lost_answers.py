"""The store commits, and its answer never arrives: nothing is done twice, and nothing stays held in ignorance.

A link between the worker and the database loses the answers of the statements that a test names.
"""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest

from rota.domain.errors import Unavailable
from rota.domain.ids import ScheduleId, WorkerId
from rota.domain.run import ClaimedRun, LogLine
from rota.domain.worker import Renewal, WorkerSpec
from rota.storage.postgres.connections import PoolOptions, open_pool
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.logins import Login
from rota.storage.postgres.run_claims import PostgresRunClaims
from rota.storage.postgres.workers import PostgresWorkerStore
from rota.worker import answering, forgotten
from tests.contract.records import new_id
from tests.contract.run_stores import retry, success
from tests.contract.stores import START
from tests.integration.worker.conftest import ACME, AT_ONCE, House
from tests.support.lossy_link import Fate, LossyLink
from tests.support.postgres import ClonedDatabase
from tests.support.waiting import loop_sleep, wait_until

CLAIM, SETTLE, RENEW = "Hands due runs to one worker", "Ends attempts, each under its token", "prolongs its lease"


@pytest.fixture
async def link(database: ClonedDatabase) -> AsyncGenerator[LossyLink]:
    async with LossyLink(database.urls.service).opened() as opened:
        yield opened


@pytest.fixture
async def lossy_pool(link: LossyLink) -> AsyncGenerator[Pool]:
    """Through the link. Sessions that were never answered are not waited for at its end."""
    options = PoolOptions(connections_max=6)
    pool = await open_pool(link.url, Login.SERVICE, application_name="test", sleep=loop_sleep, options=options)
    yield pool
    pool.terminate()


@pytest.fixture
def lossy_house(house: House, lossy_pool: Pool) -> House:
    """The worker's stores lead through the link; the tenant's do not."""
    house.claims, house.workers = PostgresRunClaims(lossy_pool), PostgresWorkerStore(lossy_pool)
    return house


@pytest.mark.parametrize("fate", ["cut", "silent"])
async def test_a_run_whose_claim_was_not_answered_is_executed_soon_and_once(
    lossy_house: House, link: LossyLink, fate: Fate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "ANSWER_SECONDS_MAX", 0.5)
    run_id = await lossy_house.one("noop")
    link.lose(CLAIM, fate=fate)
    await lossy_house.start()

    run = await lossy_house.ended(run_id, 10)

    assert link.losses_count == 1
    assert (run.state, run.attempts_count) == ("succeeded", 1)
    assert [attempt.outcome for attempt in await lossy_house.attempts(run_id)] == ["succeeded"]


async def test_however_many_claims_are_not_answered_none_is_forgotten(lossy_house: House, link: LossyLink) -> None:
    free = await lossy_house.enqueue("noop", 30)
    serial = await lossy_house.enqueue("noop", 3, turn_of=ScheduleId(new_id()))
    link.lose(CLAIM, times=5)
    await lossy_house.start()

    ended = [await lossy_house.ended(run_id, 20) for run_id in (*free, *serial)]

    assert link.losses_count == 5
    assert {(run.state, run.attempts_count) for run in ended} == {("succeeded", 1)}


async def test_a_claim_that_reaches_the_store_after_it_was_given_up_is_found(
    lossy_house: House, link: LossyLink
) -> None:
    link.lose(CLAIM, fate="late")
    await lossy_house.start(slots=1)
    await wait_until(lambda: link.losses_count == 1)
    await lossy_house.marked("until_told")
    await lossy_house.began("innocent_began")
    run_id = await lossy_house.one("noop")

    await link.deliver_late()
    taken = await lossy_house.run(run_id)

    async def given_back() -> bool:
        return (await lossy_house.run(run_id)).state == "queued"

    assert taken.state == "running"
    await wait_until(given_back, 20)
    (lossy_house.marks / "told").touch()
    assert (await lossy_house.ended(run_id)).attempts_count == 1


async def test_a_worker_that_drains_leaves_nothing_behind_that_it_was_not_told_of(
    lossy_house: House, link: LossyLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgotten, "LOOK_SECONDS_MIN", 60.0)
    run_id = await lossy_house.one("noop")
    link.lose(CLAIM)
    await lossy_house.start()
    await wait_until(lambda: link.losses_count == 1)

    await lossy_house.stop()

    run = await lossy_house.run(run_id)
    assert (run.state, run.attempts_count) == ("queued", 0)


async def test_an_end_whose_answer_is_lost_is_recorded_once(lossy_house: House, link: LossyLink) -> None:
    link.lose(SETTLE, times=2)
    await lossy_house.start()
    twice = await lossy_house.one("retry_once", retry=AT_ONCE)
    done = await lossy_house.one("noop")

    ended = [await lossy_house.ended(run_id) for run_id in (twice, done)]
    await lossy_house.stop()

    assert link.losses_count == 2
    assert [(run.state, run.attempts_count) for run in ended] == [("succeeded", 2), ("succeeded", 1)]
    assert [attempt.outcome for attempt in await lossy_house.attempts(twice)] == ["failed", "succeeded"]


async def test_a_renewal_without_an_answer_does_not_cost_the_lease(lossy_house: House, link: LossyLink) -> None:
    await lossy_house.start()
    await lossy_house.ended(await lossy_house.one("noop"))
    before = (await lossy_house.workers.list_recent(10))[0]
    link.lose(RENEW, fate="silent")
    await wait_until(lambda: link.losses_count == 1)

    async def has_outlived_its_lease() -> bool:
        seen = [each.heartbeat_at for each in await lossy_house.workers.list_recent(10)]
        return max(seen) - before.heartbeat_at > timedelta(seconds=6)

    await wait_until(has_outlived_its_lease, 15)
    after = await lossy_house.workers.list_recent(10)
    assert [(each.id, each.state) for each in after] == [(before.id, "active")]


@pytest.mark.parametrize("pooled", [False, True])
async def test_silent_connections_take_no_place_in_the_pool(lossy_pool: Pool, link: LossyLink, *, pooled: bool) -> None:
    workers = PostgresWorkerStore(lossy_pool, pooled_by_transaction=pooled)
    link.lose("A worker ends of its own accord", times=7, fate="silent")
    for number in range(7):
        stopping = asyncio.create_task(workers.stop(WorkerId(new_id())))
        await wait_until(lambda expected=number + 1: link.losses_count == expected)
        stopping.cancel()
        async with asyncio.timeout(5):
            await asyncio.gather(stopping, return_exceptions=True)
        assert stopping.cancelled()

    async with asyncio.timeout(5):
        assert await workers.list_recent(10) == ()


async def test_an_end_without_an_answer_holds_no_other_end_up(
    lossy_house: House, link: LossyLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "ANSWER_SECONDS_MAX", 0.5)
    await lossy_house.start()
    link.lose(SETTLE, fate="silent")
    await lossy_house.ended(await lossy_house.one("noop"))

    run = await lossy_house.ended(await lossy_house.one("noop"), 5)

    assert (link.losses_count, run.state) == (1, "succeeded")


class Held:
    """A worker that holds two runs, spoken of through the link."""

    def __init__(self, house: House, spec: WorkerSpec, claims: tuple[ClaimedRun, ...]) -> None:
        self.house, self.spec, self.claims = house, spec, claims

    async def register(self) -> object:
        return await self.house.workers.register(self.spec, 60)

    async def renew(self) -> object:
        return await self.house.workers.renew_if_live(self.spec.id, ("default",), 60)

    async def drain(self) -> object:
        return await self.house.workers.drain(self.spec.id)

    async def stop(self) -> object:
        return await self.house.workers.stop(self.spec.id)

    async def succeed(self) -> object:
        results = await self.house.claims.settle_batch([success(claimed) for claimed in self.claims])
        return [result.accepted for result in results]

    async def retry(self) -> object:
        results = await self.house.claims.settle_batch([retry(claimed) for claimed in self.claims])
        return [result.accepted for result in results]

    async def give_back(self) -> object:
        return await self.house.claims.give_back_batch(self.claims)

    async def write_lines(self) -> object:
        lines = [LogLine(claimed.run_id, 1, 1, START, "log", "a") for claimed in self.claims]
        return await self.house.claims.append_log_lines(lines, [ACME] * len(lines))


@pytest.fixture
async def held(lossy_house: House) -> Held:
    spec = WorkerSpec(WorkerId(new_id()), "w", ("default",), 10, ("noop",), "host", 7, "0.1")
    await lossy_house.enqueue("noop", 2)
    await lossy_house.workers.register(spec, 60)
    return Held(lossy_house, spec, await lossy_house.claims.claim_batch(spec.id, ("default",), 2))


REPEATED = {
    "register": ("A worker begins", Held.register, None),
    "renew": (RENEW, Held.renew, Renewal(60.0)),
    "drain": ("A worker claims no more", Held.drain, None),
    "stop": ("A worker ends of its own accord", Held.stop, None),
    "succeed": (SETTLE, Held.succeed, [False, False]),
    "retry": (SETTLE, Held.retry, [False, False]),
    "give_back": (SETTLE, Held.give_back, 0),
    "write_lines": ("log_lines", Held.write_lines, None),
}


@pytest.mark.parametrize("verb", REPEATED)
async def test_what_is_said_again_because_its_answer_was_lost_changes_nothing_more(
    held: Held, link: LossyLink, admin_connection: Connection, verb: str
) -> None:
    part, say, answer = REPEATED[verb]
    link.lose(part)

    with pytest.raises(Unavailable):
        await say(held)
    before = await everything(admin_connection)
    again = await say(held)

    assert link.losses_count == 1
    assert again == answer
    assert await everything(admin_connection) == before


async def everything(connection: Connection) -> list[str]:
    """Each row of what a worker may write, without the instants that a renewal moves."""
    rows: list[str] = []
    for table in ("runs", "live_runs", "attempts", "events", "log_lines", "schedule_turns", "workers"):
        found = await connection.fetch(
            f"SELECT (to_jsonb(t) - ARRAY['heartbeat_at', 'lease_expires_at'])::text AS text FROM scheduler.{table} t"
        )
        rows += sorted(f"{table} {row['text']}" for row in found)
    return rows
