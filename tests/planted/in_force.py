"""Whether a text in a migration stands in the function that is in force: a later migration may create it anew."""

import re
from pathlib import Path

_CREATED = re.compile(r"CREATE (?:OR REPLACE )?FUNCTION (scheduler\.\w+)\s*\(")


def is_in_force(migration: Path, text: str) -> bool:
    """A text outside of any function is in force where it stands."""
    source = migration.read_text(encoding="utf-8")
    place = source.find(text)
    function = _function_around(source, place)
    behind = [source[place:]]
    behind += [file.read_text(encoding="utf-8") for file in sorted(migration.parent.glob("*.sql")) if file > migration]
    return function is None or not any(function in _CREATED.findall(later) for later in behind)


def _function_around(source: str, place: int) -> str | None:
    """The last one that begins in front of the place and has not ended there."""
    found = [match for match in _CREATED.finditer(source) if match.start() < place]
    if not found or "$$;" in source[found[-1].end() : place]:
        return None
    return found[-1][1]
