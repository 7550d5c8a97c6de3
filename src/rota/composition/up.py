"""`rota up`: database, API, scheduler and one worker on this machine, in the order in which they need one another.

    lock the data directory -> PostgreSQL -> schema -> server (API, leader) -> context.json -> sample -> worker

and the other way round at the end. The worker is a process of its own. When PostgreSQL goes, everything waits, and goes
on when it is back; the embedded one is started again.
"""

import asyncio
import shutil
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from rota.adapters.system_clock import SystemClock
from rota.adapters.system_ids import SystemIds
from rota.client.context import CONTEXT_FILE, ApiContext, default_data_dir, write_context
from rota.composition.bootstrap import DEFAULT_TENANT, is_accepted, platform_token
from rota.composition.database import database_urls
from rota.composition.database_keeping import end_at_once, kept_database
from rota.composition.loop import run_on_fast_loop
from rota.composition.options import DatabaseFlags, UpFlags
from rota.composition.sample import apply_sample
from rota.composition.server import RunningServer, prepare_schema, running_server
from rota.composition.serving import HttpServer
from rota.composition.stopping import stop_requested
from rota.composition.worker_child import ChildOptions, WorkerChild
from rota.domain.errors import DomainError, Unavailable
from rota.domain.page import PageRequest
from rota.domain.problems import FieldProblem
from rota.ports.clock import Clock
from rota.ports.schedule_store import ScheduleFilter, ScheduleStore
from rota.storage.postgres.data_directory import DataDirectoryLock
from rota.storage.postgres.embedded import EmbeddedPostgres
from rota.storage.postgres.logins import DatabaseUrls
from rota.telemetry.logs import configure_logs

ACTOR_NAME = "rota up"
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
LOOPBACK_TARGETS = ("127.0.0.0/8", "::1/128")
DRAIN_SECONDS_MAX = 40.0
MEGABYTE = 1_048_576
FREE_BYTES_MIN = 200 * MEGABYTE


class _Place(Struct, frozen=True):
    """Where the pieces are, for people."""

    data_dir: Path
    url: str
    listens_on: str
    sign_in_url: str
    database: str
    sample_count: int


def run_up(flags: UpFlags) -> None:
    """Runs until SIGINT or SIGTERM, then drains the worker, hands over and stops the database."""
    configure_logs(requests=not sys.stderr.isatty())
    with _explained(flags.data_dir), DataDirectoryLock(flags.data_dir):
        run_on_fast_loop(_up(flags, HttpServer(flags.host, flags.port)))


@contextmanager
def _explained(data_dir: Path) -> Generator[None]:
    """A file system that refuses is no defect of ours: it is told in words, with a remedy."""
    try:
        yield
    except Unavailable as failed:
        if not data_dir.exists() or (free := shutil.disk_usage(data_dir).free) >= FREE_BYTES_MIN:
            raise
        problem = FieldProblem(
            "--data-dir",
            f"{data_dir} has {free // MEGABYTE} MB of free space: {failed.detail}",
            f"make room for {FREE_BYTES_MIN // MEGABYTE} MB, or choose another directory with --data-dir DIR",
        )
        raise DomainError("UNAVAILABLE", f"there is too little room in {data_dir}", [problem]) from failed
    except OSError as refused:
        place = refused.filename or data_dir
        problem = FieldProblem(
            "--data-dir",
            f"{place}: {refused.strerror or refused}",
            f"make room, mend its permissions, or choose another directory than {data_dir} with --data-dir DIR",
        )
        raise DomainError("STATE_CONFLICT", f"{data_dir} cannot be worked in", [problem]) from refused


async def _up(flags: UpFlags, http: HttpServer) -> None:
    """The whole life as one task, which the first signal cancels, whatever it is at."""
    last_resorts: list[Callable[[], None]] = []

    def leave() -> None:
        for act in last_resorts:
            act()

    with stop_requested(leave) as stop:
        life = asyncio.create_task(_live(flags, http, stop, last_resorts))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([life, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not life.done():
            _say("stopping: the worker finishes what it holds (Ctrl-C again to leave at once)\n")
            life.cancel()
        try:
            await life
        except asyncio.CancelledError:
            if not stop.is_set():
                raise


async def _live(flags: UpFlags, http: HttpServer, stop: asyncio.Event, last_resorts: list[Callable[[], None]]) -> None:
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        urls = await stack.enter_async_context(_database(flags, clock, last_resorts))
        await prepare_schema(urls, clock, migrate=True)
        server = await stack.enter_async_context(running_server(urls, http, clock, name=ACTOR_NAME))
        place = await _first_steps(flags, http, server)
        options = ChildOptions(flags.app, flags.slots, LOOPBACK_TARGETS, (DEFAULT_TENANT,), http.url)
        child = WorkerChild(options, urls, clock)
        last_resorts.insert(0, child.kill)
        running = await stack.enter_async_context(_worker(child))
        _announce(place)
        await _wait_for_end(stop, server, running)


@asynccontextmanager
async def _database(
    flags: UpFlags, clock: Clock, last_resorts: list[Callable[[], None]]
) -> AsyncGenerator[DatabaseUrls]:
    """The one that is named, or the embedded one of the data directory for the length of the block."""
    if flags.database.url is not None:
        yield database_urls(flags.database)
        return
    postgres = EmbeddedPostgres(flags.data_dir, new_secret=SystemIds().new_secret)
    last_resorts.append(lambda: end_at_once(postgres))
    async with kept_database(postgres, clock) as url:
        yield database_urls(DatabaseFlags(url=url))


async def _first_steps(flags: UpFlags, http: HttpServer, server: RunningServer) -> _Place:
    """A token that works, the context file, and at the very first start the sample schedules."""
    application, stores = server.application, server.stores
    kept = _kept_context(flags.data_dir)
    accepted = await is_accepted(stores.tokens, kept)
    token = kept.token if kept is not None and accepted else await platform_token(application.tenant_verbs, ACTOR_NAME)
    write_context(flags.data_dir, ApiContext(http.url, token, DEFAULT_TENANT))
    is_first = flags.apply_sample and await _has_never_had_schedules(stores.schedules)
    sample_count = (
        await apply_sample(application.schedule_verbs, stores.schedules, http.url, ACTOR_NAME) if is_first else 0
    )
    return _Place(
        data_dir=flags.data_dir,
        url=http.url,
        listens_on=flags.host,
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
async def _worker(child: WorkerChild) -> AsyncGenerator[asyncio.Task[None]]:
    """The child that executes; drained at the end of the block, killed when it takes too long."""
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
    reach = f"{_command()} schedule list" + ("" if is_default else f" --data-dir {place.data_dir}")
    lines = [
        "",
        f"  Rota is up at   {place.url}",
        f"  sign in with    {place.sign_in_url}   (works once)",
        f"  data            {place.database}",
        f"  context         {place.data_dir / CONTEXT_FILE}   (address and token, for the CLI)",
        f"  try             {reach}",
    ]
    if place.listens_on not in LOOPBACK_HOSTS:
        lines.append(f"  listens on      {place.listens_on}   (other machines reach it, unencrypted)")
    if place.sample_count:
        lines.append(f"  sample          {place.sample_count} schedules to watch")
    lines += [
        f"  allowed here    commands (rota.exec) of tenant {DEFAULT_TENANT}, HTTP targets on the loopback",
        "",
        "  Ctrl-C stops everything; the data stays.",
        "",
    ]
    _say("\n".join(lines) + "\n")


def _say(text: str) -> None:
    """To a reader who may have gone: a closed terminal or pipe must not end what runs."""
    with suppress(OSError):
        sys.stdout.write(text)
        sys.stdout.flush()


def _command() -> str:
    """How this very program is called from where the person stands: a bare `rota` only where the shell finds it."""
    return "rota" if shutil.which("rota") else sys.argv[0]
