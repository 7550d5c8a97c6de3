"""How long a worker waits for an answer of the store before it takes it for lost.

A connection may fall silent without an error. Then the outcome is unknown, which is what `Unavailable` says.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from rota.domain.errors import Unavailable

ANSWER_SECONDS_MAX = 10.0


@asynccontextmanager
async def answered_in_time() -> AsyncGenerator[None]:
    """Raises Unavailable when the block takes longer than `ANSWER_SECONDS_MAX`."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            yield
    except TimeoutError:
        raise Unavailable(f"the store did not answer within {ANSWER_SECONDS_MAX:g} s") from None
