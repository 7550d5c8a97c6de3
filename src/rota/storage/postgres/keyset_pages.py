"""Pages of rows that come with their total: each query gives one row more than asked, or one without an id."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from rota.domain.page import Page, PageRequest
from rota.storage.page_cursor import encode_cursor
from rota.storage.postgres.driver import Row

Item = TypeVar("Item")


def page_of_rows(
    rows: Sequence[Row], page: PageRequest, read: Callable[[Row], Item], position: Callable[[Item], tuple[str, ...]]
) -> Page[Item]:
    """The page of *rows*, each read by *read*; *position* is the sort key that the next page starts behind."""
    found = [read(row) for row in rows if row["id"] is not None]
    shown = tuple(found[: page.limit])
    next_cursor = encode_cursor(*position(shown[-1])) if len(found) > page.limit else None
    return Page(shown, rows[0]["total_count"], page.limit, page.offset, next_cursor)
