"""Check cycles: the leader's looks for what is due, and what they came to. Sums of them are kept for ever.

A due time is *found* when a look has come upon it. It is then executed (it became a run), skipped (decided not to
run), failed (its trigger cannot be read), or refused: decided, but changed underneath or known already, so that nothing
was done.
"""

from datetime import datetime

from msgspec import Struct, field

from rota.domain.ids import Epoch

UNREADABLE = "unreadable"
"""The kind of a trigger that cannot be read."""
MIXED = "mixed"
"""The kind of a batch of several kinds that was applied in part: which part, the store does not say."""


class DueCounts(Struct, frozen=True):
    """Due times. `found` is the sum of the others."""

    found: int = 0
    executed: int = 0
    failed: int = 0
    skipped: int = 0
    refused: int = 0


class CheckSums(Struct, frozen=True):
    """`checks_count` looks, of which `failed_checks_count` got no answer and `cycles_count` came upon something due.

    Durations are of looks with what they called for. `by_kind` goes by kinds of triggers.
    """

    checks_count: int = 0
    failed_checks_count: int = 0
    cycles_count: int = 0
    duration_seconds: float = 0.0
    duration_seconds_max: float = 0.0
    by_kind: dict[str, DueCounts] = field(default_factory=dict[str, DueCounts])


class CheckReport(Struct, frozen=True):
    """What a leader tells at once: its looks since it told last. `interval_seconds` is the longest that it sleeps now
    between two looks; `interval_before_seconds` is given where it was another when it told last.
    """

    lease_name: str
    epoch: Epoch
    holder: str
    sums: CheckSums
    interval_seconds: float
    next_check_in_seconds: float
    interval_before_seconds: float | None = None
    interval_reason: str = ""


class CheckTotals(Struct, frozen=True):
    """All that was ever told, whatever retention removed: so many reports since `since`, the last one at `last_at`."""

    since: datetime
    reports_count: int
    last_at: datetime | None
    sums: CheckSums
