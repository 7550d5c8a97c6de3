"""Stopping on request: SIGINT, SIGTERM and a terminal that closes become one event. A second signal no longer asks."""

import asyncio
import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager

EXIT_FORCED = 130


@contextmanager
def stop_requested(on_second: Callable[[], None] | None = None) -> Generator[asyncio.Event]:
    """An event that the first signal sets. The second one runs `on_second` and ends the process at once."""
    loop = asyncio.get_running_loop()
    requested = asyncio.Event()

    def receive() -> None:
        if requested.is_set():
            if on_second is not None:
                on_second()
            os._exit(EXIT_FORCED)
        requested.set()

    def hang_up() -> None:
        _forget_terminal()
        requested.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, receive)
    # Under nohup the signal is ignored, and stays so.
    minds_hang_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    if minds_hang_up:
        loop.add_signal_handler(signal.SIGHUP, hang_up)
    try:
        yield requested
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        if minds_hang_up:
            loop.remove_signal_handler(signal.SIGHUP)


def _forget_terminal() -> None:
    """Writing to a terminal that is gone fails, and would disturb the orderly end."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
