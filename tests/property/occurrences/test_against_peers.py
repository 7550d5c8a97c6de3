from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.occurrences.expressions import MONTHS, WEEKDAYS
from tests.property.occurrences.patience import PATIENT
from tests.property.occurrences.peers import DIFFERENCES, PEERS, Case, Difference, explanations, rota

DOCS = Path(__file__).resolve().parents[3] / "docs" / "occurrences.md"

EXPRESSIONS = (
    "* * * * *", "*/5 * * * *", "0 2 * * *", "30 2 * * *", "15 1 * * *", "30 9 * * 1-5", "0 0 1 * *", "0 0 L * *",
    "0 0 29 2 *", "0 0 13 * 5", "0 0 */2 * 5", "0 0 1 * */2", "0 0 * * 5#3", "0 0 * * 5L", "0 0 * * L5", "0 0 LW * *",
    "0 0 15W * *", "5/15 * * * *", "0 22-2 * * *", "0 0 * * FRI-MON", "0 0 * * 7", "0 0 ? * MON", "@daily", "@hourly",
    "@yearly", "@weekly", "@monthly", "@annually", "@midnight", "H H * * *", "*/90 * * * *", "*/60 * * * *",
    "0 0 28-3 * *", "0 0 L-3 * *", "0 0 30 2 *", "30 * * * *", "*/30 * * * *", "0 */2 * * *", "30 1-3 * * *",
    "0-59/10 2 * * *", "* 2 * * *", "0 0 * * 0-7", "0 0 * NOV-FEB *", "0 0 * * SUN", "0 12 * * MON,WED",
    "59 23 31 12 *", "10-50/20 0 * * *", "0 0 1,15 * 3", "0 0 1-31 * 3", "0 0 1 * 0-6", "12-12/3 4 * * *",
    "0 13-4/6 * * *",
)  # fmt: skip

MOMENTS = (
    ("UTC", datetime(2026, 1, 15, 12, 34, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 7, 12, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 10, 31, 12, tzinfo=UTC)),
    ("Europe/Paris", datetime(2026, 3, 28, 12, tzinfo=UTC)),
    ("Europe/Paris", datetime(2026, 10, 24, 12, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 6, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 6, tzinfo=UTC)),
    ("Asia/Beirut", datetime(2026, 3, 28, 6, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2017, 10, 14, 6, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 29, 3, tzinfo=UTC)),
)
CASES = [Case(expression, zone, after) for expression in EXPRESSIONS for zone, after in MOMENTS]


def unlisted(peer: str, case: Case) -> str | None:
    ours, theirs = rota(case), PEERS[peer](case)
    if ours == theirs or explanations(peer, case, ours, theirs):
        return None
    return f"{case}\n  {peer}: {theirs}\n  rota: {ours}"


@pytest.mark.parametrize("peer", PEERS)
def test_every_difference_from_a_peer_is_meant(peer: str) -> None:
    assert [found for case in CASES if (found := unlisted(peer, case))] == []


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda one: f"{one.peer}: {one.row}")
def test_every_listed_difference_is_seen(difference: Difference) -> None:
    found = (
        one
        for case in CASES
        for peer, answer in PEERS.items()
        if (ours := rota(case)) != (theirs := answer(case))
        for one in explanations(peer, case, ours, theirs)
    )

    assert difference in found


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda one: f"{one.peer}: {one.row}")
def test_every_listed_difference_is_documented(difference: Difference) -> None:
    rows = [line.split("|") for line in DOCS.read_text().splitlines() if line.startswith("|")]
    documented = {(row[1].strip(), peer) for row in rows if len(row) > 2 for peer in PEERS if peer in row[2]}

    assert any(one is difference and (one.row, one.peer) in documented for one in DIFFERENCES)


def classic_field(low: int, high: int) -> st.SearchStrategy[str]:
    """What every cron since Vixie's reads the same way."""
    value = st.integers(low, high).map(str)
    span = st.integers(low, high - 1).flatmap(
        lambda first: st.integers(first + 1, high).map(lambda last: f"{first}-{last}")
    )
    stepped = st.tuples(span, st.integers(1, 7)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    items = st.lists(st.one_of(value, span, stepped), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), st.integers(1, 7).map(lambda step: f"*/{step}"), items)


CLASSIC = st.tuples(
    classic_field(0, 59),
    classic_field(0, 23),
    st.one_of(st.just("*"), classic_field(1, 28)),
    st.one_of(st.just("*"), st.just("*"), classic_field(1, 12), st.sampled_from(MONTHS)),
    st.one_of(st.just("*"), classic_field(0, 6), st.sampled_from(WEEKDAYS)),
).map(" ".join)


@pytest.mark.parametrize("peer", PEERS)
@settings(PATIENT, max_examples=150)
@given(
    expression=CLASSIC,
    zone=st.sampled_from(["UTC", "America/New_York", "Europe/Paris", "Asia/Beirut", "Asia/Tokyo"]),
    minutes=st.integers(0, 20 * 365 * 24 * 60),
)
def test_classic_expressions_differ_only_as_listed(peer: str, expression: str, zone: str, minutes: int) -> None:
    case = Case(expression, zone, datetime(2015, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes))

    assert unlisted(peer, case) is None
