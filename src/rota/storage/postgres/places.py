"""Places of concurrency keys in PostgreSQL: `scheduler.admit_key` decides; see the migration that makes it."""

from collections.abc import Iterable
from itertools import islice

from rota.domain.errors import Bug
from rota.ports.place_store import PlacesGiven
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.query_files import query
from rota.storage.postgres.single_statements import SingleStatements

_ADMIT_WAITING = query("concurrency_keys/admit_waiting")
_ADMIT_KEYS = query("concurrency_keys/admit_keys")

# Each is an entry in the server's table of locks until the transaction ends. The leader's watch gives what is left out.
KEYS_GIVEN_MAX = 200


class PostgresPlaceStore:
    """See `rota.ports.place_store.PlaceStore`."""

    def __init__(self, service_pool: Pool, *, pooled_by_transaction: bool = False) -> None:
        self._statements = SingleStatements(service_pool, pooled_by_transaction=pooled_by_transaction)

    async def give_places(self, behind: str | None, keys_max: int) -> PlacesGiven:
        row = await self._statements.fetch_one("giving places", _ADMIT_WAITING, behind, keys_max)
        if row is None:
            raise Bug("a function gave no row")
        return PlacesGiven(tuple(row["queues"]), row["last_key"], row["next_wanted_in_seconds"])


async def give_freed_places(statements: SingleStatements, keys: Iterable[str], *, waits: bool) -> tuple[str, ...]:
    """The queues in which a run got a place of one of `keys`. Without `waits`, keys that somebody is at are left."""
    row = await statements.fetch_one("giving places", _ADMIT_KEYS, _bounded(keys), waits)
    return () if row is None else tuple(row["queues"])


async def give_first_places(connection: Connection, keys: Iterable[str]) -> None:
    """To new runs, in their transaction, which waits for nobody who is at a key."""
    await connection.fetchval(_ADMIT_KEYS, _bounded(keys), False)


def _bounded(keys: Iterable[str]) -> list[str]:
    return list(islice(sorted(set(keys)), KEYS_GIVEN_MAX))
