"""Server-sent events: the text of a frame, and the loop that asks the store again until there is nothing more to come.

Streams poll; nothing is promised by a wake-up (design law 6). A stream ends when its token stops working: every turn
asks the authenticator, which remembers for its bound. A client resumes with the id of its last frame.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from msgspec import Struct

from rota.api.problem import describe
from rota.api.rest.endpoint import Call, StreamAnswer
from rota.api.rest.rendering import to_json
from rota.domain.errors import RotaError

CURSOR_CHARACTERS_MAX = 512
RETRY_MILLISECONDS = 1_000


class Frame(Struct, frozen=True):
    """`id` is where a client resumes; `event` is the frame's name, absent for the ordinary kind of its stream."""

    data: Any
    id: str | None = None
    event: str | None = None

    def text(self) -> str:
        name = f"event: {self.event}\n" if self.event else ""
        place = f"id: {self.id}\n" if self.id else ""
        return f"{place}{name}data: {to_json(self.data).decode()}\n\n"


class Turn(Struct, frozen=True):
    """What one look at the store gave. `again` asks at once; `ended` ends the stream after these frames."""

    frames: tuple[Frame, ...]
    again: bool = False
    ended: bool = False


def stream(call: Call[Any, Any], look: Callable[[], Awaitable[Turn]]) -> StreamAnswer:
    """Raises RATE_LIMITED where the tenant or the process has as many streams as it may."""
    call.services.streams.refuse_if_full(call.tenant_id)
    return StreamAnswer(_frames(call, look))


async def _frames(call: Call[Any, Any], look: Callable[[], Awaitable[Turn]]) -> AsyncIterator[str]:
    """What goes wrong once the answer has begun is told by its last frame."""
    try:
        async with call.services.streams.held(call.tenant_id):
            yield f"retry: {RETRY_MILLISECONDS}\n\n"
            async for text in _turns(call, look):
                yield text
    except RotaError as error:
        problem = describe(error, call.actor.request_id, "").problem
        yield Frame(problem, event="error").text()


async def _turns(call: Call[Any, Any], look: Callable[[], Awaitable[Turn]]) -> AsyncIterator[str]:
    """Until the stream has ended, or the process stops."""
    services, clock = call.services, call.services.ports.clock
    spoke_at = clock.monotonic_seconds()
    while not services.streams.closing:
        await services.authenticator.authenticate(call.token_hash)
        turn = await look()
        for frame in turn.frames:
            spoke_at = clock.monotonic_seconds()
            yield frame.text()
        if turn.ended:
            return
        if clock.monotonic_seconds() - spoke_at >= services.options.stream_heartbeat_seconds:
            spoke_at = clock.monotonic_seconds()
            yield ": still here\n\n"
        if not turn.again:
            await clock.sleep(services.options.stream_poll_seconds)
