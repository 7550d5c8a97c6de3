"""A worker from start to end: one incarnation after another, until it is told to stop.

An incarnation ends with its lease. The next one registers under a new id; what the last one had settled is still told
to the store, which refuses what came too late. An app that cannot be loaded at the start ends the worker with the
reason; one that breaks later, under executors that restart, is reported with every try.
"""

import asyncio
import contextlib
import signal
from collections.abc import Generator, Sequence

import structlog

from rota.domain.errors import invalid_input
from rota.worker.log_shipping import LogShipper
from rota.worker.options import WorkerOptions, refuse_invalid
from rota.worker.settling import Settler
from rota.worker.supervisor import Incarnation, Outgoing
from rota.worker.warden_link import WardenLink
from rota.worker.worker_ports import WorkerPorts

REBIRTH_SECONDS_BASE = 0.2
REBIRTH_SECONDS_CAP = 5.0
LAST_WORDS_SECONDS_MAX = 5.0

_log = structlog.get_logger("rota.worker")


async def run_worker(options: WorkerOptions, ports: WorkerPorts, *, stop: asyncio.Event | None = None) -> None:
    """Run until `stop` is set and everything that is held has ended; without `stop`, until SIGTERM or SIGINT.

    Cancelling it kills the executors at once: their runs are rescued when the lease ends. Raises INVALID_INPUT for
    wrong options, and for an app that cannot be loaded.
    """
    refuse_invalid(options)
    lines = LogShipper(ports.claims, ports.clock)
    outgoing = Outgoing(Settler(ports.claims, lines, ports.wakeups, ports.clock), lines, WardenLink(ports.clock))
    with contextlib.ExitStack() as stack:
        told = stop or stack.enter_context(_stop_on_signals())
        living = asyncio.create_task(_live(options, ports, outgoing, told))
        loops = [asyncio.create_task(work) for work in (outgoing.settler.run(), lines.run(), outgoing.warden.keep())]
        try:
            ended, _ = await asyncio.wait([living, *loops], return_when=asyncio.FIRST_COMPLETED)
        finally:
            # The executors go first: the loops have something to tell until they are gone.
            await _cancelled([living])
            await _cancelled(loops)
        for task in ended:
            task.result()


async def _cancelled(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def _live(options: WorkerOptions, ports: WorkerPorts, outgoing: Outgoing, stop: asyncio.Event) -> None:
    await _incarnations(options, ports, outgoing, stop)
    await _say_last_words(outgoing)


async def _incarnations(options: WorkerOptions, ports: WorkerPorts, outgoing: Outgoing, stop: asyncio.Event) -> None:
    delay = REBIRTH_SECONDS_BASE
    has_loaded = False
    while not stop.is_set():
        incarnation = Incarnation(options, ports, outgoing)
        end = await incarnation.run(stop)
        if incarnation.load_failure is not None and not has_loaded:
            raise invalid_input([incarnation.load_failure.problem])
        if end == "drained":
            await _say_last_words(outgoing)
            await incarnation.sign_off()
            return
        delay = REBIRTH_SECONDS_BASE if incarnation.was_registered else min(delay * 2, REBIRTH_SECONDS_CAP)
        has_loaded = has_loaded or incarnation.was_registered
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), delay)


async def _say_last_words(outgoing: Outgoing) -> None:
    """Settlements first bring their lines along; what cannot be told in time is left to the rescue."""
    try:
        await asyncio.wait_for(outgoing.settler.wait_idle(), LAST_WORDS_SECONDS_MAX)
    except TimeoutError:
        _log.warning("settlements_left", reason="the store did not answer in time; the runs will be rescued")


@contextlib.contextmanager
def _stop_on_signals() -> Generator[asyncio.Event]:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
