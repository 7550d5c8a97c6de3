"""The collector of measurements keeps good rows and hides no failure."""

from pathlib import Path

import msgspec
import pytest

from bench.harness import collecting, report
from bench.harness.rows import Row

ROW = '{"name": "claims", "value": 2.0, "unit": "runs/s", "runs": [1.0, 2.0, 3.0], "peers": {"other": 1.5}}'


def bench(directory: Path, name: str, body: str) -> None:
    (directory / f"{name}.py").write_text(body)


def rows_in(directory: Path) -> list[Row]:
    return msgspec.json.decode((directory / "out/latest.json").read_bytes(), type=list[Row])


def test_rows_of_all_measurements_are_merged_in_order(tmp_path: Path) -> None:
    bench(tmp_path, "a_claims", f"import sys\nassert sys.argv[1:] == ['--json']\nprint('''[{ROW}]''')")
    bench(tmp_path, "b_fires", f"print('''[{ROW.replace('claims', 'fires')}]''')")

    assert collecting.main([], tmp_path) == 0
    assert [row.name for row in rows_in(tmp_path)] == ["claims", "fires"]


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ("raise SystemExit(3)", "ended with status 3"),
        ("print('fast!')", "printed no array of rows"),
        ("""print('[{"name": "x", "value": 1, "unit": "s", "runs": [], "speed": 2}]')""", "printed no array of rows"),
    ],
)
def test_a_measurement_that_fails_fails_the_run_and_keeps_the_other_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], body: str, failure: str
) -> None:
    bench(tmp_path, "a_broken", body)
    bench(tmp_path, "b_claims", f"print('''[{ROW}]''')")

    assert collecting.main([], tmp_path) == 1
    assert failure in capsys.readouterr().err
    assert [row.name for row in rows_in(tmp_path)] == ["claims"]


def test_a_measurement_that_never_ends_is_stopped(tmp_path: Path) -> None:
    bench(tmp_path, "endless", "while True: pass")

    rows, failures = collecting.measure_all(collecting.measurements(tmp_path, []), deadline=0)

    assert rows == []
    assert "still running" in failures[0]


def test_a_measurement_that_is_stopped_may_still_stop_what_it_started(tmp_path: Path) -> None:
    started, stopped = tmp_path / "started", tmp_path / "stopped"
    body = f"""
import pathlib, time
try:
    pathlib.Path({str(started)!r}).touch()
    while True:
        time.sleep(0.01)
finally:
    pathlib.Path({str(stopped)!r}).touch()
"""
    bench(tmp_path, "endless", body)

    with pytest.raises(collecting.BenchFailed, match="still running"):
        collecting.measure(tmp_path / "endless.py", timeout_seconds=2.0)

    assert stopped.exists() == started.exists()


def test_what_would_be_missed_most_comes_first(tmp_path: Path) -> None:
    for name in ("api", "runs", "pickup", "zeal"):
        bench(tmp_path, name, "")

    assert [module.stem for module in collecting.measurements(tmp_path, [])] == ["runs", "pickup", "api", "zeal"]


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench(tmp_path, "claims", "")

    assert collecting.main(["clams"], tmp_path) == 2
    assert "there is no measurement clams; there are: claims" in capsys.readouterr().err


def test_what_a_measurement_knows_is_passed_on(tmp_path: Path) -> None:
    bench(tmp_path, "claims", f"import sys\nassert sys.argv[1:] == ['--json', '--scale', '0.1']\nprint('''[{ROW}]''')")

    assert collecting.main(["--scale", "0.1"], tmp_path) == 0


def test_a_module_that_is_named_like_one_of_the_library_hides_nothing(tmp_path: Path) -> None:
    bench(tmp_path, "queue", f"import queue\nqueue.SimpleQueue()\nprint('''[{ROW}]''')")

    assert collecting.main(["queue"], tmp_path) == 0


def test_a_long_measurement_that_has_ended_is_not_run_again(tmp_path: Path) -> None:
    long = tmp_path / "long"
    long.mkdir()
    bench(long, "a_day", f"print('''[{ROW}]''')")
    bench(long, "broken", "raise SystemExit(3)")

    assert collecting.main(["--long"], tmp_path) == 1
    bench(long, "a_day", "raise SystemExit(3)")
    bench(long, "broken", f"print('''[{ROW.replace('claims', 'mended')}]''')")
    assert collecting.main(["--long"], tmp_path) == 0

    kept = msgspec.json.decode((tmp_path / "out/long.json").read_bytes(), type=list[Row])
    assert [row.name for row in kept] == ["claims", "mended"]
    assert collecting.main(["--long", "--again", "a_day"], tmp_path) == 1


def test_parts_are_measured_on_request_only(tmp_path: Path) -> None:
    bench(tmp_path, "queue", "raise SystemExit(3)")
    bench(tmp_path, "runs", f"print('''[{ROW}]''')")

    assert collecting.main([], tmp_path) == 0
    assert collecting.main(["queue"], tmp_path) == 1


def test_the_page_shows_what_was_measured_long_ago_beside_what_is_new(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"{report.BEGIN}\n{report.END}\n")
    (tmp_path / "long").mkdir()
    bench(tmp_path, "claims", f"print('''[{ROW}]''')")
    bench(tmp_path / "long", "a_day", f"print('''[{ROW.replace('claims', 'days')}]''')")

    assert collecting.main(["--long"], tmp_path, page) == 0
    assert collecting.main(["--publish"], tmp_path, page) == 0

    assert "| claims | 2.00 |" in page.read_text()
    assert "| days | 2.00 |" in page.read_text()
