"""Targets: what a firing does. A tagged union, so that a new kind is one more member and no special case.

Secrets never stand in a target: `signed_with` names one.
"""

from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

from rota.domain.fan_out import FanOut
from rota.domain.ids import RunId

Accept202: TypeAlias = Literal["done", "callback"]
HttpMethod: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]


class TaskTarget(Struct, frozen=True, tag_field="kind", tag="task", forbid_unknown_fields=True, omit_defaults=True):
    """A Python function on a worker, by its registered name; `args` are its keyword arguments.

    With `fan_out` the run is spread over items: each segment calls it with those of its own as the argument `items`.
    """

    task: str
    args: dict[str, Any] = field(default_factory=dict[str, Any])
    fan_out: FanOut | None = None


class HttpTarget(Struct, frozen=True, tag_field="kind", tag="http", forbid_unknown_fields=True, omit_defaults=True):
    """A request that a worker sends. A mapping or list as `body` is sent as JSON, text as it is.

    `signed_with` is the name of the tenant's signing secrets: the request carries a signature by each that is live.
    With `fan_out` each segment's request has its `items` in the body, beside what else is there.
    `accept_202` says what a 202 means: that all is done, or that the target will call back, within
    `callback_timeout_seconds` (else the run's time-out), by the address that the request names.
    """

    url: str
    method: HttpMethod = "POST"
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: Any = None
    signed_with: str | None = None
    fan_out: FanOut | None = None
    accept_202: Accept202 = "done"
    callback_timeout_seconds: float | None = None


class SegmentTarget(
    Struct, frozen=True, tag_field="kind", tag="segment", forbid_unknown_fields=True, omit_defaults=True
):
    """What the child run of a fan-out does: its parent's target with the items of one segment, read when it begins.

    Made by the store alone. `task` is the parent's, so that a search by task finds the children too.
    """

    run_id: RunId
    segment_no: int
    task: str | None = None


Target: TypeAlias = TaskTarget | HttpTarget | SegmentTarget


class SignedHttpTarget(Struct, frozen=True, tag_field="kind", tag="signed_http"):
    """A request with the keys that sign it, as an attempt is handed to a worker; stored and shown nowhere.

    `signed_at` is the store's time of the claim. Without keys there is no live secret of that name.
    """

    request: HttpTarget
    keys: tuple[bytes, ...]
    signed_at: datetime


class CallbackTarget(Struct, frozen=True, tag_field="kind", tag="callback_http"):
    """A request with the address that its target calls when the work has ended; stored and shown nowhere."""

    request: HttpTarget | SignedHttpTarget
    callback_url: str


class PlanTarget(Struct, frozen=True, tag_field="kind", tag="plan"):
    """The first attempt of a fan-out run as a worker is handed it: its items are to be found. Stored nowhere.

    With `takes_over` they are known to the store, from the run that it does again.
    """

    fan_out: FanOut
    takes_over: bool = False


HandedTarget: TypeAlias = Target | SignedHttpTarget | CallbackTarget | PlanTarget
