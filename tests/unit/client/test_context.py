"""Which server and which token: flags before environment before the file."""

from pathlib import Path

import pytest

from rota.client.context import ApiContext, ContextFlags, find_context, write_context
from rota.domain.errors import DomainError

STORED = ApiContext("http://127.0.0.1:1", "stored", "default")


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ROTA_URL", "ROTA_TOKEN", "ROTA_TENANT", "ROTA_CONTEXT", "ROTA_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))


def test_a_written_context_is_read_again_and_is_private(tmp_path: Path) -> None:
    path = write_context(tmp_path, STORED)

    assert find_context(ContextFlags(data_dir=tmp_path)) == STORED
    assert path.stat().st_mode & 0o777 == 0o600


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTA_CONTEXT", str(write_context(tmp_path, STORED)))
    monkeypatch.setenv("ROTA_TOKEN", "environment")

    assert find_context(ContextFlags()).token == "environment"
    found = find_context(ContextFlags(url="http://other", token="flag"))
    assert (found.url, found.token) == ("http://other", "flag")


def test_address_and_token_suffice_without_a_file() -> None:
    assert find_context(ContextFlags(url="http://a", token="t")) == ApiContext("http://a", "t", "")


def test_where_nothing_is_the_remedy_is_told() -> None:
    with pytest.raises(DomainError) as refused:
        find_context(ContextFlags())

    assert "rota up" in refused.value.problems[0].remedy


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "context.json").write_text("{")

    with pytest.raises(DomainError) as refused:
        find_context(ContextFlags(data_dir=tmp_path))

    assert "context.json" in refused.value.detail
