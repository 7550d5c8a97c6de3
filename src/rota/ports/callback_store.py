"""Callbacks in the store: addresses that workers hand out, the answers to them, and the runs that wait for one."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from rota.domain.callback import CallbackReceipt, EndedWait, OpenedCallback, WaitOutcome
from rota.domain.ids import AttemptToken, RunId


class CallbackWaits(Protocol):
    """For workers, over all tenants."""

    async def open(self, callbacks: Sequence[OpenedCallback]) -> None:
        """Before any of their requests is sent (law 1). Raises Unavailable: then none may be."""
        ...

    async def await_answers(self, attempts: Sequence[tuple[RunId, AttemptToken]]) -> tuple[WaitOutcome, ...]:
        """Each run waits from now on, held by nobody; repeating it changes nothing. In the order given, all or none.
        `cancelled`: it is to be cancelled instead. `stale`: the attempt is not current any more.
        """
        ...


class CallbackAnswers(Protocol):
    """For whoever has an address: there is no other proof of who calls."""

    async def answer(
        self, secret_hash: bytes, outcome: str, result_json: str | None, error_json: str | None
    ) -> CallbackReceipt:
        """Kept until the leader has acted on it. One whose attempt is still with its worker is taken from it."""
        ...


class CallbackLook(Struct, frozen=True):
    """`has_waiting`: a run waits. `has_ended`: for one of them it is over. `has_aged`: there is something to forget."""

    has_waiting: bool
    has_ended: bool
    has_aged: bool


class CallbackKeeping(Protocol):
    """Only for the leader: it looks across tenants. What two leaders do at once is done once."""

    async def look(self) -> CallbackLook:
        """One cheap look."""
        ...

    async def list_ended(self, limit: int) -> tuple[EndedWait, ...]:
        """To be settled, each under its token, then closed."""
        ...

    async def close(self, ended: Sequence[EndedWait]) -> None:
        """They wait no more; who calls is told that it is over."""
        ...

    async def forget_aged(self, limit: int) -> int:
        """Addresses past their time, up to so many; how many."""
        ...
