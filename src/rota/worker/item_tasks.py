"""The resolvers that Rota brings along: items that stand in the target, and items that an address answers with.

An address answers GET with a JSON list, or with `{"items": [...], "next": url or null}`: then the next page is asked
for, until there is none. Pages are bounded in size and number, and every request passes the guard.
"""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec

from rota.core.fan_out import GIVEN_ITEMS_TASK, HTTP_ITEMS_TASK
from rota.worker.app import App
from rota.worker.context import Context
from rota.worker.http_request import HttpOrder, send_request
from rota.worker.outcomes import Failure, NonRetryable, Retry
from rota.worker.target_guard import TargetGuard

PAGE_BYTES_MAX = 4 * 1024 * 1024
PAGES_MAX = 10_000


class ItemPage(msgspec.Struct, frozen=True):
    """One answer. `next` may be relative, and leads to the same origin."""

    items: list[Any]
    next: str | None = None


def add_item_tasks(app: App, guard: TargetGuard) -> None:
    """Registers both, as built-in tasks."""

    @app.task(name=GIVEN_ITEMS_TASK)
    async def given(*, items: list[Any]) -> list[Any]:
        return items

    @app.task(name=HTTP_ITEMS_TASK)
    async def answered(ctx: Context, *, url: str, headers: dict[str, str]) -> AsyncIterator[Any]:
        return _pages(ctx, url, headers, guard)


async def _pages(ctx: Context, first: str, headers: dict[str, str], guard: TargetGuard) -> AsyncIterator[Any]:
    url: str | None = first
    for _ in range(PAGES_MAX):
        page = await _page(ctx, url, headers, guard)
        for item in page.items:
            yield item
        if page.next is None:
            return
        url = _same_origin(url, page.next)
    raise NonRetryable(f"the resolver has more than {PAGES_MAX} pages; answer with larger ones")


async def _page(ctx: Context, url: str, headers: dict[str, str], guard: TargetGuard) -> ItemPage:
    ctx.check_cancelled()
    order = HttpOrder(url=url, method="GET", headers=headers, body_bytes_max=PAGE_BYTES_MAX)
    answer = await send_request(order, guard, ctx.remaining_seconds)
    if isinstance(answer, Failure):
        if answer.retryable:
            raise Retry(answer.message, delay_seconds=answer.retry_after_seconds)
        raise NonRetryable(answer.message)
    if answer["truncated"]:
        raise NonRetryable(f"the resolver's answer is larger than {PAGE_BYTES_MAX} bytes; answer page by page")
    try:
        found = msgspec.json.decode(answer["body"], type=list[Any] | ItemPage)
    except msgspec.DecodeError as wrong:
        message = f'the resolver answered neither a JSON list nor {{"items": [...], "next": ...}}: {wrong}'
        raise NonRetryable(message) from wrong
    return found if isinstance(found, ItemPage) else ItemPage(found)


def _same_origin(url: str, next_url: str) -> str:
    """What the headers may follow to."""
    found = urljoin(url, next_url)
    if urlsplit(found)[:2] != urlsplit(url)[:2]:
        raise NonRetryable(f"the resolver's next page is at another origin: {found}")
    return found
