"""The defects that are planted, read from `defects.toml`."""

import tomllib
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[2]


class Defect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`find` stands once in `file`. `source` names the defects of the systems before this one that it brings back."""

    id: str
    defect: str
    source: str
    file: str
    find: str
    replace: str
    tests: tuple[str, ...]


def read_defects() -> tuple[Defect, ...]:
    text = (ROOT / "tests" / "planted" / "defects.toml").read_text(encoding="utf-8")
    return msgspec.convert(tuple(tomllib.loads(text)["defect"]), tuple[Defect, ...])
