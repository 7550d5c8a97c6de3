"""The table of callbacks in memory."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from rota.domain.callback import OpenedCallback


@dataclass
class StoredCallback:
    """An address, and what became of it."""

    opened: OpenedCallback
    keep_until: datetime
    waiting_token: int | None = None
    deadline_at: datetime | None = None
    outcome: Literal["succeeded", "failed"] | None = None
    result_json: str | None = None
    error_json: str | None = None
    ended_at: datetime | None = None

    @property
    def token(self) -> int:
        """Under which its run is held or waits."""
        return self.opened.token if self.waiting_token is None else self.waiting_token

    @property
    def is_waiting(self) -> bool:
        return self.waiting_token is not None and self.ended_at is None


@dataclass
class CallbackTables:
    """By the hash of their secret."""

    callbacks: dict[bytes, StoredCallback] = field(default_factory=dict[bytes, StoredCallback])
