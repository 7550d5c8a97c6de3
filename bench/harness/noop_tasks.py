"""Tasks that do nothing, for measuring what surrounds them."""

import time

from rota import App

app = App("bench")


@app.task(name="noop")
async def noop(n: int = 0) -> None:
    """Nothing, on the loop."""


@app.task(name="noop_thread")
def noop_thread(n: int = 0) -> None:
    """Nothing, in a thread."""


@app.task(name="began")
async def began() -> dict[str, int]:
    """When it began, by the machine's monotonic clock."""
    return {"began_ns": time.monotonic_ns()}
