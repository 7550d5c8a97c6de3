from datetime import UTC, datetime, timedelta

import pytest

from rota.domain.ids import TenantId
from rota.storage.postgres.lane_looks import (
    BOTTOM,
    CHEAP_LOOKS_BEFORE_WIDENING,
    FLOORED_MAX,
    FOUND_PER_LOOK_MAX,
    KNOWN_MAX,
    SLACK_MAX,
    TOP,
    Floor,
    Lane,
    LaneLooks,
    LaneSeen,
    Look,
)
from rota.storage.postgres.look_floors import FULL_LOOK_PAUSE_PER_ENTRY, PASSED_IN_VAIN_MAX, SLACK_FIRST

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DUE = NOW - timedelta(hours=1)
RUN = "01953f4e-0000-7000-8000-000000000001"
MANY = 100_000
A, B, C = (TenantId(name) for name in "abc")


def seen(lane: Lane, picked: int, quota: int = 10) -> LaneSeen:
    return LaneSeen(lane, 1, quota, picked)


def look(
    *lanes: LaneSeen, full: bool = True, passed: int = 0, limit: int = 10, found: int = 0, serial: bool = False
) -> Look:
    picked = sum(each.picked_count for each in lanes)
    last: dict[Lane, Floor] = {each.lane: (DUE, RUN) for each in lanes if each.picked_count}
    return Look(NOW, full, limit, picked + found + passed, lanes, found, 0, serial, last)


def floor_of(looks: LaneLooks, lane: Lane) -> tuple[datetime | None, str | None]:
    plan = looks.plan(10)
    place = list(zip(plan.priorities, plan.tenants, strict=True)).index(lane)
    return plan.floors_at[place], plan.floors_id[place]


def stretches(looks: LaneLooks) -> list[tuple[Lane, Lane]]:
    plan = looks.plan(10)
    tops = zip(plan.top_priorities, plan.top_tenants, strict=True)
    return list(zip(tops, zip(plan.bottom_priorities, plan.bottom_tenants, strict=True), strict=True))


def test_a_new_process_looks_for_any_lane() -> None:
    assert stretches(LaneLooks()) == [(TOP, BOTTOM)]
    assert LaneLooks().plan(10).quotas == []


def test_lanes_that_may_have_more_are_remembered_and_the_stretches_between_them_looked_through() -> None:
    looks = LaneLooks()
    assert not looks.note(look(seen((5, A), 3, 3), seen((0, B), 7)))

    assert stretches(looks) == [(TOP, (5, A)), ((5, A), (0, B)), ((0, B), BOTTOM)]
    assert looks.plan(10).quotas == [10, 10]


def test_a_lane_that_gave_less_than_it_might_is_forgotten_and_one_that_gave_all_is_asked_again() -> None:
    looks = LaneLooks()
    assert looks.note(look(seen((0, B), 4, 5), seen((0, A), 5, 5)))
    assert looks.plan(10).tenants == [A]
    assert not looks.note(look(seen((0, A), 0)))
    assert looks.plan(10).tenants == []


def test_the_shares_of_a_priority_fill_the_limit_and_go_by_what_each_has_had() -> None:
    looks = LaneLooks()
    looks.note(look(seen((0, B), 9, 9), seen((0, A), 1, 1)))
    plan = looks.plan(10)

    assert dict(zip(plan.tenants, plan.quotas, strict=True)) == {A: 9, B: 1}
    assert plan.tenants[0] == A


def test_what_was_left_alone_because_it_is_serial_counts_for_nobody() -> None:
    looks = LaneLooks()
    looks.note(look(seen((0, B), 10), serial=True, passed=MANY))
    plan = looks.plan(10)
    assert (plan.full_again_at, plan.floors_at) == (None, [None])


def test_among_more_lanes_than_are_remembered_looks_walk_on_and_begin_again() -> None:
    looks = LaneLooks()
    crowd = [(0, TenantId(f"t{n:03}")) for n in range(99, 0, -1)]
    first = [seen(lane, 1, 1) for lane in crowd[:FOUND_PER_LOOK_MAX]]
    assert len(first) > KNOWN_MAX
    assert not looks.note(look(*first, found=FOUND_PER_LOOK_MAX, limit=FOUND_PER_LOOK_MAX))
    assert stretches(looks)[-1] == (first[-1].lane, BOTTOM)

    second = [seen(lane, 1, 1) for lane in crowd[40:50]] + [seen(crowd[51], 0, 1)]
    assert not looks.note(look(*second, found=FOUND_PER_LOOK_MAX))
    assert stretches(looks)[-1] == (crowd[49], BOTTOM)

    assert looks.note(look(seen(crowd[-1], 1, 1), found=1))
    assert stretches(looks) == [(TOP, BOTTOM)]
    assert not looks.note(look(seen(crowd[0], 1, 2), found=1))
    assert not looks.note(look(found=0))
    assert looks.plan(1).tenants == []


def test_looks_are_full_while_they_are_cheap() -> None:
    looks = LaneLooks()
    looks.note(look(seen((4, A), 10), passed=PASSED_IN_VAIN_MAX))
    assert looks.plan(10).full_again_at is None
    assert floor_of(looks, (4, A)) == (None, None)


def floored(*lanes: LaneSeen) -> LaneLooks:
    looks = LaneLooks()
    looks.note(look(*(lanes or (seen((4, A), 10),)), passed=MANY))
    return looks


def test_after_a_costly_look_the_next_begin_where_it_ended() -> None:
    looks = floored(seen((5, B), 0), seen((4, A), 10), seen((3, C), 0))
    assert floor_of(looks, (4, A))[0] == DUE - SLACK_FIRST
    assert floor_of(looks, (5, B))[0] == NOW - SLACK_FIRST
    assert floor_of(looks, (3, C))[0] is None
    assert looks.plan(10).full_again_at == NOW + MANY * FULL_LOOK_PAUSE_PER_ENTRY


def test_a_look_that_no_limit_stopped_has_seen_its_lanes_to_their_end_and_keeps_them() -> None:
    looks = floored(seen((5, B), 0), seen((4, A), 3))
    assert [floor_of(looks, lane)[0] for lane in ((5, B), (4, A))] == [NOW - SLACK_FIRST] * 2
    assert looks.plan(10).quotas == [None, None]


def test_a_cheap_full_look_ends_the_floors() -> None:
    looks = floored()
    looks.note(look(seen((4, A), 10)))
    assert looks.plan(10).full_again_at is None
    assert floor_of(looks, (4, A)) == (None, None)


def test_floors_are_kept_of_a_bounded_number_of_lanes() -> None:
    looks = floored(*(seen((0, TenantId(str(n))), 0) for n in range(2 * FLOORED_MAX)))
    assert len(looks.plan(10).tenants) == FLOORED_MAX


def test_the_slack_is_as_wide_as_it_is_cheap_and_vanishes_where_all_is_due_at_once() -> None:
    looks = floored()
    for _ in range(8 * CHEAP_LOOKS_BEFORE_WIDENING):
        looks.note(look(seen((4, A), 10), full=False))
    assert floor_of(looks, (4, A))[0] == DUE - SLACK_MAX

    for _ in range(8):
        looks.note(look(seen((4, A), 10), full=False, passed=MANY))
    assert floor_of(looks, (4, A)) == (DUE, RUN)


@pytest.mark.parametrize("cut", [True, False])
def test_a_walk_over_several_queues_tells_whether_it_has_left_any_out(*, cut: bool) -> None:
    looks = LaneLooks()
    assert looks.note_walk([(0, B), (0, A)], is_cut=cut, is_filled=False) is cut
    tops = looks.plan_walk()[1]
    assert tops[-1] == (A if cut else "")
    assert looks.note_walk([], is_cut=False, is_filled=False) is cut
    assert looks.plan_walk()[1] == [""]


def test_what_is_put_back_behind_a_floor_lowers_it_for_one_look() -> None:
    looks = floored()
    behind = DUE - 10 * SLACK_FIRST
    looks.note_returned((4, A), behind)
    looks.note_returned((4, A), behind + SLACK_FIRST)
    assert looks.is_lean
    assert floor_of(looks, (4, A))[0] == behind
    assert floor_of(looks, (4, A))[0] == DUE - SLACK_FIRST


def test_what_is_put_back_before_a_floor_changes_nothing() -> None:
    looks = floored()
    looks.note_returned((4, A), DUE)
    looks.note_returned((9, C), DUE)
    assert floor_of(looks, (4, A))[0] == DUE - SLACK_FIRST
    assert looks.plan(10).tenants == [A]


def test_a_full_look_that_nobody_waits_for_any_longer_is_not_made_again_at_once() -> None:
    looks = floored()
    pause = MANY * FULL_LOOK_PAUSE_PER_ENTRY
    looks.note(look(seen((4, A), 10), full=False)._replace(now=NOW + pause))
    looks.note_failed()
    assert looks.plan(10).full_again_at == NOW + 2 * pause

    never_lean = LaneLooks()
    never_lean.note_failed()
    assert never_lean.plan(10).full_again_at is None
