"""Pages: the pagination contract of design §7, in both forms (offset, and an opaque cursor beside it)."""

from typing import Generic, TypeVar

from msgspec import Struct

Item = TypeVar("Item")

PAGE_LIMIT_DEFAULT = 50
PAGE_LIMIT_MAX = 500


class PageRequest(Struct, frozen=True):
    """`cursor` wins over `offset`. Bounds are checked at the API; stores trust them.

    Who does not need to know more may say `count_max`: lists that are dear to count (schedules) are counted no further.
    """

    limit: int = PAGE_LIMIT_DEFAULT
    offset: int = 0
    cursor: str | None = None
    count_max: int | None = None


class Page(Struct, Generic[Item], frozen=True):
    """`next_cursor` is None on the last page. `total_count` counts all that match, whatever the page.

    Where counting is dear (schedules), pages that are reached by a cursor repeat the count of the walk's first page.
    """

    items: tuple[Item, ...]
    total_count: int
    limit: int
    offset: int
    next_cursor: str | None = None

    @property
    def has_more(self) -> bool:
        return self.next_cursor is not None
