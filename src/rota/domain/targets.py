"""Targets: what a firing does. A tagged union, so that a new kind is one more member and no special case.

Secrets never stand in a target: headers may refer to them by `${secret:NAME}` once secrets exist.
"""

from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

HttpMethod: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]


class TaskTarget(Struct, frozen=True, tag_field="kind", tag="task", forbid_unknown_fields=True, omit_defaults=True):
    """A Python function on a worker, by its registered name; `args` are its keyword arguments."""

    task: str
    args: dict[str, Any] = field(default_factory=dict[str, Any])


class HttpTarget(Struct, frozen=True, tag_field="kind", tag="http", forbid_unknown_fields=True, omit_defaults=True):
    """A request that a worker sends. A mapping or list as `body` is sent as JSON, text as it is."""

    url: str
    method: HttpMethod = "POST"
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: Any = None


Target: TypeAlias = TaskTarget | HttpTarget
