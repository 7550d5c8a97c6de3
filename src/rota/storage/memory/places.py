"""Places of concurrency keys in memory, where claims themselves look who has one: there is nothing left to give."""

from dataclasses import dataclass

from rota.ports.place_store import PlacesGiven
from rota.storage.memory.database import MemoryDatabase


@dataclass(frozen=True)
class MemoryPlaceStore:
    """See `rota.ports.place_store.PlaceStore`."""

    database: MemoryDatabase

    async def give_places(self, behind: str | None, keys_max: int) -> PlacesGiven:
        del behind, keys_max
        live = self.database.runs_state.live.values()
        wanted = [each.due_at for each in live if each.key_id is not None and each.state == "queued"]
        in_seconds = (min(wanted) - self.database.now()).total_seconds() if wanted else None
        return PlacesGiven((), None, in_seconds)
