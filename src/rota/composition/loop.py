"""The event loop of Rota's own processes: uvloop where it exists, asyncio's elsewhere."""

import asyncio
import sys
from collections.abc import Coroutine


def run_on_fast_loop(work: Coroutine[object, object, None]) -> None:
    """Run `work` to its end on a new loop."""
    if sys.platform == "win32":
        asyncio.run(work)
        return
    import uvloop

    uvloop.run(work)
