from datetime import UTC, datetime, timedelta

import pytest

from rota.storage.postgres.look_floors import (
    CHEAP_LOOKS_BEFORE_WIDENING,
    FULL_LOOK_PAUSE_PER_ENTRY,
    PASSED_IN_VAIN_MAX,
    PRIORITIES_COUNT,
    SLACK_FIRST,
    SLACK_MAX,
    DueLook,
    FireLook,
    FiresSeen,
    Look,
    LookFloors,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DUE = NOW - timedelta(hours=1)
RUN = "01953f4e-0000-7000-8000-000000000001"
MANY = 100_000


def looked(*, full: bool, passed: int, last: tuple[int, datetime, str] | None = (4, DUE, RUN)) -> Look:
    return Look(NOW, full, passed, last)


def floored() -> LookFloors:
    floors = LookFloors()
    floors.note(looked(full=True, passed=MANY))
    return floors


def test_looks_are_full_while_they_are_cheap() -> None:
    floors = LookFloors()
    floors.note(looked(full=True, passed=PASSED_IN_VAIN_MAX))

    assert floors.full_again_at is None
    assert set(floors.due_at) == set(floors.run_ids) == {None}


def test_after_a_costly_look_the_next_begin_where_it_ended() -> None:
    floors = floored()

    assert floors.due_at[4] == DUE - SLACK_FIRST
    assert floors.due_at[:4] == [None] * 4
    assert floors.due_at[5:] == [NOW - SLACK_FIRST] * (PRIORITIES_COUNT - 5)


def test_a_look_that_no_limit_stopped_has_seen_all_lanes_to_their_end() -> None:
    floors = LookFloors()
    floors.note(looked(full=True, passed=MANY, last=None))

    assert floors.due_at == [NOW - SLACK_FIRST] * PRIORITIES_COUNT


def test_full_looks_return_after_a_time_in_proportion_to_their_cost() -> None:
    assert floored().full_again_at == NOW + MANY * FULL_LOOK_PAUSE_PER_ENTRY


def test_a_cheap_full_look_ends_the_floors() -> None:
    floors = floored()
    floors.note(looked(full=True, passed=0))
    assert floors.full_again_at is None

    floors.note(looked(full=True, passed=MANY, last=(9, DUE, RUN)))
    assert floors.due_at == [None] * 9 + [DUE - SLACK_FIRST]


def test_the_slack_is_as_wide_as_it_is_cheap_and_vanishes_where_all_is_due_at_once() -> None:
    floors = floored()
    for _ in range(8 * CHEAP_LOOKS_BEFORE_WIDENING):
        floors.note(looked(full=False, passed=0))
    assert floors.due_at[4] == DUE - SLACK_MAX

    for _ in range(8):
        floors.note(looked(full=False, passed=MANY))
    assert (floors.due_at[4], floors.run_ids[4]) == (DUE, RUN)

    for _ in range(CHEAP_LOOKS_BEFORE_WIDENING):
        assert floors.due_at[4] == DUE
        floors.note(looked(full=False, passed=0))
    assert DUE - timedelta(seconds=1) < (floors.due_at[4] or NOW) < DUE


def test_a_renewal_that_passed_many_looks_for_what_is_new_until_a_full_look_is_affordable() -> None:
    look, later = DueLook(), NOW + timedelta(seconds=30)
    assert look.note(NOW, DUE, PASSED_IN_VAIN_MAX, is_full=True) == DUE
    assert look.full_again_at is None

    assert look.note(NOW, None, MANY, is_full=True) is None
    assert (look.full_again_at, look.floor) == (NOW + MANY * FULL_LOOK_PAUSE_PER_ENTRY, NOW - SLACK_FIRST)
    assert look.note(NOW, later, 0, is_full=False) == later


def test_a_renewal_repeats_what_the_last_full_look_has_found() -> None:
    look = DueLook()
    look.note(NOW, DUE, MANY, is_full=True)

    assert look.note(NOW, None, 0, is_full=False) == DUE
    assert look.note(NOW, NOW, 0, is_full=False) == DUE
    assert look.note(NOW, None, 0, is_full=True) is None


def fires(count: int, first: datetime | None = DUE) -> FiresSeen:
    return FiresSeen(NOW, first, count)


def test_looks_for_fires_are_full_while_they_are_cheap() -> None:
    look = FireLook()
    look.note(None, fires(PASSED_IN_VAIN_MAX), is_full=True)
    assert (look.is_lean, look.floor) == (False, None)


@pytest.mark.parametrize("first", [NOW - timedelta(hours=1), NOW + timedelta(hours=1), None])
def test_a_dear_look_lets_the_next_begin_at_what_it_found_and_not_after_what_is_new(first: datetime | None) -> None:
    look = FireLook()
    look.note(None, fires(MANY, first), is_full=True)
    assert (look.is_lean, look.floor) == (True, min(first or NOW, NOW - SLACK_FIRST))

    look.note(look.floor, fires(0, first), is_full=False)
    assert look.floor == min(first or NOW, NOW - SLACK_FIRST)


def test_a_full_look_beside_the_others_lowers_the_floor_and_is_not_overtaken() -> None:
    look, early = FireLook(), NOW - timedelta(days=1)
    look.note(None, fires(MANY, None), is_full=True)
    began_at = look.floor
    look.note_apart(fires(MANY, early))
    look.note(began_at, fires(0, None), is_full=False)
    assert look.floor == early

    look.note_apart(fires(MANY, NOW))
    assert look.floor == early


def test_a_cheap_full_look_makes_all_looks_full_again_also_after_a_failure() -> None:
    look = FireLook()
    look.failed()
    assert (look.is_lean, look.floor) == (True, None)
    look.note_apart(fires(PASSED_IN_VAIN_MAX))
    look.note(None, fires(0), is_full=False)
    assert (look.is_lean, look.floor) == (False, None)


def test_a_failure_keeps_what_is_known() -> None:
    look = FireLook()
    look.note(None, fires(MANY, None), is_full=True)
    known = look.floor
    look.failed()
    assert (look.is_lean, look.floor) == (True, known)
    look.note_apart(fires(MANY, DUE))
    assert look.floor == min(DUE, NOW - SLACK_FIRST)
