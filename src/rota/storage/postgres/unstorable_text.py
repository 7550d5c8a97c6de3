"""PostgreSQL keeps no text with the character U+0000: the one place that says so to a caller."""

from collections.abc import Generator
from contextlib import contextmanager

import asyncpg

from rota.domain.errors import DomainError, invalid_input
from rota.domain.problems import FieldProblem


@contextmanager
def refusing_unstorable_text() -> Generator[None]:
    """Raises INVALID_INPUT where a text that was handed in holds U+0000."""
    try:
        yield
    except (asyncpg.UntranslatableCharacterError, asyncpg.CharacterNotInRepertoireError) as error:
        raise unstorable_text() from error


def unstorable_text() -> DomainError:
    return invalid_input([FieldProblem("text", "holds the character U+0000, which cannot be stored", "Remove it.")])
