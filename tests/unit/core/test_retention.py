from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from rota.core.retention import aged_days, cutoff, latest_cutoff, rule_problems
from rota.domain.retention import KEEP_DAYS_MAX, KINDS, HistoryDay, RetentionRule, RetentionRules

DEFAULTS = {kind: known.keep_days for kind, known in KINDS.items()}
TODAY = date(2026, 3, 31)


def rules(now: datetime, **keep_days: int) -> RetentionRules:
    return RetentionRules(now, tuple(RetentionRule(kind, days) for kind, days in (DEFAULTS | keep_days).items()))


@given(
    st.lists(st.tuples(st.sampled_from([*KINDS, "unknown"]), st.integers(0, 500)), unique=True),
    st.dictionaries(st.sampled_from(list(KINDS)), st.integers(1, 400)),
    st.integers(0, 86_399),
)
def test_exactly_the_days_that_ended_before_their_cutoff_are_over(
    days: list[tuple[str, int]], keep_days: dict[str, int], second: int
) -> None:
    now = datetime(2026, 3, 31, tzinfo=UTC) + timedelta(seconds=second)
    made = rules(now, **keep_days)
    history = [HistoryDay(kind, TODAY - timedelta(days=ago), 1, None, False) for kind, ago in days]

    over = aged_days(made, history)

    # A day that was n days ago ended n - 1 days before midnight; so it is over from n - 1 days on.
    assert {(one.kind, one.day) for one in over} == {
        (kind, TODAY - timedelta(days=ago))
        for kind, ago in days
        if kind in KINDS and ago - 1 >= (made.keep_days()[kind])
    }
    assert [one.day for one in over] == sorted(one.day for one in over)
    assert all(datetime(one.day.year, one.day.month, one.day.day, tzinfo=UTC) < latest_cutoff(made) for one in over)


def test_nothing_younger_than_a_day_is_ever_over() -> None:
    now = datetime(2026, 3, 31, 12, tzinfo=UTC)
    assert cutoff(now, 1) == now - timedelta(days=1)
    yesterday = HistoryDay("runs", TODAY - timedelta(days=1), 1, None, False)
    assert aged_days(rules(now, runs=1), [yesterday]) == ()


def problems(**wanted: int) -> list[tuple[str, str]]:
    return [(one.field, one.remedy) for one in rule_problems(DEFAULTS, wanted)]


def test_defaults_are_within_their_own_bounds() -> None:
    assert problems(**DEFAULTS) == []


def test_each_bound_is_told_with_its_field_and_its_remedy() -> None:
    assert problems(events=6) == [("keep_days.events", f"use 7 to {KEEP_DAYS_MAX} days")]
    assert problems(events=KEEP_DAYS_MAX + 1) == [("keep_days.events", f"use 7 to {KEEP_DAYS_MAX} days")]
    ((field, remedy),) = problems(schedules=3)
    assert field == "keep_days.schedules"
    assert "log_lines" in remedy


def test_what_hangs_on_a_run_may_not_outlive_it() -> None:
    assert problems(log_lines=91) == [("keep_days.log_lines", "keep at most 90 days of log_lines, or more of runs")]
    assert problems(log_lines=91, runs=91) == []
    hang_on_runs = [kind for kind, known in KINDS.items() if known.within == "runs"]
    assert {"attempts", "log_lines"} < {*hang_on_runs}
    assert [field for field, _ in problems(runs=29)] == [f"keep_days.{kind}" for kind in hang_on_runs]
    assert problems(runs=29, **dict.fromkeys(hang_on_runs, 29)) == []
