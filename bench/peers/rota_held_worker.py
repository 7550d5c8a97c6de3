"""`rota worker start` that finds nothing to claim between the orders `hold` and `go`; it begins held.

The same process, code and settings otherwise: registered, heart-beating, its executors connected, as the workers of the
other systems are while they wait for the word. An order is a line on its input. A byte on its output says that it is
heeded, and after `hold` that no claim is under way any longer. After `go` it is woken as by an enqueue.
"""

import asyncio
import os
from collections.abc import Sequence

from rota.cli.main import main
from rota.domain.ids import WorkerId
from rota.domain.run import ClaimedRun
from rota.storage.postgres.run_claims import PostgresRunClaims

ORDERS, ANSWERS = 0, 1
GO = b"go\n"
HOLD = b"hold\n"
HEEDED = b"."


class Hold:
    """Stands before the claims of the one worker of this process. It listens from the first claim on."""

    def __init__(self) -> None:
        self._listens = False
        self._is_on = True
        self._under_way_count = 0
        self._is_owed_answer = False

    async def claim_batch(
        self, claims: PostgresRunClaims, worker_id: WorkerId, queues: Sequence[str], limit: int
    ) -> tuple[ClaimedRun, ...]:
        if not self._listens:
            self._listens = True
            asyncio.get_running_loop().add_reader(ORDERS, self._heed)
        if self._is_on:
            return ()
        self._under_way_count += 1
        try:
            return await CLAIM_BATCH(claims, worker_id, queues, limit)
        finally:
            self._under_way_count -= 1
            self._answer_when_heeded()

    def _heed(self) -> None:
        order = os.read(ORDERS, len(HOLD))
        if not order:
            asyncio.get_running_loop().remove_reader(ORDERS)
            return
        self._is_on = order == HOLD
        self._is_owed_answer = True
        self._answer_when_heeded()

    def _answer_when_heeded(self) -> None:
        if self._is_owed_answer and not (self._is_on and self._under_way_count):
            self._is_owed_answer = False
            os.write(ANSWERS, HEEDED)


CLAIM_BATCH = PostgresRunClaims.claim_batch
_hold = Hold()


async def _claim_batch(
    self: PostgresRunClaims, worker_id: WorkerId, queues: Sequence[str], limit: int
) -> tuple[ClaimedRun, ...]:
    return await _hold.claim_batch(self, worker_id, queues, limit)


if __name__ == "__main__":
    PostgresRunClaims.claim_batch = _claim_batch
    main()
