"""Resolvers and segments that the tests of fan-outs run. State is told to the test through files in `marks`."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from rota import App, Context, Failure
from tests.integration.worker.handlers import mark

app = App("items")


@app.task(name="listed")
async def listed(names: list[str]) -> list[str]:
    return names


@app.task(name="counted")
def counted(count: int) -> Iterator[str]:
    """In a thread, by a generator, from the last to the first, and each twice."""
    for n in reversed(range(count)):
        yield f"item-{n:06d}"
        yield f"item-{n:06d}"


@app.task(name="counted_async")
async def counted_async(ctx: Context, count: int) -> AsyncIterator[dict[str, int]]:
    for n in range(count):
        await ctx.sleep(0)
        yield {"n": n}


@app.task(name="hesitant")
def hesitant(marks: str, count: int) -> Iterator[str]:
    """The first attempt never finds the last item, and what it finds is no longer there afterwards."""
    mark(marks, "resolving")
    first = not mark_once(marks)
    for n in range(count):
        yield f"{'gone' if first else 'item'}-{n:06d}"
    while first:
        time.sleep(0.05)  # noqa: TID251  # a handler's own time


def mark_once(marks: str) -> bool:
    with open(f"{marks}/resolving") as file:  # noqa: PTH123
        return len(file.readlines()) > 1


@app.task(name="refusing")
async def refusing() -> Failure:
    return Failure("the index is away", retryable=False)


@app.task(name="wrong")
async def wrong(value: Any) -> Any:
    return value


@app.task(name="scan")
async def scan(ctx: Context, items: list[Any], marks: str, broken: str = "") -> int:
    """A segment: tells its items, and fails where one of them is broken."""
    for item in items:
        mark(marks, "scanned", str(item).replace(" ", ""))
    if broken and broken in items:
        raise ValueError(f"{broken} is broken")
    return len(items)


@app.task(name="scan_slowly")
async def scan_slowly(items: list[Any], marks: str) -> None:
    mark(marks, "began")
    await asyncio.Event().wait()
