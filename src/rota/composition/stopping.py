"""Stopping on request: SIGINT and SIGTERM become one event. A second signal no longer asks."""

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

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, receive)
    try:
        yield requested
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
