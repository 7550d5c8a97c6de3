"""The one verb of callbacks: to answer. The address alone says which attempt is meant, and that the caller may."""

from msgspec import json

from rota.core.callbacks import answer_problems, callback_digest, error_of, stored_error
from rota.domain.callback import CallbackAnswer
from rota.domain.errors import DomainError, invalid_input
from rota.ports.callback_store import CallbackAnswers
from rota.ports.clock import Clock
from rota.ports.wakeups import Wakeups
from rota.services.address_budget import AddressBudget

CALLBACKS_TOPIC = "callbacks"


class CallbackVerbs:
    """What is accepted is kept before anything is done about it; the leader ends the run moments later.

    One per process: its budget is the process's.
    """

    def __init__(self, answers: CallbackAnswers, wakeups: Wakeups, clock: Clock) -> None:
        self._answers = answers
        self._wakeups = wakeups
        self._budget = AddressBudget(clock)

    async def answer(self, secret: str, answer: CallbackAnswer) -> None:
        """Raises RATE_LIMITED, INVALID_INPUT, NOT_FOUND, STATE_CONFLICT (answered before), GONE (nobody waits)."""
        secret_hash = callback_digest(secret)
        self._budget.spend(secret_hash)
        problems = list(answer_problems(answer))
        if problems:
            raise invalid_input(problems)
        result = None if answer.outcome == "failed" else json.encode(answer.result).decode()
        error = stored_error(error_of(answer))
        receipt = await self._answers.answer(secret_hash, answer.outcome, result, error)
        if receipt == "unknown":
            raise DomainError("NOT_FOUND", "this is not the address of a callback, or one of long ago")
        if receipt == "repeated":
            raise DomainError("STATE_CONFLICT", "this callback was answered before; the first answer counts")
        if receipt == "over":
            raise DomainError("GONE", "the attempt that this callback was for has ended: nobody waits for it any more")
        self._wakeups.announce(CALLBACKS_TOPIC)
