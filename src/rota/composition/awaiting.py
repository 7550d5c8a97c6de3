"""Waiting for a database that is away when a process of a fleet starts: without end, aloud, and until told to stop.

A wrong configuration is no reason to wait: it is a DomainError, and passes.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from rota.domain.errors import Unavailable

RETRY_SECONDS_MIN = 0.25
RETRY_SECONDS_MAX = 3.0
REMEDY = "nothing, if the database is being started or moved; else check its address, and that it accepts connections"

Answer = TypeVar("Answer")

_log = structlog.get_logger("rota.start")


class StopAsked(Exception):
    """The process was told to stop before it had begun."""


async def until_answered(attempt: Callable[[], Awaitable[Answer]], stop: asyncio.Event) -> Answer:
    """What *attempt* answers, as soon as it does not raise Unavailable. Raises StopAsked as soon as *stop* is set."""
    delay = RETRY_SECONDS_MIN
    while True:
        try:
            return await _unless_stopped(attempt(), stop)
        except Unavailable as away:
            _log.warning("database_awaited", detail=away.detail, remedy=REMEDY)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), delay)
        delay = min(delay * 2, RETRY_SECONDS_MAX)


async def _unless_stopped(attempt: Awaitable[Answer], stop: asyncio.Event) -> Answer:
    trying, stopping = asyncio.ensure_future(attempt), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((trying, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        if not trying.done():
            trying.cancel()
            await asyncio.wait((trying,))
    if trying.cancelled() or stop.is_set():
        raise StopAsked
    return trying.result()
