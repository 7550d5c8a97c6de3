import json

import pytest
import structlog

from rota.telemetry.logs import configure_logs

TOKEN = "rota_" + "x" * 43


@pytest.fixture(autouse=True)
def _as_it_was() -> object:
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_token_in_an_exception_or_beside_it_is_never_printed(capsys: pytest.CaptureFixture[str], form: str) -> None:
    configure_logs(json_lines=form == "json")
    try:
        int(f"Bearer {TOKEN}")
    except ValueError:
        structlog.get_logger("t").error("defect", exc_info=True, authorization="anything")
    printed = capsys.readouterr().err
    assert "ValueError" in printed
    assert TOKEN not in printed
    assert "anything" not in printed
    if form == "json":
        assert json.loads(printed)["event"] == "defect"
