"""Values to JSON as clients read them: every field present, every time in UTC with `Z`.

Records that are stored leave their defaults out; a client must not have to know them, so that here they are spoken out.
"""

from datetime import UTC, datetime
from types import NoneType
from typing import cast

import msgspec

# Most of a page is of these, and they go out as they are.
_PLAIN = frozenset({str, int, float, bool, NoneType})


def complete(value: object) -> object:
    """`value` as plain mappings and lists, with defaults and tags. What is kept as it was given has no defaults."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, msgspec.Struct):
        return _struct(value)
    if isinstance(value, dict):
        return {key: complete(one) for key, one in cast("dict[str, object]", value).items()}
    if isinstance(value, list | tuple):
        return [complete(one) for one in cast("list[object]", value)]
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    return value


def _struct(value: msgspec.Struct) -> dict[str, object]:
    config = value.__struct_config__
    known: dict[str, object] = {} if config.tag_field is None else {config.tag_field: config.tag}
    for encoded, name in zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True):
        field = getattr(value, name)
        if field is msgspec.UNSET:
            continue
        known[encoded] = field if type(field) in _PLAIN else complete(field)
    return known


def to_json(value: object) -> bytes:
    return msgspec.json.encode(complete(value))
