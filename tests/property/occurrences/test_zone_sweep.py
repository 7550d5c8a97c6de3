from datetime import UTC, datetime, timedelta

import pytest

from rota.core.occurrences.zones import zone_names, zone_of
from tests.property.occurrences.oracle import clock_changes, wall_clock
from tests.property.occurrences.sweep import changes_of, sweep

ONE_IN = 12


def test_fires_around_the_clock_changes_of_every_zone_are_those_of_the_oracle() -> None:
    looked_at, disagreements = sweep(seed=0, one_in=ONE_IN)

    assert looked_at > 2_500
    assert disagreements == []


def test_every_zone_shows_the_time_that_zoneinfo_shows() -> None:
    instants = [datetime(1900, 1, 2, tzinfo=UTC) + timedelta(days=97) * number for number in range(1_100)]
    for name in zone_names():
        zone, wall = zone_of(name), wall_clock(name)
        near_changes = [
            datetime.fromtimestamp(change.at + second, UTC) for change in changes_of(name) for second in (-1, 0)
        ]
        for instant in [*instants, *near_changes]:
            offset = instant.astimezone(wall).utcoffset()
            assert offset is not None
            assert zone.local(int(instant.timestamp())) - int(instant.timestamp()) == offset.total_seconds(), name


@pytest.mark.parametrize(
    "name",
    ["Europe/Paris", "Australia/Lord_Howe", "Pacific/Apia", "Europe/Dublin", "Asia/Beirut", "Africa/Casablanca",
     "America/Sao_Paulo", "Antarctica/Troll", "Pacific/Kwajalein", "Africa/Monrovia", "Asia/Gaza", "America/Nuuk"],
)  # fmt: skip
def test_every_clock_change_is_known_to_the_second(name: str) -> None:
    known = [datetime.fromtimestamp(start, UTC) for start in zone_of(name).starts]

    assert [at for at in known if 1970 <= at.year <= 2060] == clock_changes(name, 1970, 2060)
