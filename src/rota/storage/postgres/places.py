"""Places of concurrency keys in PostgreSQL: `scheduler.admit_key` decides; see the migration that makes it."""

from collections.abc import Iterable

from rota.domain.errors import Bug
from rota.ports.place_store import PlacesGiven
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.query_files import query
from rota.storage.postgres.single_statements import SingleStatements

_ADMIT_WAITING = query("concurrency_keys/admit_waiting")
ADMIT_KEYS = query("concurrency_keys/admit_keys")


class PostgresPlaceStore:
    """See `rota.ports.place_store.PlaceStore`."""

    def __init__(self, service_pool: Pool, *, pooled_by_transaction: bool = False) -> None:
        self._statements = SingleStatements(service_pool, pooled_by_transaction=pooled_by_transaction)

    async def give_places(self, behind: str | None, keys_max: int) -> PlacesGiven:
        row = await self._statements.fetch_one("giving places", _ADMIT_WAITING, behind, keys_max)
        if row is None:
            raise Bug("a function gave no row")
        return PlacesGiven(tuple(row["queues"]), row["last_key"], row["is_waiting"])


async def give_freed_places(statements: SingleStatements, keys: Iterable[str]) -> tuple[str, ...]:
    """The queues in which a run has got a place of one of `keys`."""
    row = await statements.fetch_one("giving places", ADMIT_KEYS, sorted(set(keys)), True)
    return () if row is None else tuple(row["queues"])
