"""`rota up`: database, API, scheduler and one worker on this machine, in the order in which they need one another.

    lock the data directory -> PostgreSQL -> schema -> server (API, leader) -> context.json -> sample -> worker

and the other way round at the end. The worker is a process of its own. When PostgreSQL goes, everything waits, and goes
on when it is back.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from rota.adapters.system_clock import SystemClock
from rota.adapters.system_ids import SystemIds
from rota.client.context import CONTEXT_FILE, ApiContext, default_data_dir, write_context
from rota.composition.bootstrap import DEFAULT_TENANT, is_accepted, platform_token
from rota.composition.database import database_urls
from rota.composition.loop import run_on_fast_loop
from rota.composition.options import DatabaseFlags, UpFlags
from rota.composition.sample import apply_sample
from rota.composition.server import RunningServer, prepare_schema, running_server
from rota.composition.serving import HttpServer
from rota.composition.stopping import stop_requested
from rota.composition.worker_child import ChildOptions, WorkerChild
from rota.domain.page import PageRequest
from rota.ports.clock import Clock
from rota.ports.schedule_store import ScheduleFilter, ScheduleStore
from rota.storage.postgres.data_directory import DataDirectoryLock
from rota.storage.postgres.embedded import EmbeddedPostgres, running_postgres
from rota.storage.postgres.logins import DatabaseUrls
from rota.telemetry.logs import configure_logs

ACTOR_NAME = "rota up"
HOUR_SECONDS = 3_600.0
LOOPBACK_TARGETS = ("127.0.0.0/8", "::1/128")
DRAIN_SECONDS_MAX = 40.0


class _Place(Struct, frozen=True):
    """Where the pieces are, for people."""

    data_dir: Path
    url: str
    sign_in_url: str
    database: str
    sample_count: int


def run_up(flags: UpFlags) -> None:
    """Runs until SIGINT or SIGTERM, then drains the worker, hands over and stops the database."""
    configure_logs()
    with DataDirectoryLock(flags.data_dir):
        http = HttpServer(flags.host, flags.port)
        run_on_fast_loop(_up(flags, http))


async def _up(flags: UpFlags, http: HttpServer) -> None:
    clock = SystemClock()
    with stop_requested() as stop:
        async with AsyncExitStack() as stack:
            urls = await stack.enter_async_context(_database(flags, clock))
            await prepare_schema(urls, clock, migrate=True)
            server = await stack.enter_async_context(running_server(urls, http, clock, name=ACTOR_NAME))
            place = await _first_steps(flags, http, server)
            child = await stack.enter_async_context(_worker(flags, urls, clock))
            _announce(place)
            await _wait_for_end(stop, server, child)
            if stop.is_set():
                sys.stdout.write("stopping: the worker finishes what it holds (Ctrl-C again to leave at once)\n")


@asynccontextmanager
async def _database(flags: UpFlags, clock: Clock) -> AsyncGenerator[DatabaseUrls]:
    """The one that is named, or the embedded one of the data directory for the length of the block."""
    if flags.database.url is not None:
        yield database_urls(flags.database)
        return
    postgres = EmbeddedPostgres(flags.data_dir, new_secret=SystemIds().new_secret)

    async def prune() -> None:
        while True:
            await clock.sleep(HOUR_SECONDS)
            await asyncio.to_thread(postgres.prune_logs)

    async with running_postgres(postgres) as url:
        pruning = asyncio.create_task(prune())
        try:
            yield database_urls(DatabaseFlags(url=url))
        finally:
            pruning.cancel()


async def _first_steps(flags: UpFlags, http: HttpServer, server: RunningServer) -> _Place:
    """A token that works, the context file, and at the very first start the sample schedules."""
    application, stores = server.application, server.stores
    kept = _kept_context(flags.data_dir)
    accepted = await is_accepted(stores.tokens, kept)
    token = kept.token if kept is not None and accepted else await platform_token(application.tenant_verbs, ACTOR_NAME)
    write_context(flags.data_dir, ApiContext(http.url, token, DEFAULT_TENANT))
    is_first = flags.apply_sample and await _has_never_had_schedules(stores.schedules)
    sample_count = await apply_sample(application.schedule_verbs, http.url, ACTOR_NAME) if is_first else 0
    return _Place(
        data_dir=flags.data_dir,
        url=http.url,
        sign_in_url=f"{http.url}/login?code={application.sign_in_codes.issue(token)}",
        database="the database of --database-url" if flags.database.url else f"PostgreSQL in {flags.data_dir}",
        sample_count=sample_count,
    )


def _kept_context(data_dir: Path) -> ApiContext | None:
    try:
        return msgspec.json.decode((data_dir / CONTEXT_FILE).read_bytes(), type=ApiContext)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


async def _has_never_had_schedules(schedules: ScheduleStore) -> bool:
    one = PageRequest(limit=1)
    pages = [await schedules.page(DEFAULT_TENANT, ScheduleFilter(deleted=deleted), one) for deleted in (False, True)]
    return all(page.total_count == 0 for page in pages)


@asynccontextmanager
async def _worker(flags: UpFlags, urls: DatabaseUrls, clock: Clock) -> AsyncGenerator[asyncio.Task[None]]:
    """The child that executes; drained at the end of the block, killed when it takes too long."""
    child = WorkerChild(ChildOptions(flags.app, flags.slots, LOOPBACK_TARGETS), urls, clock)
    running = asyncio.create_task(child.run())
    try:
        yield running
    finally:
        child.drain()
        _, late = await asyncio.wait([running], timeout=DRAIN_SECONDS_MAX)
        if late:
            child.kill()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _wait_for_end(stop: asyncio.Event, server: RunningServer, child: asyncio.Task[None]) -> None:
    """Until a signal, or a part that cannot go on; what broke it is raised."""
    stopping = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([stopping, server.failed, child], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    for ended in done:
        if ended is not stopping:
            ended.result()


def _announce(place: _Place) -> None:
    """The few lines that a person needs."""
    is_default = place.data_dir == default_data_dir().expanduser()
    reach = "rota schedule list" if is_default else f"rota schedule list --data-dir {place.data_dir}"
    lines = [
        "",
        f"  Rota is up at   {place.url}",
        f"  sign in with    {place.sign_in_url}   (works once)",
        f"  data            {place.database}",
        f"  context         {place.data_dir / CONTEXT_FILE}   (address and token, for the CLI)",
        f"  try             {reach}",
    ]
    if place.sample_count:
        lines.append(f"  sample          {place.sample_count} schedules to watch")
    lines += [
        "  allowed here    commands (rota.exec) and HTTP targets on the loopback; `rota server` allows neither by itself",
        "",
        "  Ctrl-C stops everything; the data stays.",
        "",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
