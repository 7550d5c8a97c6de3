"""`rota worker start`: a worker process on the database that is named."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress

from rota.adapters.system_clock import SystemClock
from rota.adapters.system_ids import SystemIds
from rota.adapters.system_rng import SystemRng
from rota.composition.awaiting import StopAsked, until_answered
from rota.composition.database import worker_pool, worker_urls
from rota.composition.loop import run_on_fast_loop
from rota.composition.options import WorkerFlags
from rota.composition.stopping import stop_requested
from rota.composition.wakeups import wakeups_of
from rota.domain.errors import DomainError
from rota.domain.problems import FieldProblem
from rota.ports.clock import Clock
from rota.storage.postgres.callbacks import PostgresCallbackWaits
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.fan_outs import PostgresFanOutPlans
from rota.storage.postgres.job_work import PostgresJobWork
from rota.storage.postgres.login_roles import require_login
from rota.storage.postgres.logins import DatabaseUrls, Login
from rota.storage.postgres.run_claims import PostgresRunClaims
from rota.storage.postgres.schema_waiting import require_schema
from rota.storage.postgres.signing_secrets import PostgresSigningKeys
from rota.storage.postgres.workers import PostgresWorkerStore
from rota.telemetry.logs import configure_logs
from rota.worker.callback_claims import CallbackClaims
from rota.worker.fan_out_claims import FanOutClaims
from rota.worker.job_claims import JobClaims
from rota.worker.options import WorkerOptions, refuse_invalid
from rota.worker.process import run_worker
from rota.worker.signing_claims import SigningClaims
from rota.worker.worker_ports import WorkerPorts


def run_worker_process(flags: WorkerFlags) -> None:
    """Runs until SIGTERM or SIGINT has drained it (or, as a child, until its parent is gone).

    It waits for a database that is away or not migrated yet, however long that is.
    """
    configure_logs()
    run_on_fast_loop(_work(flags))


async def _work(flags: WorkerFlags) -> None:
    options = _options(flags)
    with _by_flag():
        refuse_invalid(options)
    urls = worker_urls(flags.database)
    with stop_requested() as stop:
        watch = asyncio.create_task(_stop_with_parent(stop)) if flags.stop_with_parent else None
        try:
            with suppress(StopAsked):
                async with _ports(urls, stop, options) as ports:
                    with _by_flag():
                        await run_worker(options, ports, stop=stop)
        finally:
            if watch is not None:
                watch.cancel()


@asynccontextmanager
async def _ports(urls: DatabaseUrls, stop: asyncio.Event, options: WorkerOptions) -> AsyncGenerator[WorkerPorts]:
    """What the worker needs, as soon as there is a database with the schema of this version."""
    clock, pooled = SystemClock(), urls.pooled_by_transaction
    async with AsyncExitStack() as stack:
        pool = await until_answered(lambda: _pool(stack, urls, clock), stop)
        await until_answered(lambda: require_schema(pool), stop)
        plans = PostgresFanOutPlans(pool, pooled_by_transaction=pooled)
        yield WorkerPorts(
            claims=JobClaims(
                CallbackClaims(
                    SigningClaims(
                        FanOutClaims(PostgresRunClaims(pool, pooled_by_transaction=pooled), plans),
                        PostgresSigningKeys(pool, pooled_by_transaction=pooled),
                    ),
                    PostgresCallbackWaits(pool, pooled_by_transaction=pooled),
                    SystemIds(),
                    options.public_url,
                ),
                PostgresJobWork(pool),
            ),
            workers=PostgresWorkerStore(pool, pooled_by_transaction=pooled),
            wakeups=await stack.enter_async_context(wakeups_of(urls, clock)),
            clock=clock,
            rng=SystemRng(),
            ids=SystemIds(),
            plans=plans,
        )


async def _pool(stack: AsyncExitStack, urls: DatabaseUrls, clock: Clock) -> Pool:
    try:
        return await stack.enter_async_context(worker_pool(urls, clock))
    except DomainError:
        await require_login(urls, Login.SERVICE, sleep=clock.sleep)
        raise


@contextmanager
def _by_flag() -> Generator[None]:
    """What is wrong with an option is told by the name of its flag."""
    try:
        yield
    except DomainError as wrong:
        named = [FieldProblem(_flag(one.field), one.problem, one.remedy) for one in wrong.problems]
        raise DomainError(wrong.code, wrong.detail, named) from wrong


def _flag(field: str) -> str:
    option = field.partition("[")[0]
    return _FLAGS.get(option, field)


_FLAGS = {
    "app": "--app",
    "queues": "--queue",
    "slots": "--slots",
    "allow_targets": "--allow-target",
    "allow_exec_for": "--allow-exec-for",
    "public_url": "--public-url",
}


def _options(flags: WorkerFlags) -> WorkerOptions:
    return WorkerOptions(
        queues=flags.queues,
        slots=flags.slots,
        app=flags.app,
        name=flags.name or "",
        allow_exec=flags.allow_exec,
        allow_exec_for=flags.allow_exec_for,
        allow_targets=flags.allow_targets,
        samples=flags.samples,
        public_url=flags.public_url,
    )


async def _stop_with_parent(stop: asyncio.Event) -> None:
    """The parent holds the other end of standard input; its end is the parent's, however that came."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    stop.set()
