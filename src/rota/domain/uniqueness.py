"""Uniqueness: what a caller says about runs that must not exist twice at the same time.

It is wider than an idempotency key, which tells a repeated request from a new one: two requests that differ, from
callers that know nothing of each other, may be for the same work.
"""

from typing import Literal, TypeAlias

from msgspec import Struct, field

UniqueScope: TypeAlias = Literal["tenant", "task", "arguments"]
UniqueWhile: TypeAlias = Literal["pending", "live", "forever"]
UniqueConflict: TypeAlias = Literal["return", "reject"]


class Unique(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Alike are runs of one `scope`: with the same target (`arguments`), of the same task or URL (`task`), or of the
    tenant, each narrowed by `key` where it is given (a tenant's scope needs one).

    An alike run stands in the way while it waits (`pending`), until it has ended (`live`), or whatever became of it
    (`forever`); with `period_seconds` only for so long after it was made. The caller then gets that run, or a refusal.
    """

    scope: UniqueScope = "arguments"
    key: str | None = None
    holds: UniqueWhile = field(default="live", name="while")
    period_seconds: float | None = None
    on_conflict: UniqueConflict = "return"
