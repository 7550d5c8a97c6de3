"""`rota worker start`: a worker process on the database that is named."""

import asyncio
import sys
from collections.abc import Generator
from contextlib import contextmanager

from rota.adapters.system_clock import SystemClock
from rota.adapters.system_ids import SystemIds
from rota.adapters.system_rng import SystemRng
from rota.composition.database import worker_pool, worker_urls
from rota.composition.loop import run_on_fast_loop
from rota.composition.options import WorkerFlags
from rota.composition.stopping import stop_requested
from rota.composition.wakeups import wakeups_of
from rota.domain.errors import DomainError
from rota.domain.problems import FieldProblem
from rota.storage.postgres.run_claims import PostgresRunClaims
from rota.storage.postgres.workers import PostgresWorkerStore
from rota.telemetry.logs import configure_logs
from rota.worker.options import WorkerOptions, refuse_invalid
from rota.worker.process import run_worker
from rota.worker.worker_ports import WorkerPorts


def run_worker_process(flags: WorkerFlags) -> None:
    """Runs until SIGTERM or SIGINT has drained it (or, as a child, until its parent is gone)."""
    configure_logs()
    run_on_fast_loop(_work(flags))


async def _work(flags: WorkerFlags) -> None:
    options = _options(flags)
    with _by_flag():
        refuse_invalid(options)
    urls, clock = worker_urls(flags.database), SystemClock()
    async with worker_pool(urls, clock) as pool, wakeups_of(urls, clock) as wakeups:
        pooled = urls.pooled_by_transaction
        ports = WorkerPorts(
            claims=PostgresRunClaims(pool, pooled_by_transaction=pooled),
            workers=PostgresWorkerStore(pool, pooled_by_transaction=pooled),
            wakeups=wakeups,
            clock=clock,
            rng=SystemRng(),
            ids=SystemIds(),
        )
        with stop_requested() as stop:
            watch = asyncio.create_task(_stop_with_parent(stop)) if flags.stop_with_parent else None
            try:
                with _by_flag():
                    await run_worker(options, ports, stop=stop)
            finally:
                if watch is not None:
                    watch.cancel()


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
    )


async def _stop_with_parent(stop: asyncio.Event) -> None:
    """The parent holds the other end of standard input; its end is the parent's, however that came."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    stop.set()
