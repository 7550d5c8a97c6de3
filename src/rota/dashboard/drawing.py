"""What is drawn: where the lines and stretches of a picture go, in its own units. Pure; templates show them."""

from collections.abc import Sequence

from msgspec import Struct

from rota.domain.dependencies import Neighbour
from rota.domain.fan_out import SegmentCounts

BAR_WIDTH = 1_000
ROW_HEIGHT = 42
LINK_WIDTH = 56
NEIGHBOURS_DRAWN_MAX = 12


class BarPart(Struct, frozen=True):
    """A stretch of a bar that is `BAR_WIDTH` long."""

    state: str
    count: int
    begin: float
    width: float


def bar_of(counts: SegmentCounts) -> tuple[BarPart, ...]:
    """Segments by state, one stretch each, what is over first; none where there are no segments."""
    states = ("succeeded", "failed", "cancelled", "running", "queued")
    parts: list[BarPart] = []
    begin = 0.0
    for state in states:
        count: int = getattr(counts, state)
        width = BAR_WIDTH * count / counts.total if counts.total else 0.0
        if count:
            parts.append(BarPart(state, count, round(begin, 3), round(width, 3)))
        begin += width
    return tuple(parts)


class Side(Struct, frozen=True):
    """The runs on one side of a run: each is a row of `ROW_HEIGHT`, with a curve between it and the run in the middle.

    `more_count` are not drawn; one more row says so.
    """

    neighbours: tuple[Neighbour, ...]
    more_count: int
    height: int
    curves: tuple[str, ...]


def side_of(neighbours: Sequence[Neighbour], *, is_before: bool) -> Side:
    """Those before a run are drawn left of it, their curves come together at their right; behind it, the other way."""
    drawn = tuple(neighbours[:NEIGHBOURS_DRAWN_MAX])
    more = len(neighbours) - len(drawn)
    height = ROW_HEIGHT * (len(drawn) + bool(more))
    rows = [ROW_HEIGHT * place + ROW_HEIGHT // 2 for place in range(len(drawn))]
    middle = height // 2
    curves = [_curve(row, middle) if is_before else _curve(middle, row) for row in rows]
    return Side(drawn, more, height, tuple(curves))


def _curve(begin: int, end: int) -> str:
    half = LINK_WIDTH // 2
    return f"M0 {begin}C{half} {begin} {half} {end} {LINK_WIDTH} {end}"


def full_width(count: int, most: int | None) -> float:
    """How much of a bar is full."""
    return 0.0 if not most else round(BAR_WIDTH * min(count, most) / most, 1)
