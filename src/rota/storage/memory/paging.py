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
    return Page(shown, len(items), page.limit, page.offset, encode_cursor(*position(shown[-1])) if more else None)
