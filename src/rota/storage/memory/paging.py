"""Pages of a sorted list, as the database makes them from an index."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from rota.domain.page import Page, PageRequest
from rota.storage.page_cursor import encode_cursor

Item = TypeVar("Item")


def page_of(
    items: Sequence[Item],
    position: Callable[[Item], tuple[str, ...]],
    page: PageRequest,
    after: tuple[str, ...] | None,
) -> Page[Item]:
    """The page of *items*, which are in the order of *position*; behind *after* where it is given, else by offset."""
    rest = items[page.offset :] if after is None else [item for item in items if position(item) > after]
    shown = tuple(rest[: page.limit])
    more = len(rest) > page.limit
    counted = min(len(items), page.count_max or len(items))
    return Page(shown, counted, page.limit, page.offset, encode_cursor(*position(shown[-1])) if more else None)


def counted_page_of(
    items: Sequence[Item],
    position: Callable[[Item], tuple[str, ...]],
    page: PageRequest,
    after: tuple[str, ...] | None,
    total: int | None,
) -> Page[Item]:
    """As `page_of`, of a list that is counted once for a walk: *total* is what was counted for its first page."""
    counted = min(len(items), page.count_max or len(items)) if total is None else total
    found = page_of(items, position, page, after)
    more = encode_cursor(str(counted), *position(found.items[-1])) if found.has_more else None
    return Page(found.items, counted, page.limit, page.offset, more)
