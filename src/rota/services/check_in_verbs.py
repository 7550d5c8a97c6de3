"""The verbs on check-ins, and their pings. An address is made here, returned once, and stored as its hash only.

A ping says nothing of whether its address exists: who guesses learns nothing, and who mistypes is told by the miss.
"""

import hashlib
from datetime import datetime

from msgspec import Struct

from rota.core.check_ins import check_in_problems, on_pause, on_ping, on_resume, opened
from rota.core.field_rules import number_problems
from rota.domain.check_in import OVERLAP_SECONDS_MAX, CheckIn, CheckInDraft, PingSignal
from rota.domain.errors import invalid_input
from rota.domain.ids import CheckInId
from rota.ports.check_in_store import CheckInStore
from rota.ports.clock import Clock
from rota.ports.ids import Ids
from rota.ports.schedule_store import ScheduleStore
from rota.services.acting import Actor
from rota.services.address_budget import AddressBudget


class IssuedCheckIn(Struct, frozen=True):
    """The only time that the address's secret is seen."""

    record: CheckIn
    secret: str


class CheckInVerbs:
    """One per process: its budget is the process's."""

    def __init__(self, check_ins: CheckInStore, schedules: ScheduleStore, ids: Ids, clock: Clock) -> None:
        self._check_ins = check_ins
        self._schedules = schedules
        self._ids = ids
        self._budget = AddressBudget(clock)

    async def create(self, actor: Actor, draft: CheckInDraft) -> IssuedCheckIn:
        """Raises INVALID_INPUT, NAME_TAKEN, QUOTA_EXCEEDED."""
        problems = list(check_in_problems(draft))
        if problems:
            raise invalid_input(problems)
        secret = self._ids.new_secret()
        check_in = opened(
            CheckIn(
                id=CheckInId(self._ids.new_id()),
                tenant_id=actor.tenant_id,
                name=draft.name,
                cron=draft.cron,
                timezone=draft.timezone,
                every_seconds=draft.every_seconds,
                grace_seconds=draft.grace_seconds,
                state="waiting",
                created_at=datetime.fromisoformat(await self._schedules.clock()),
                created_by=actor.label,
            )
        )
        stored = await self._check_ins.create(check_in, _digest(secret), actor.audit("create", "check_in", check_in.id))
        return IssuedCheckIn(stored, secret)

    async def delete(self, actor: Actor, check_in_id: CheckInId) -> CheckIn:
        """Raises NOT_FOUND."""
        return await self._check_ins.delete(
            actor.tenant_id, check_in_id, actor.audit("delete", "check_in", check_in_id)
        )

    async def pause(self, actor: Actor, check_in_id: CheckInId) -> CheckIn:
        """Raises NOT_FOUND."""
        audit = actor.audit("pause", "check_in", check_in_id)
        return await self._check_ins.change(actor.tenant_id, check_in_id, on_pause, "CheckInPaused", audit)

    async def resume(self, actor: Actor, check_in_id: CheckInId) -> CheckIn:
        """Raises NOT_FOUND."""
        audit = actor.audit("resume", "check_in", check_in_id)
        return await self._check_ins.change(actor.tenant_id, check_in_id, on_resume, "CheckInResumed", audit)

    async def rotate(self, actor: Actor, check_in_id: CheckInId, overlap_seconds: float) -> IssuedCheckIn:
        """Raises INVALID_INPUT, NOT_FOUND."""
        problems = list(number_problems("overlap_seconds", overlap_seconds, 0.0, OVERLAP_SECONDS_MAX, "seconds"))
        if problems:
            raise invalid_input(problems)
        secret, audit = self._ids.new_secret(), actor.audit("rotate", "check_in", check_in_id)
        changed = await self._check_ins.rotate(actor.tenant_id, check_in_id, _digest(secret), overlap_seconds, audit)
        return IssuedCheckIn(changed, secret)

    async def ping(self, secret: str, signal: PingSignal) -> None:
        """The same, whether or not there is such an address. Raises RATE_LIMITED."""
        token_hash = _digest(secret)
        self._budget.spend(token_hash)
        await self._check_ins.ping(token_hash, lambda check_in, now: on_ping(check_in, signal, now))


def _digest(secret: str) -> bytes:
    """The secret has 256 random bits, so that a plain hash suffices."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
