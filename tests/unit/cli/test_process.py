"""What is wrong with a flag is said before anything is started."""

import pytest
from typer.testing import CliRunner

from rota.cli.main import app
from rota.worker.options import SLOTS_MAX


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--data-dir", ""], "it is empty"),
        (["--data-dir", " "], "it is empty"),
        (["--slots", str(SLOTS_MAX + 1)], f"less than or equal to {SLOTS_MAX}"),
    ],
)
def test_a_wrong_flag_starts_nothing(flags: list[str], words: str) -> None:
    result = CliRunner().invoke(app, ["up", *flags])

    assert result.exit_code == 2
    assert words in " ".join(result.output.split())
