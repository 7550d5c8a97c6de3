"""Values to JSON as clients read them: every field present, every time in UTC with `Z`.

Records that are stored leave their defaults out; a client must not have to know them, so that here they are spoken out.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

import msgspec


def complete(value: object) -> object:
    """`value` as plain mappings and lists, with defaults and tags."""
    if isinstance(value, msgspec.Struct):
        return _struct(value)
    if isinstance(value, list | tuple):
        return [complete(one) for one in cast("list[object]", value)]
    if isinstance(value, Mapping):
        return {key: complete(one) for key, one in cast("Mapping[str, object]", value).items()}
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    return value


def _struct(value: msgspec.Struct) -> dict[str, object]:
    config = value.__struct_config__
    tagged = {} if config.tag_field is None else {config.tag_field: config.tag}
    names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
    return tagged | {encoded: complete(getattr(value, name)) for encoded, name in names}


def to_json(value: object) -> bytes:
    return msgspec.json.encode(complete(value))
