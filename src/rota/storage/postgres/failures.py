"""Turns what the driver and the network raise into the project's error families: the one place that does.

`Unavailable`: the server cannot be reached, is shutting down, out of connections, or gave up on the statement
(time-out, deadlock, serialization). The outcome of a write in flight is then unknown; the caller finds it by reading.
Everything else (a broken constraint, a wrong statement, a missing privilege) passes unchanged: the store that wrote the
statement knows which constraint means what.
"""

from collections.abc import Generator
from contextlib import contextmanager

import asyncpg

from rota.domain.errors import Unavailable

UNAVAILABLE_ERRORS: tuple[type[Exception], ...] = (
    asyncpg.PostgresConnectionError,  # class 08
    asyncpg.InsufficientResourcesError,  # class 53: connections, memory, disk
    asyncpg.OperatorInterventionError,  # class 57: shutdown, statement_timeout
    asyncpg.TransactionRollbackError,  # class 40: deadlock, serialization
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.PostgresIOError,
    asyncpg.TargetServerAttributeNotMatched,
    OSError,  # TimeoutError is one of them
    EOFError,
)

_CLOSED_MARKS = ("is closed", "was closed", "is closing", "closed in the middle", "has been released")

# What the driver says of a session that the server has ended, between that word and the end of the stream: it is still
# consuming the error (2), or has failed. Two statements at once, a bug of ours, are refused in other words.
_ENDED_MARKS = ("another operation (2) is in progress", 'protocol is in the "failed" state')


@contextmanager
def translating_errors(doing: str, *, writes_allowed: bool = True) -> Generator[None]:
    """Raises `Unavailable` in place of every failure that another try may cure.

    *doing* says what was being attempted, for the message ("claiming runs"). A server that turns read-only under a
    transaction that may write is a standby after a fail-over: unavailable. In a read-only transaction it is a bug.
    """
    try:
        yield
    except UNAVAILABLE_ERRORS as error:
        raise _unavailable(doing, error) from error
    except asyncpg.ReadOnlySQLTransactionError as error:
        if not writes_allowed:
            raise
        raise _unavailable(doing, error) from error
    except asyncpg.InterfaceError as error:
        if not any(mark in str(error) for mark in _CLOSED_MARKS):
            raise
        raise _unavailable(doing, error) from error
    except asyncpg.InternalClientError as error:
        if not any(mark in str(error) for mark in _ENDED_MARKS):
            raise
        raise _unavailable(doing, error) from error


def _unavailable(doing: str, error: BaseException) -> Unavailable:
    said = str(error) or type(error).__name__
    return Unavailable(f"the database did not answer while {doing}: {said}")
