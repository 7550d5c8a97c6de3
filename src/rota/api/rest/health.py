"""Whether the process lives, and whether it can serve. Both need no token and tell nothing of any tenant."""

import asyncio
from typing import Literal

from msgspec import Struct

from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.domain.errors import Unavailable


class Live(Struct, frozen=True):
    """The process answers."""

    status: Literal["live"] = "live"


class Ready(Struct, frozen=True):
    """A part that is not ready is a 503, never a word in a 200."""

    checks: dict[str, str]
    status: Literal["ready"] = "ready"


@endpoint("GET", "/health/live", None, answers=(Live,))
async def live(call: Call[Nothing, Nothing]) -> Answer:
    """Tell that the process answers."""
    del call
    return Answer(Live())


@endpoint("GET", "/health/ready", None, answers=(Ready,), errors=("UNAVAILABLE",))
async def ready(call: Call[Nothing, Nothing]) -> Answer:
    """Tell that the store answers, within a bound of time."""
    ports, seconds = call.services.ports, call.services.options.readiness_seconds
    try:
        async with asyncio.timeout(seconds):
            await ports.schedules.clock()
            others = {name: await check() for name, check in ports.readiness.items()}
    except TimeoutError as late:
        raise Unavailable(f"the checks took longer than {seconds} seconds") from late
    return Answer(Ready({"database": "healthy", **others}))


ENDPOINTS: tuple[Endpoint, ...] = (live, ready)
