"""Plans as people read them. `BLESS=1 pytest tests/golden` writes what is printed; commit only what you understand."""

import os
from pathlib import Path

import pytest

from tests.golden.firing.transcript import replayed

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_plan_is_as_written_down(path: Path) -> None:
    written = path.read_text(encoding="utf-8")
    printed = replayed(written)
    if os.environ.get("BLESS"):
        path.write_text(printed, encoding="utf-8")

    assert printed == path.read_text(encoding="utf-8")
    assert "\n> plan" in written
