from datetime import UTC, datetime, timedelta

import pytest

from rota.storage.postgres.look_floors import (
    FULL_LOOK_PAUSE_PER_ENTRY,
    PASSED_IN_VAIN_MAX,
    SLACK_FIRST,
    DueLook,
    FireLook,
    FiresSeen,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DUE = NOW - timedelta(hours=1)
MANY = 100_000


def test_a_renewal_that_passed_many_looks_no_more_until_that_is_affordable() -> None:
    look = DueLook()
    assert look.note(NOW, DUE, PASSED_IN_VAIN_MAX, is_full=True) == DUE
    assert look.full_again_at is None

    assert look.note(NOW, None, MANY, is_full=True) is None
    assert look.full_again_at == NOW + MANY * FULL_LOOK_PAUSE_PER_ENTRY


def test_a_renewal_that_does_not_look_tells_that_work_may_be_due() -> None:
    assert DueLook().note(NOW, None, 0, is_full=False) == NOW


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
