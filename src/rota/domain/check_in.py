"""Check-ins: jobs that run elsewhere and tell that they did. Silence beyond what was expected is a fact of its own."""

from datetime import datetime
from typing import Literal, TypeAlias

from msgspec import Struct

from rota.domain.event import EventDraft
from rota.domain.ids import CheckInId, TenantId
from rota.domain.lifecycle import Lifecycle, Transition

CheckInState: TypeAlias = Literal["waiting", "on_time", "failing", "missing"]
PingSignal: TypeAlias = Literal["start", "success", "fail"]

CHECK_INS_PER_TENANT_MAX = 10_000
OVERLAP_SECONDS_MAX = 30 * 86_400.0
"""How long two addresses of a check-in may be good at once."""

CHECK_IN_LIFECYCLE = Lifecycle(
    name="check-in",
    initial=frozenset({"waiting"}),
    terminal=frozenset(),
    transitions=(
        Transition("waiting", "succeed", "on_time", "the first success was told"),
        Transition("waiting", "fail", "failing", "a failure was told"),
        Transition("waiting", "miss", "missing", "nothing was told by the first deadline"),
        Transition("on_time", "succeed", "on_time", "a success was told in time"),
        Transition("on_time", "fail", "failing", "a failure was told"),
        Transition("on_time", "miss", "missing", "nothing was told by the deadline"),
        Transition("failing", "succeed", "on_time", "a success was told after a failure"),
        Transition("failing", "fail", "failing", "another failure was told"),
        Transition("failing", "miss", "missing", "nothing was told by the deadline"),
        Transition("missing", "resume", "waiting", "it was paused and resumed: an end is waited for anew"),
        Transition("missing", "succeed", "on_time", "a success was told after the deadline"),
        Transition("missing", "fail", "failing", "a failure was told after the deadline"),
    ),
)


class CheckInDraft(Struct, frozen=True, forbid_unknown_fields=True):
    """When a job is expected to tell of its end: by `cron` in `timezone`, or `every_seconds` after the last time.

    `grace_seconds` later it is missed. Exactly one of `cron` and `every_seconds` is given.
    """

    name: str
    cron: str | None = None
    timezone: str = "UTC"
    every_seconds: float | None = None
    grace_seconds: float = 300.0


class CheckIn(Struct, frozen=True):
    """The stored record. `expected_at` and `deadline_at` are of the next end that is waited for; None while it is
    missing, when nothing more can be missed, or where no time is to come. While it is paused nothing is waited for, and
    pings are noted only. Until `old_address_until` the address before the last one is good, too.
    """

    id: CheckInId
    tenant_id: TenantId
    name: str
    cron: str | None
    timezone: str
    every_seconds: float | None
    grace_seconds: float
    state: CheckInState
    created_at: datetime
    created_by: str
    started_at: datetime | None = None
    succeeded_at: datetime | None = None
    failed_at: datetime | None = None
    missed_at: datetime | None = None
    expected_at: datetime | None = None
    deadline_at: datetime | None = None
    paused_at: datetime | None = None
    old_address_until: datetime | None = None


class CheckInChange(Struct, frozen=True):
    """What a ping makes of a check-in, and the facts to record with it."""

    check_in: CheckIn
    events: tuple[EventDraft, ...] = ()
