"""Reading YAML and JSON documents that a person wrote, strictly: a key that stands twice is an error, not a choice."""

import sys
from collections.abc import Hashable
from pathlib import Path
from typing import Any, cast

import yaml

from rota.domain.errors import DomainError, invalid_input
from rota.domain.problems import FieldProblem

DOCUMENT_BYTES_MAX = 16 * 1024 * 1024


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that keeps times as text (the API reads them) and refuses repeated keys."""


_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _mapping_without_repeats(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    seen: set[Hashable] = set()
    for key_node, _ in node.value:
        key = cast("Hashable", loader.construct_object(key_node))  # pyright: ignore[reportUnknownMemberType]
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_repeats)


def read_text(file: Path) -> str:
    """The text of a file, or of standard input for `-`. Raises INVALID_INPUT naming what is wrong with the file."""
    if str(file) == "-":
        return sys.stdin.read(DOCUMENT_BYTES_MAX)
    try:
        if file.stat().st_size > DOCUMENT_BYTES_MAX:
            raise _unreadable(file, f"is larger than {DOCUMENT_BYTES_MAX} bytes", "split it")
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as wrong:
        raise _unreadable(file, "is not UTF-8 text", "save it as UTF-8") from wrong
    except OSError as wrong:
        raise _unreadable(file, f"cannot be read: {wrong.strerror}", "check the path and its permissions") from wrong


def _unreadable(file: Path, problem: str, remedy: str) -> DomainError:
    return invalid_input([FieldProblem(str(file), problem, remedy)])


def read_document(file: Path) -> object:
    """The one document in a YAML (or JSON) file."""
    try:
        return yaml.load(read_text(file), Loader=_StrictLoader)  # noqa: S506 - a SafeLoader, made stricter
    except yaml.YAMLError as wrong:
        mark = getattr(wrong, "problem_mark", None)
        at = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
        what = getattr(wrong, "problem", None) or str(wrong).splitlines()[0]
        raise invalid_input([FieldProblem(at, f"is no valid YAML: {what}", "mend the file at that place")]) from wrong
