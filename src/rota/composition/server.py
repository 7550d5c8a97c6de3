"""A server process: the API with its pages, and a candidate for leadership. `rota server` runs one; `rota up` too."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import structlog
from msgspec import Struct

from rota.adapters.system_clock import SystemClock
from rota.adapters.system_ids import SystemIds
from rota.adapters.system_rng import SystemRng
from rota.composition.application import Application, Machine, build_application
from rota.composition.awaiting import StopAsked, until_answered
from rota.composition.bootstrap import ensure_default_tenant
from rota.composition.database import database_urls, leader_pool, server_pools
from rota.composition.leading import Leadership, LeadingParts, leadership
from rota.composition.loop import run_on_fast_loop
from rota.composition.options import ServerFlags
from rota.composition.serving import HttpServer
from rota.composition.stopping import stop_requested
from rota.composition.stores import ServerStores, server_stores
from rota.composition.wakeups import wakeups_of
from rota.domain.errors import DomainError, Unavailable
from rota.domain.problems import FieldProblem
from rota.ports.clock import Clock
from rota.services.supervision import Supervisor
from rota.storage.postgres.logins import DatabaseUrls
from rota.storage.postgres.migrator import Migrator
from rota.telemetry.logs import configure_logs
from rota.telemetry.metrics import Metrics

_log = structlog.get_logger("rota.server")


class RunningServer(Struct, frozen=True):
    """What runs inside `running_server`. `failed` ends only when a duty or the HTTP server met a defect."""

    application: Application
    stores: ServerStores
    failed: asyncio.Task[None]


def run_server(flags: ServerFlags) -> None:
    """Runs until SIGTERM or SIGINT: the lease is handed over, then open requests are answered.

    It waits for a database that is away, however long that is.
    """
    configure_logs()
    http = HttpServer(flags.host, flags.port)
    run_on_fast_loop(_serve(flags, http))


async def _serve(flags: ServerFlags, http: HttpServer) -> None:
    urls, clock = database_urls(flags.database), SystemClock()
    migrator = Migrator(urls, sleep=clock.sleep)
    with stop_requested() as stop, suppress(StopAsked):
        async with AsyncExitStack() as stack:
            await until_answered(lambda: _prepare(migrator, migrate=flags.migrate), stop)
            server = await until_answered(
                lambda: stack.enter_async_context(running_server(urls, http, clock, name="rota server")), stop
            )
            _log.info("ready", url=http.url)
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait([stopping, server.failed], return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()


async def prepare_schema(urls: DatabaseUrls, clock: Clock, *, migrate: bool) -> None:
    """Bring the schema up to date, or refuse to run on an older one."""
    try:
        await _prepare(Migrator(urls, sleep=clock.sleep), migrate=migrate)
    except Unavailable as silent:
        remedy = "check host and port, and that the server runs and accepts connections from here"
        problem = FieldProblem("--database-url", silent.detail, remedy)
        raise DomainError("UNAVAILABLE", "the database cannot be reached", [problem]) from silent


async def _prepare(migrator: Migrator, *, migrate: bool) -> None:
    if migrate:
        await migrator.migrate()
        return
    status = await migrator.check()
    if status.pending or status.changed:
        remedy = "run `rota migrate`, or leave out --no-migrate"
        problem = FieldProblem("--no-migrate", f"pending: {', '.join(status.pending or status.changed)}", remedy)
        raise DomainError("STATE_CONFLICT", "the database's schema is not this version's", [problem])


@asynccontextmanager
async def running_server(
    urls: DatabaseUrls, http: HttpServer, clock: Clock, *, name: str
) -> AsyncGenerator[RunningServer]:
    """A server that answers and stands for election. At the end: resign, finish requests, stop duties, close pools."""
    async with AsyncExitStack() as stack:
        pools = await stack.enter_async_context(server_pools(urls, clock))
        fenced = await stack.enter_async_context(leader_pool(urls, clock))
        wakeups = await stack.enter_async_context(wakeups_of(urls, clock))
        stores, ids, metrics = server_stores(pools), SystemIds(), Metrics()
        candidate = leadership(LeadingParts(urls, fenced, pools, stores, wakeups, clock, ids, metrics), _holder())
        machine = Machine(clock, ids, wakeups, metrics)
        application = build_application(stores, machine, {"leadership": candidate.readiness})
        # Before anything is written: a row of today in a default partition would keep today's from being made.
        await stores.partitions.ensure_ahead()
        await ensure_default_tenant(application.tenant_verbs, stores.tenants, name)
        supervisor = Supervisor(candidate.duties, clock, SystemRng())
        supervisor.start()
        serving = asyncio.create_task(http.serve(application.app))
        failed = asyncio.create_task(_first_failure(supervisor, serving))
        try:
            await asyncio.wait([asyncio.create_task(http.wait_started()), serving], return_when="FIRST_COMPLETED")
            yield RunningServer(application, stores, failed)
        finally:
            await _stop(candidate, http, application, serving, supervisor)
            failed.cancel()
            await asyncio.gather(failed, return_exceptions=True)


async def _first_failure(supervisor: Supervisor, serving: asyncio.Task[None]) -> None:
    duties = asyncio.create_task(supervisor.wait())
    try:
        done, _ = await asyncio.wait([duties, serving], return_when=asyncio.FIRST_COMPLETED)
    finally:
        duties.cancel()
    for ended in done:
        ended.result()


async def _stop(
    candidate: Leadership,
    http: HttpServer,
    application: Application,
    serving: asyncio.Task[None],
    supervisor: Supervisor,
) -> None:
    try:
        await candidate.resign()
    finally:
        http.stop(application.app)
        await asyncio.gather(serving, return_exceptions=True)
        await supervisor.stop()


def _holder() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
