"""Each number is given once: two that share one stop every server that meets them."""

from importlib.resources import files


def test_no_two_migrations_share_a_number() -> None:
    names = sorted(
        entry.name for entry in (files("rota.storage.postgres") / "migrations").iterdir() if entry.name.endswith(".sql")
    )
    numbers = [name[:4] for name in names]
    assert len(names) > 1
    assert [name for name in names if numbers.count(name[:4]) > 1] == []
