"""The executor's part of planning a fan-out: what a resolver returned or yields, handed over in batches.

One batch is under way at a time, and the next one is made when the store has it: a resolver that yields may find any
number of items, up to the bound, in little memory. The items are canonical when they leave this process. Equal ones of
a batch are sent once; the store sorts out the rest.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping
from concurrent.futures import CancelledError, Future
from typing import cast

from rota.core.fan_out import UnfitItem, canonical_item
from rota.domain.fan_out import ITEMS_PER_BATCH_MAX, ITEMS_PER_RUN_MAX
from rota.worker.context import Context
from rota.worker.outcomes import Cancel, Failure, NonRetryable
from rota.worker.outlet import Outlet
from rota.worker.protocol import ItemsFound
from rota.worker.verdicts import Verdict, verdict_on_return


class ItemsRefused(NonRetryable):
    """What a resolver gave are no items, or too many."""


class ItemDesk:
    """Sends batches and hears of each that it was kept. `answer` and `drop` belong to the reader's thread."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._waiting: dict[int, Future[None]] = {}

    def send(self, key: int, items: Iterable[str], *, is_last: bool) -> "Future[None]":
        """Done when the store has them. Fails with `ItemsRefused`; cancelled when the attempt is."""
        kept = self._waiting[key] = Future[None]()
        self._outlet.send(ItemsFound(key, tuple(items), is_last))
        return kept

    def answer(self, key: int, problem: str | None) -> None:
        kept = self._waiting.pop(key, None)
        if kept is None or kept.cancelled():
            return
        if problem is None:
            kept.set_result(None)
        else:
            kept.set_exception(ItemsRefused(problem))

    def drop(self, key: int) -> None:
        """The attempt is to stop: nobody waits for an answer any more."""
        kept = self._waiting.pop(key, None)
        if kept is not None:
            kept.cancel()


async def hand_over(desk: ItemDesk, key: int, context: Context, value: object) -> Verdict:
    """All items of `value`, a resolver's result. A returned `Failure` is what it is everywhere."""
    if isinstance(value, Failure):
        return verdict_on_return(value)
    count = 0
    batch: set[str] = set()
    async for item in _items_in(value):
        batch.add(_canonical(item))
        count += 1
        if count > ITEMS_PER_RUN_MAX:
            raise ItemsRefused(f"the resolver found more than {ITEMS_PER_RUN_MAX} items; select fewer of them")
        if len(batch) >= ITEMS_PER_BATCH_MAX:
            await _sent(desk, key, batch, is_last=False)
            context.check_cancelled()
            batch = set[str]()
    await _sent(desk, key, batch, is_last=True)
    return Verdict("succeeded", "null")


def hand_over_in_thread(desk: ItemDesk, key: int, context: Context, value: object) -> Verdict:
    """The same, in a handler's thread, for which a loop is made."""
    return asyncio.run(hand_over(desk, key, context, value))


async def _sent(desk: ItemDesk, key: int, items: Iterable[str], *, is_last: bool) -> None:
    kept = desk.send(key, items, is_last=is_last)
    try:
        await asyncio.wrap_future(kept)
    except (CancelledError, asyncio.CancelledError):
        if kept.cancelled():
            raise Cancel("the run was cancelled") from None
        raise


async def _items_in(value: object) -> AsyncIterator[object]:
    if isinstance(value, AsyncIterable):
        source = cast("AsyncIterable[object]", value)
        async with _closing(source):
            async for item in source:
                yield item
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes | bytearray | Mapping):
        for item in cast("Iterable[object]", value):
            yield item
    else:
        kind = type(cast("object", value)).__qualname__
        raise ItemsRefused(f"the resolver returned a {kind}; return or yield the items instead")


@contextlib.asynccontextmanager
async def _closing(source: object) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()


def _canonical(item: object) -> str:
    try:
        return canonical_item(item)
    except UnfitItem as unfit:
        raise ItemsRefused(str(unfit)) from unfit
