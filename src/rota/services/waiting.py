"""Waiting for the first of several wake-ups, or for time to pass."""

import asyncio
from collections.abc import Sequence

from rota.ports.clock import Clock


async def wait_for_any(events: Sequence[asyncio.Event], clock: Clock, seconds: float) -> None:
    """Returns when one of `events` is set, or after `seconds`; clears nothing."""
    if any(event.is_set() for event in events):
        return
    waiters = [asyncio.create_task(_told(event)) for event in events]
    waiters.append(asyncio.create_task(_slept(clock, seconds)))
    try:
        await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)


async def _told(event: asyncio.Event) -> None:
    await event.wait()


async def _slept(clock: Clock, seconds: float) -> None:
    await clock.sleep(max(0.0, seconds))
