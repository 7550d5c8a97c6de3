"""Targets: what a firing does. A tagged union, so that a new kind is one more member and no special case.

Secrets never stand in a target: `signed_with` names one.
"""

from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

HttpMethod: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]


class TaskTarget(Struct, frozen=True, tag_field="kind", tag="task", forbid_unknown_fields=True, omit_defaults=True):
    """A Python function on a worker, by its registered name; `args` are its keyword arguments."""

    task: str
    args: dict[str, Any] = field(default_factory=dict[str, Any])


class HttpTarget(Struct, frozen=True, tag_field="kind", tag="http", forbid_unknown_fields=True, omit_defaults=True):
    """A request that a worker sends. A mapping or list as `body` is sent as JSON, text as it is.

    `signed_with` is the name of the tenant's signing secrets: the request carries a signature by each that is live.
    """

    url: str
    method: HttpMethod = "POST"
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: Any = None
    signed_with: str | None = None


Target: TypeAlias = TaskTarget | HttpTarget


class SignedHttpTarget(Struct, frozen=True, tag_field="kind", tag="signed_http"):
    """A request with the keys that sign it, as an attempt is handed to a worker; stored and shown nowhere.

    `signed_at` is the store's time of the claim. Without keys there is no live secret of that name.
    """

    request: HttpTarget
    keys: tuple[bytes, ...]
    signed_at: datetime


HandedTarget: TypeAlias = Target | SignedHttpTarget
