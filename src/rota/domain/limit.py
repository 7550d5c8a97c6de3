"""Limits: how many runs of a queue or a tenant may be running at once, how many of a queue may begin in a second."""

from datetime import datetime
from typing import Literal, TypeAlias

from msgspec import Struct

LimitKind: TypeAlias = Literal["queue", "tenant"]


class Limit(Struct, frozen=True):
    """At least one of `concurrency_max` and `rate_per_second` is there; a tenant has no rate.

    Up to `burst` runs may begin at once after a pause; `burst` is there exactly where the rate is.
    """

    kind: LimitKind
    name: str
    updated_at: datetime
    updated_by: str
    concurrency_max: int | None = None
    rate_per_second: float | None = None
    burst: int | None = None
    version: int = 1


class LimitState(Struct, frozen=True):
    """A limit with how many runs of its owner are running, and how many more may begin now."""

    limit: Limit
    running_count: int
    room: int
