"""Waiting for a state, with a deadline: the only way in which a test lets time pass."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

Seen = TypeVar("Seen")

POLL_SECONDS = 0.01

loop_sleep = asyncio.sleep
"""For code under test that is handed its clock's `sleep`. A test itself never calls it."""


async def wait_until(
    predicate: Callable[[], Seen | Awaitable[Seen]], deadline_seconds: float = 10.0, what: str = ""
) -> Seen:
    """Polls *predicate* (plain or async) until it is true and returns what it returned; fails after the deadline."""
    deadline = time.monotonic() + deadline_seconds
    while True:
        outcome = predicate()
        seen = cast("Seen", await outcome if inspect.isawaitable(outcome) else outcome)
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(_late(predicate, deadline_seconds, what, seen))
        await asyncio.sleep(POLL_SECONDS)


def wait_until_blocking(predicate: Callable[[], Seen], deadline_seconds: float = 10.0, what: str = "") -> Seen:
    """As `wait_until`, for tests without an event loop."""
    deadline = time.monotonic() + deadline_seconds
    while not (seen := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(_late(predicate, deadline_seconds, what, seen))
        time.sleep(POLL_SECONDS)
    return seen


def _late(predicate: Callable[[], object], deadline_seconds: float, what: str, seen: object) -> str:
    named = what or getattr(predicate, "__qualname__", repr(predicate))
    return f"not within {deadline_seconds} s: {named} (last seen: {seen!r})"
