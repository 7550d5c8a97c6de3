"""Workers that are killed in the middle of a job: there is one result in the end, and none is seen before."""

import signal
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from rota.adapters.system_ids import SystemIds
from rota.domain.graph_job import GraphBuildRequest, GraphJob
from rota.domain.ids import JobId, RunId, TokenId
from rota.domain.jobs import JobState
from rota.domain.page import PageRequest
from rota.services.acting import Actor
from rota.services.graph_job_verbs import GraphJobVerbs
from rota.services.job_making import JobParts
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.job_work import PostgresJobEnds
from rota.storage.postgres.jobs import PostgresGraphJobStore
from rota.storage.postgres.schedules import PostgresScheduleStore
from tests.integration.worker.conftest import ACME, House
from tests.samples import sbom
from tests.support.waiting import wait_until

ADA = Actor(ACME, "ada", TokenId("token-of-ada"), "operator")
END_WORKERS = (
    "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name = 'test worker'"
)


class Works:
    """Graph jobs in a house."""

    def __init__(self, house: House, api_pool: Pool, service_pool: Pool) -> None:
        parts = JobParts(PostgresScheduleStore(api_pool), house.control, SystemIds(), house.wakeups)
        self.house = house
        self.graphs = PostgresGraphJobStore(api_pool)
        self.verbs = GraphJobVerbs(self.graphs, parts)
        self.ends = PostgresJobEnds(service_pool)
        self.pool = service_pool

    async def build(self) -> GraphJob:
        made = await self.verbs.build(ADA, GraphBuildRequest(sbom=sbom(), sbom_id="shop"))
        return await self.graphs.get(ACME, made.job_id)

    async def comes_into(self, job_id: JobId, state: JobState) -> None:
        async def look() -> bool:
            await self.ends.settle_ended("graph", 10)
            return (await self.graphs.get(ACME, job_id)).state == state

        await wait_until(look, 20.0, f"the state {state}")

    async def seen(self, job_id: JobId) -> int:
        return (await self.graphs.items(ACME, job_id, None, PageRequest())).total_count

    async def stored(self, job_id: JobId) -> int:
        count: int = await self.pool.fetchval("SELECT count(*) FROM scheduler.graph_items WHERE job_id = $1", job_id)
        return count


@pytest.fixture
def works(house: House, api_pool: Pool, service_pool: Pool) -> Works:
    return Works(house, api_pool, service_pool)


async def begun(works: Works) -> tuple[GraphJob, Callable[[], None], Callable[[], None]]:
    """A job that a worker has begun, whose executor is frozen; what thaws it, and what kills the worker."""
    worker = works.house.start_process(executors=1)
    await works.house.ended(await works.house.one("noop"))
    (executor,) = worker.executors()
    executor.suspend()
    job = await works.build()
    await works.comes_into(job.id, "running")
    return job, executor.resume, lambda: worker.signal(signal.SIGKILL)


async def finished(works: Works, job: GraphJob) -> None:
    """Another worker does it again; there is one result, and it is whole."""
    assert await works.seen(job.id) == 0
    works.house.start_process(executors=1)
    await wait_until(works.house.rescue, 15, "the rescue")
    await works.comes_into(job.id, "succeeded")
    run = await works.house.run(RunId(job.run_id or ""))
    assert (run.state, run.attempts_count, run.result["components_count"]) == ("succeeded", 2, 7)
    assert (await works.seen(job.id), await works.stored(job.id)) == (12, 12)
    states = [event.state for event in await works.graphs.events(ACME, job.id)]
    assert states == ["queued", "running", "succeeded"]


async def test_a_worker_that_is_killed_while_it_works_leaves_nothing(works: Works) -> None:
    job, _, kill = await begun(works)
    kill()
    assert await works.stored(job.id) == 0
    await finished(works, job)


async def test_a_worker_that_is_killed_between_its_result_and_its_end_leaves_what_nobody_sees(
    works: Works, service_pool: Pool, admin_connection: Connection
) -> None:
    job, thaw, kill = await begun(works)
    async with AsyncExitStack() as held:
        connection = await held.enter_async_context(service_pool.acquire())
        transaction = await held.enter_async_context(connection.transaction())
        del transaction
        await connection.fetch("SELECT FROM scheduler.live_runs WHERE run_id = $1 FOR SHARE", job.run_id)
        thaw()
        await wait_until(lambda: works.stored(job.id), what="the saved result")
        kill()
        await admin_connection.fetchval(END_WORKERS)
    assert await works.stored(job.id) == 12
    await finished(works, job)
