"""Limits in memory: the oracle of `rota.storage.postgres.limits`, and what claims ask it."""

from dataclasses import dataclass
from datetime import datetime
from math import floor

from msgspec import structs

from rota.domain.errors import not_found
from rota.domain.event import EventDraft
from rota.domain.limit import Limit, LimitKind, LimitState
from rota.domain.page import Page, PageRequest
from rota.domain.tenancy import AuditEntry
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.limit_tables import StoredLimit
from rota.storage.memory.paging import page_of
from rota.storage.memory.run_tables import LiveRun
from rota.storage.page_cursor import decode_cursor


class MemoryLimitStore:
    """See `rota.ports.limit_store.LimitStore`."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._limits = database.limits_state.limits

    async def put(self, limit: Limit, audit: AuditEntry) -> Limit:
        now, known = self._database.now(), self._limits.get((limit.kind, limit.name))
        if known is not None and _bounds(known.limit) == _bounds(limit):
            return known.limit
        version = 1 if known is None else known.limit.version + 1
        stored = structs.replace(limit, version=version, updated_at=now)
        if known is None or _bounds(known.limit)[1:] != _bounds(limit)[1:]:
            self._limits[limit.kind, limit.name] = StoredLimit(stored, float(limit.burst or 0), now)
        else:
            known.limit = stored
        for live in self._database.runs_state.held():
            live.is_limited |= (live.queue if limit.kind == "queue" else live.tenant_id) == limit.name
        self._record("LimitSet", stored, audit)
        return stored

    async def remove(self, kind: LimitKind, name: str, audit: AuditEntry) -> Limit:
        removed = self._stored(kind, name).limit
        del self._limits[kind, name]
        self._record("LimitRemoved", removed, audit)
        return removed

    async def get(self, kind: LimitKind, name: str) -> LimitState:
        return self._state(self._stored(kind, name))

    async def page(self, page: PageRequest) -> Page[LimitState]:
        after = None if page.cursor is None else decode_cursor(page.cursor, 2)
        states = [self._state(stored) for _, stored in sorted(self._limits.items())]
        return page_of(states, lambda state: (state.limit.kind, state.limit.name), page, after)

    def _stored(self, kind: LimitKind, name: str) -> StoredLimit:
        stored = self._limits.get((kind, name))
        if stored is None:
            raise not_found(f"limit of the {kind}", name)
        return stored

    def _state(self, stored: StoredLimit) -> LimitState:
        limit, rooms = stored.limit, Rooms(self._database)
        return LimitState(limit, rooms.running_count(limit.kind, limit.name), max(0, rooms.room(stored)))

    def _record(self, event_type: str, limit: Limit, audit: AuditEntry) -> None:
        facts = {
            "kind": limit.kind,
            "concurrency_max": limit.concurrency_max,
            "rate_per_second": limit.rate_per_second,
            "burst": limit.burst,
        }
        self._database.record_events([EventDraft(event_type, None, limit.name, audit.actor, facts)])
        self._database.record_audit(None, audit)


@dataclass
class Rooms:
    """How many more runs may begin, of each queue and tenant that has a limit."""

    database: MemoryDatabase

    def running_count(self, kind: LimitKind, name: str) -> int:
        held = [live for live in self.database.runs_state.held() if not live.is_awaiting]
        return sum((live.queue if kind == "queue" else live.tenant_id) == name for live in held)

    def room(self, stored: StoredLimit) -> int:
        limit = stored.limit
        bounds: list[int] = []
        if limit.concurrency_max is not None:
            bounds.append(limit.concurrency_max - self.running_count(limit.kind, limit.name))
        if limit.rate_per_second is not None:
            bounds.append(floor(1e-9 + stored.tokens_at_time(self.database.now())))
        return min(bounds)

    def limits_of(self, live: LiveRun) -> list[StoredLimit]:
        limits = self.database.limits_state.limits
        owners: list[tuple[LimitKind, str]] = [("queue", live.queue), ("tenant", live.tenant_id)]
        return [limits[owner] for owner in owners if owner in limits]

    def has_room(self, live: LiveRun, taken: list[LiveRun]) -> bool:
        """Beside what runs, and `taken`, which begins with it."""
        for stored in self.limits_of(live):
            limit = stored.limit
            beside = sum((each.queue if limit.kind == "queue" else each.tenant_id) == limit.name for each in taken)
            if beside >= self.room(stored):
                return False
        return True

    def spend(self, taken: list[LiveRun], now: datetime) -> None:
        for live in taken:
            for stored in self.limits_of(live):
                stored.tokens, stored.tokens_at = stored.tokens_at_time(now) - 1, now


def _bounds(limit: Limit) -> tuple[int | None, float | None, int | None]:
    return limit.concurrency_max, limit.rate_per_second, limit.burst
