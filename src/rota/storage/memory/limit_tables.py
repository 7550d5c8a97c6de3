"""The table of limits in memory."""

from dataclasses import dataclass, field
from datetime import datetime

from rota.domain.limit import Limit, LimitKind


@dataclass
class StoredLimit:
    """A limit with what was left of its burst at `tokens_at`."""

    limit: Limit
    tokens: float
    tokens_at: datetime

    def tokens_at_time(self, now: datetime) -> float:
        gained = max(0.0, (now - self.tokens_at).total_seconds()) * (self.limit.rate_per_second or 0.0)
        return min(float(self.limit.burst or 0), self.tokens + gained)


@dataclass
class LimitTables:
    """By kind and name."""

    limits: dict[tuple[LimitKind, str], StoredLimit] = field(default_factory=dict[tuple[LimitKind, str], StoredLimit])
