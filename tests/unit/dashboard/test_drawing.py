"""Pictures: where their lines go."""

import re

from hypothesis import given
from hypothesis import strategies as st

from rota.dashboard import drawing
from rota.domain.dependencies import Neighbour
from rota.domain.fan_out import SegmentCounts
from rota.domain.ids import RunId


def neighbours(count: int) -> list[Neighbour]:
    return [Neighbour(RunId(str(number)), "succeeded") for number in range(count)]


@given(count=st.integers(0, 40), is_before=st.booleans())
def test_each_run_that_is_drawn_has_a_row_and_a_curve_from_it_to_the_middle(count: int, *, is_before: bool) -> None:
    side = drawing.side_of(neighbours(count), is_before=is_before)
    ends = [[int(place) for place in re.findall(r"\d+", curve)] for curve in side.curves]
    rows = [curve[1] if is_before else curve[-1] for curve in ends]
    middles = {curve[-1] if is_before else curve[1] for curve in ends}

    assert len(side.neighbours) + side.more_count == count
    assert len(side.curves) == len(side.neighbours) <= drawing.NEIGHBOURS_DRAWN_MAX
    assert rows == [drawing.ROW_HEIGHT * place + drawing.ROW_HEIGHT // 2 for place in range(len(rows))]
    assert middles <= {side.height // 2}
    assert all(row < side.height for row in rows)


def test_a_bar_is_as_long_as_its_parts_together() -> None:
    parts = drawing.bar_of(SegmentCounts(queued=1, succeeded=3))
    assert [(part.state, part.count, part.begin, part.width) for part in parts] == [
        ("succeeded", 3, 0.0, 750.0),
        ("queued", 1, 750.0, 250.0),
    ]
    assert drawing.bar_of(SegmentCounts()) == ()
    assert [drawing.full_width(count, most) for count, most in ((0, 5), (5, 5), (9, 5), (3, None), (0, 0))] == [
        0.0,
        1000.0,
        1000.0,
        0.0,
        0.0,
    ]
