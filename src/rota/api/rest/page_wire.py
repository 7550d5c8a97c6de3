"""Pages on the wire: the pagination contract of design §7 and the query that asks for one."""

from typing import Annotated, Any, Generic, TypeVar

from msgspec import Meta, Struct

from rota.domain.errors import invalid_input
from rota.domain.page import PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, Page, PageRequest
from rota.domain.problems import FieldProblem

Item = TypeVar("Item")

OFFSET_MAX = 10_000
"""What is passed over is read all the same: deeper pages are reached by cursor, at the cost of one page."""
PLACE_DIGITS_MAX = 9

Limit = Annotated[int, Meta(ge=1, le=PAGE_LIMIT_MAX, description="Items on a page.")]
Offset = Annotated[
    int,
    Meta(
        ge=0,
        description="Items to pass over; deeper pages are read by `cursor`.",
        extra_json_schema={"maximum": OFFSET_MAX},
    ),
]
Cursor = Annotated[
    str, Meta(min_length=1, max_length=512, description="`next_cursor` of the page before; wins over `offset`.")
]


class PageQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which page."""

    limit: Limit = PAGE_LIMIT_DEFAULT
    offset: Offset = 0
    cursor: Cursor | None = None

    def request(self) -> PageRequest:
        """Raises INVALID_INPUT for an offset beyond `OFFSET_MAX`."""
        if self.offset > OFFSET_MAX and self.cursor is None:
            problem = FieldProblem(
                "offset",
                f"passes over more than {OFFSET_MAX} items",
                "use cursor: pass `next_cursor` of the page before back as `cursor`",
            )
            raise invalid_input([problem])
        return PageRequest(self.limit, self.offset, self.cursor)


class PageBody(Struct, Generic[Item], frozen=True):
    """`total_count` counts all that match, whatever the page; `next_cursor` is null on the last one."""

    items: tuple[Item, ...]
    total_count: int
    limit: int
    offset: int
    has_more: bool
    next_cursor: str | None


def page_body(items: tuple[Item, ...], page: Page[Any]) -> PageBody[Item]:
    """`items` are the wire form of the page's own."""
    return PageBody(items, page.total_count, page.limit, page.offset, page.has_more, page.next_cursor)


def whole_page(items: tuple[Item, ...], query: PageQuery) -> PageBody[Item]:
    """A page cut from a list that is complete and bounded; its cursor is the place of the next item."""
    start = _place(query.cursor) if query.cursor is not None else query.request().offset
    end = start + query.limit
    more = end < len(items)
    return PageBody(items[start:end], len(items), query.limit, query.offset, more, str(end) if more else None)


def _place(cursor: str) -> int:
    if not cursor.isdecimal() or len(cursor) > PLACE_DIGITS_MAX:
        problem = FieldProblem("cursor", "is not a cursor of this list", "pass `next_cursor` back unchanged")
        raise invalid_input([problem])
    return int(cursor)
