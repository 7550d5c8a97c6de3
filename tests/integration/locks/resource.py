"""What a lock protects in these tests: it refuses every token below the highest that it has seen, and keeps a journal.

It lives in the same server for convenience alone: it asks nothing of the lock's tables.
"""

from dataclasses import dataclass

from rota.domain.errors import Unavailable
from rota.storage.postgres.connections import transaction
from rota.storage.postgres.driver import Pool
from tests.support.waiting import loop_sleep

_CREATE = """
CREATE SCHEMA lock_test;
CREATE TABLE lock_test.resource (only_row boolean PRIMARY KEY DEFAULT true, token bigint NOT NULL DEFAULT 0);
INSERT INTO lock_test.resource DEFAULT VALUES;
CREATE TABLE lock_test.journal (
    position bigint GENERATED ALWAYS AS IDENTITY, token bigint NOT NULL, what text NOT NULL, accepted boolean NOT NULL
);
"""


@dataclass(frozen=True)
class Entry:
    """One write, in the order of the resource."""

    token: int
    what: str
    accepted: bool


class Resource:
    """The guard of a shared thing. `write` repeats until the database has answered."""

    def __init__(self, owner_pool: Pool) -> None:
        self._pool = owner_pool

    async def create(self) -> None:
        await self._pool.execute(_CREATE)

    async def write(self, token: int, what: str) -> bool:
        """Whether it was accepted. One transaction: the row's lock gives all writes one order."""
        while True:
            try:
                async with transaction(self._pool, doing="writing to the resource") as connection:
                    seen = await connection.fetchval("SELECT token FROM lock_test.resource FOR UPDATE")
                    accepted = bool(token >= seen)
                    await connection.execute("UPDATE lock_test.resource SET token = greatest(token, $1)", token)
                    await connection.execute(
                        "INSERT INTO lock_test.journal (token, what, accepted) VALUES ($1, $2, $3)",
                        token,
                        what,
                        accepted,
                    )
                    return accepted
            except Unavailable:
                await loop_sleep(0.02)

    async def journal(self) -> list[Entry]:
        rows = await self._pool.fetch("SELECT token, what, accepted FROM lock_test.journal ORDER BY position")
        return [Entry(row["token"], row["what"], row["accepted"]) for row in rows]


def doubled(journal: list[Entry]) -> list[Entry]:
    """Accepted writes that came while, by the tokens, somebody else was inside: there must be none.

    A holder that was cut off or killed never leaves; a higher token then ends its time.
    """
    found: list[Entry] = []
    highest = 0
    left: set[int] = set()
    for entry in journal:
        if not entry.accepted:
            continue
        if entry.token < highest or (entry.what == "enter" and entry.token == highest and highest in left):
            found.append(entry)
        if entry.what == "leave":
            left.add(entry.token)
        highest = max(highest, entry.token)
    return found
