"""Bulk operations: how many runs would be touched, then the operation itself, only if that number still holds."""

from collections.abc import Iterator

import msgspec

from rota.core.field_rules import NAME_RULE, text_problems
from rota.core.validation import refuse_far_times
from rota.domain.bulk import STATES_OF_VERB, BulkDraft, BulkFilter, BulkId, BulkOperation, BulkVerb
from rota.domain.errors import DomainError, invalid_input
from rota.domain.page import PageRequest
from rota.domain.problems import FieldProblem
from rota.domain.run import RunState
from rota.ports.bulk_store import BulkStore
from rota.ports.idempotency_store import IdempotencyStore, KeyUse
from rota.ports.ids import Ids
from rota.ports.run_store import RunReader, runs_in
from rota.ports.wakeups import Wakeups
from rota.services.acting import Actor
from rota.services.run_verbs import CANCEL_TOPIC
from rota.services.schedule_verbs import fingerprint_of, key_mismatch

BATCH_RUNS_MAX = 500
BATCH_DELETIONS_MAX = 200
BATCHES_PER_CALL_MAX = 10
"""A call goes on with an operation for so many batches; the next call goes on behind them."""
_KEY_SCOPE = "bulk"


class BulkVerbs:
    """Stateless; shared by every front door."""

    def __init__(
        self, store: BulkStore, reader: RunReader, idempotency: IdempotencyStore, ids: Ids, wakeups: Wakeups
    ) -> None:
        self._store = store
        self._reader = reader
        self._idempotency = idempotency
        self._ids = ids
        self._wakeups = wakeups

    async def preview(self, actor: Actor, verb: BulkVerb, wanted: BulkFilter) -> int:
        """How many runs the operation would touch now. Changes nothing."""
        counts = [
            (await self._reader.page(actor.tenant_id, runs_in(wanted, state), PageRequest(limit=1))).total_count
            for state in _states(verb, wanted)
        ]
        return sum(counts)

    async def begin(
        self, actor: Actor, verb: BulkVerb, wanted: BulkFilter, expected_count: int, key: str | None = None
    ) -> BulkOperation:
        """Raises STATE_CONFLICT, changing nothing, where not exactly `expected_count` runs match by now."""
        states = _states(verb, wanted)
        bulk_id = BulkId(self._ids.new_id())
        if key is not None:
            use = KeyUse(key, fingerprint_of((verb, wanted, expected_count)), bulk_id)
            (first,) = await self._idempotency.reserve_many(actor.tenant_id, _KEY_SCOPE, [use])
            if first.fingerprint != use.fingerprint:
                raise key_mismatch(key)
            bulk_id = BulkId(first.resource_id)
        if not await self._was_begun(actor, bulk_id):
            matched = await self.preview(actor, verb, wanted)
            if matched != expected_count:
                problem = FieldProblem(
                    "expected_count", f"{matched} runs match by now", "look again, then send that count"
                )
                detail = f"{matched} runs match, not {expected_count}: nothing was changed"
                raise DomainError("STATE_CONFLICT", detail, [problem])
            draft = BulkDraft(bulk_id, actor.tenant_id, verb, wanted, states, expected_count, actor.label)
            await self._store.begin(draft, actor.audit(f"bulk {verb}", "run", f"{expected_count} by {_told(wanted)}"))
        return await self.go_on(actor, bulk_id)

    async def go_on(self, actor: Actor, bulk_id: BulkId) -> BulkOperation:
        """The next batches of an operation, also of one that somebody else began. Raises NOT_FOUND."""
        operation = await self._store.get(actor.tenant_id, bulk_id)
        limit = BATCH_DELETIONS_MAX if operation.verb == "delete" else BATCH_RUNS_MAX
        for _ in range(BATCHES_PER_CALL_MAX):
            if operation.finished_at is not None:
                break
            operation = await self._store.step(actor.tenant_id, bulk_id, actor.label, limit)
        if operation.verb == "cancel":
            self._wakeups.announce(CANCEL_TOPIC)
        elif operation.verb == "retry" and operation.filter.queue is not None:
            self._wakeups.announce(f"queue:{operation.filter.queue}")
        return operation

    async def _was_begun(self, actor: Actor, bulk_id: BulkId) -> bool:
        try:
            await self._store.get(actor.tenant_id, bulk_id)
        except DomainError:
            return False
        return True


def _told(wanted: BulkFilter) -> str:
    """The filter as the audit trail tells it."""
    return msgspec.json.encode(wanted).decode()


def _states(verb: BulkVerb, wanted: BulkFilter) -> tuple[RunState, ...]:
    """The states to go through, in the verb's order. Raises INVALID_INPUT for one that it cannot act on."""
    problems = list(_filter_problems(verb, wanted))
    if problems:
        raise invalid_input(problems)
    refuse_far_times(**{"filter.created_after": wanted.created_after, "filter.created_before": wanted.created_before})
    known = STATES_OF_VERB[verb]
    default: tuple[RunState, ...] = ("failed",) if verb == "retry" else known
    asked = default if wanted.states is None else wanted.states
    return tuple(state for state in known if state in asked)


def _filter_problems(verb: BulkVerb, wanted: BulkFilter) -> Iterator[FieldProblem]:
    known = STATES_OF_VERB[verb]
    if verb == "delete" and wanted == BulkFilter():
        problem = "has no condition, so that all history would go"
        yield FieldProblem("filter", problem, "name one, such as created_before or states")
    for place, state in enumerate(wanted.states or ()):
        if state not in known:
            yield FieldProblem(
                f"filter.states[{place}]", f"{verb} cannot act on {state} runs", f"use {', '.join(known)}"
            )
    for name, text in (("task", wanted.task), ("queue", wanted.queue), ("schedule_id", wanted.schedule_id)):
        if text is not None:
            yield from text_problems(f"filter.{name}", text, NAME_RULE)
