"""Figures, bars, tables and the picture: what readers of a benchmark rely on."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.harness import bars, plot, report
from bench.harness.counting import Counter, beginnings_in, count_in
from bench.harness.rows import Extent, Row, ratio_of, row


def test_a_row_is_the_median_of_its_runs_beside_the_medians_of_its_peers() -> None:
    made = row("speed", "runs/s", [1.0, 9.0, 2.0], {"other": [4.0, 3.0, 5.0], "absent": []})

    assert made == Row("speed", 2.0, "runs/s", [1.0, 9.0, 2.0], peers={"other": 4.0})


def test_a_ratio_compares_round_by_round() -> None:
    assert ratio_of([10.0, 1.0, 30.0], [20.0, 2.0, 30.0]) == 0.5


@pytest.mark.parametrize(
    ("rule", "value", "verdict"),
    [(">= 2 ×", 2.0, "met"), (">= 2 ×", 1.99, "not met"), ("<= 3 ms", 3.0, "met"), ("<= 3 ms", 3.01, "not met")],
)
def test_a_bar_is_met_exactly_up_to_its_value(rule: str, value: float, verdict: str) -> None:
    (judged,) = bars.judge([Row("x", value, "", [value])], [bars.bar("what", "x", rule)])

    assert judged.verdict == verdict


def test_a_bar_without_its_figure_is_not_met() -> None:
    assert {judged.verdict for judged in bars.judge([])} == {"not measured"}
    without_ratio = Row("runs_end_to_end", 1e9, "runs/s", [1e9])
    assert {one.verdict for one in bars.judge([without_ratio])} == {"not measured"}


def test_a_bar_against_peers_asks_for_the_best_of_them() -> None:
    made = Row("runs_end_to_end", 30.0, "runs/s", [30.0], peers={"awa": 5.0, "pgqueuer": 16.0, "raw SQL": 90.0})

    found = [one.found for one in bars.judge([made]) if one.bar.unit == "×" and one.bar.value == 2]

    assert found == [30.0 / 16.0]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.00123, "0.0012"), (0.5, "0.500"), (3.14159, "3.14"), (99.96, "100"), (12_345.6, "12,346")],
)
def test_numbers_are_short_and_without_exponent(value: float, text: str) -> None:
    assert report.number(value) == text


def test_the_page_gets_tables_between_its_marks_and_keeps_the_rest(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{report.BEGIN}\nwhat was there\n{report.END}\nafter\n")

    report.publish([Row("runs_wal", 900.0, "B/run", [800.0, 900.0], peers={"other": 2_500.0})], page)

    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "what was there" not in text
    assert "| runs_wal | 900 | 800 to 900 | B/run |  | other 2,500 |" in text
    assert "| WAL of a run, from enqueued to settled | <= 1,024 B | 900 | met |" in text
    assert (tmp_path / report.PICTURE).exists()


def test_a_page_without_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("nothing here\n")

    with pytest.raises(report.NoPlace):
        report.publish([], page)


def test_the_picture_is_well_formed_and_true_to_scale() -> None:
    made = Row("runs_wal", 1_000.0, "B/run", [1_000.0], peers={"<other> & co": 2_000.0})

    tree = ET.fromstring(plot.svg([made, Row("not_drawn", 1.0, "s", [1.0])]))

    widths = [float(bar.attrib["width"]) for bar in tree.iter("{http://www.w3.org/2000/svg}rect")]
    assert len(widths) == 2
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.2)
    assert ET.fromstring(plot.svg([])) is not None


def test_handlers_are_counted_over_processes_and_the_first_beginning_stands(tmp_path: Path) -> None:
    counter = Counter(tmp_path, samples=3)
    for number in (0, 2, 2, 7):
        counter.ran(number)
    (tmp_path / "another").write_bytes((tmp_path / str(next(tmp_path.iterdir()).name)).read_bytes())

    began = beginnings_in(tmp_path, 3)

    assert count_in(tmp_path) == 8
    assert began[0] > 0
    assert began[1] == 0
    assert began[2] >= began[0]


def test_a_trial_shrinks_counts_and_durations_down_to_the_least() -> None:
    trial = Extent(scale=0.01)

    assert trial.count(50_000) == 500
    assert trial.count(2_000) == 100
    assert trial.seconds(1_800.0) == 18.0
    assert trial.seconds(10.0) == 0.5
