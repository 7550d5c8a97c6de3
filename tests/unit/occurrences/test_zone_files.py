"""Rules of later years in forms that few zones use today, so that a new edition of the database cannot surprise."""

import struct
from datetime import UTC, datetime

import pytest

from rota.core.occurrences.instants import BEGINNING
from rota.core.occurrences.tzif import OffsetChange, read_offset_changes
from rota.core.occurrences.zones import zone_names, zone_of, zone_problem
from rota.domain.errors import Bug, DomainError


def zone_file(footer: str, *, offset: int = 0) -> bytes:
    """A zone with one type, no listed change, and a rule."""
    header = b"TZif2" + bytes(15)
    counts = struct.pack(">6I", 0, 0, 0, 0, 1, 4)
    block = struct.pack(">iBB", offset, 0, 0) + b"LMT\0"
    return (header + counts + block) * 2 + f"\n{footer}\n".encode()


def changes_in(year: int, footer: str, *, offset: int = 0) -> list[tuple[str, int]]:
    changes = read_offset_changes(zone_file(footer, offset=offset))
    moments = [(datetime.fromtimestamp(change.at, UTC), change.offset) for change in changes]
    return [(f"{at:%m-%d %H:%M}", to) for at, to in moments if at.year == year]


@pytest.mark.parametrize(
    ("footer", "offset", "expected"),
    [
        ("CET-1CEST,M3.5.0,M10.5.0/3", 3600, [("03-29 01:00", 7200), ("10-25 01:00", 3600)]),
        ("IST-1GMT0,M10.5.0,M3.5.0/1", 3600, [("03-29 01:00", 3600), ("10-25 01:00", 0)]),
        ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", -7200, [("03-29 01:00", -3600), ("10-25 01:00", -7200)]),
        ("EET-2EEST,M3.4.4/50,M10.4.4/50", 7200, [("03-28 00:00", 10800), ("10-23 23:00", 7200)]),
        ("AAA0BBB,J60/0,J300/0", 0, [("03-01 00:00", 3600), ("10-26 23:00", 0)]),
        ("AAA0BBB,59/0,299/0", 0, [("03-01 00:00", 3600), ("10-26 23:00", 0)]),
        ("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 37800, [("04-04 15:00", 37800), ("10-03 15:30", 39600)]),
        ("UTC0", 0, []),
    ],
)
def test_rules_of_every_form_are_read(footer: str, offset: int, expected: list[tuple[str, int]]) -> None:
    assert changes_in(2026, footer, offset=offset) == expected


def test_julian_days_do_not_count_the_leap_day() -> None:
    assert changes_in(2028, "AAA0BBB,J60/0,J300/0")[0] == ("03-01 00:00", 3600)
    assert changes_in(2028, "AAA0BBB,59/0,299/0")[0] == ("02-29 00:00", 3600)


def test_a_zone_without_changes_has_one_offset_from_the_beginning() -> None:
    assert read_offset_changes(zone_file("<+05>-5", offset=18_000)) == (OffsetChange(BEGINNING, 18_000),)


@pytest.mark.parametrize("data", [b"TZif" + bytes(60), b"nonsense" * 10, zone_file("what?")])
def test_a_file_that_is_no_zone_is_a_defect(data: bytes) -> None:
    with pytest.raises(Bug):
        read_offset_changes(data)


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("Europe/Pari", "'Europe/Paris'"),
        ("europe/paris", "'Europe/Paris'"),
        ("New York", "'America/New_York'"),
        ("Tokio", "'Asia/Tokyo'"),
        ("", "'Europe/Paris'"),
        ("qqqqqqqq", "'UTC'"),
    ],
)
def test_an_unknown_zone_suggests_the_nearest(name: str, suggested: str) -> None:
    problem = zone_problem(name)

    assert problem is not None
    assert problem.field == "timezone"
    assert suggested in problem.remedy


@pytest.mark.parametrize("name", ["../zones", "Europe", "/etc/localtime", "localtime", "posixrules"])
def test_only_names_of_the_database_reach_a_file(name: str) -> None:
    with pytest.raises(DomainError):
        zone_of(name)


def test_the_database_has_its_zones() -> None:
    assert len(zone_names()) > 500
    assert {"UTC", "Europe/Paris", "Etc/GMT+12", "US/Pacific"} <= zone_names()
