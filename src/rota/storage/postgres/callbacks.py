"""Callbacks in PostgreSQL: for workers and the leader by the service login, for callers by a function of the owner."""

from collections.abc import Sequence

import msgspec

from rota.domain.callback import CallbackReceipt, EndedWait, OpenedCallback, WaitOutcome
from rota.domain.errors import Bug
from rota.domain.ids import AttemptToken, RunId
from rota.domain.run import RunError
from rota.ports.callback_store import CallbackLook
from rota.storage.postgres.connections import transaction
from rota.storage.postgres.driver import Pool, Row
from rota.storage.postgres.query_files import query
from rota.storage.postgres.run_rows import claimed_of_row
from rota.storage.postgres.single_statements import SingleStatements

_OPEN_CALLBACKS = query("callback_keeping/open_callbacks")
_AWAIT_CALLBACKS = query("callback_keeping/await_callbacks")
_ANSWER_CALLBACK = query("callbacks/answer_callback")
_LOOK_CALLBACKS = query("callback_keeping/look_callbacks")
_LIST_ENDED = query("callback_keeping/list_ended")
_CLOSE_SETTLED = query("callback_keeping/close_settled")
_PRUNE_AGED = query("callback_keeping/prune_aged")


class PostgresCallbackWaits:
    """See `rota.ports.callback_store.CallbackWaits`."""

    def __init__(self, service_pool: Pool, *, pooled_by_transaction: bool = False) -> None:
        self._statements = SingleStatements(service_pool, pooled_by_transaction=pooled_by_transaction)

    async def open(self, callbacks: Sequence[OpenedCallback]) -> None:
        await self._statements.fetch(
            "keeping callbacks",
            _OPEN_CALLBACKS,
            [one.secret_hash for one in callbacks],
            [one.run_id for one in callbacks],
            [one.tenant_id for one in callbacks],
            [one.token for one in callbacks],
            [one.wait_seconds for one in callbacks],
            [one.keep_seconds for one in callbacks],
        )

    async def await_answers(self, attempts: Sequence[tuple[RunId, AttemptToken]]) -> tuple[WaitOutcome, ...]:
        run_ids, tokens = [run_id for run_id, _ in attempts], [token for _, token in attempts]
        rows = await self._statements.fetch("waiting for callbacks", _AWAIT_CALLBACKS, run_ids, tokens)
        outcomes: dict[int, WaitOutcome] = {row["place"]: row["outcome"] for row in rows}
        return tuple(outcomes[place] for place in range(1, len(attempts) + 1))


class PostgresCallbackAnswers:
    """See `rota.ports.callback_store.CallbackAnswers`."""

    def __init__(self, api_pool: Pool) -> None:
        self._pool = api_pool

    async def answer(
        self, secret_hash: bytes, outcome: str, result_json: str | None, error_json: str | None
    ) -> CallbackReceipt:
        async with transaction(self._pool, doing="taking a callback") as connection:
            row = await connection.fetchrow(_ANSWER_CALLBACK, secret_hash, outcome, result_json, error_json)
        if row is None:
            raise Bug("a receipt is a row")
        receipt: CallbackReceipt = row["receipt"]
        return receipt


class PostgresCallbackKeeping:
    """See `rota.ports.callback_store.CallbackKeeping`."""

    def __init__(self, service_pool: Pool, *, pooled_by_transaction: bool = False) -> None:
        self._statements = SingleStatements(service_pool, pooled_by_transaction=pooled_by_transaction)

    async def look(self) -> CallbackLook:
        (row,) = await self._statements.fetch("looking for callbacks", _LOOK_CALLBACKS)
        return CallbackLook(row["has_waiting"], row["has_ended"], row["has_aged"])

    async def list_ended(self, limit: int) -> tuple[EndedWait, ...]:
        rows = await self._statements.fetch("listing callbacks", _LIST_ENDED, limit)
        return tuple(_ended(row) for row in rows)

    async def close(self, ended: Sequence[EndedWait]) -> None:
        await self._statements.fetch("closing callbacks", _CLOSE_SETTLED, [one.secret_hash for one in ended])

    async def forget_aged(self, limit: int) -> int:
        (row,) = await self._statements.fetch("forgetting callbacks", _PRUNE_AGED, limit)
        return int(row["gone_count"])


def _ended(row: Row) -> EndedWait:
    error = None if row["error"] is None else msgspec.json.decode(row["error"], type=RunError)
    return EndedWait(
        row["secret_hash"],
        None if row["run_id"] is None else claimed_of_row(row),
        row["outcome"],
        row["result"],
        error,
        row["wait_seconds"],
        is_late=row["is_late"],
    )
