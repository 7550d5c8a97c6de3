from collections import Counter
from pathlib import Path

import pytest

import rota
from tests.chaos.checker import LET_GO_MIN, MILESTONES_MIN, SEGMENTS_MIN, SKIPPED_MIN, due_times
from tests.chaos.facts import SEGMENT_SIZE
from tests.chaos.graph_checks import expected_ends
from tests.chaos.graphs import graph_body
from tests.chaos.plan import FAULT_SPACING_SECONDS, FIRES_PER_SECOND, LIMITS, make_plan, schedule_bodies
from tests.chaos.sources import BREAKAGES, copy_sources
from tests.planted.in_force import is_in_force

SOURCES = Path(rota.__file__).parents[1]


def test_a_seed_gives_one_plan_and_another_seed_another() -> None:
    assert make_plan(7, 60, 1_000_000) == make_plan(7, 60, 1_000_000)
    assert make_plan(7, 60, 1_000_000).faults != make_plan(8, 60, 1_000_000).faults


def test_schedules_add_up_to_the_rate_that_is_promised() -> None:
    triggers = make_plan(1, 180, 0).triggers

    plain = [trigger for trigger in triggers if not trigger.items and trigger.limit is None]
    assert FIRES_PER_SECOND <= sum(1e6 / trigger.every_us for trigger in plain) < FIRES_PER_SECOND + 1
    assert len({trigger.name for trigger in triggers}) == len(triggers) <= 1_000


@pytest.mark.parametrize("seed", range(20))
def test_every_full_plan_has_what_the_bars_ask_for(seed: int) -> None:
    faults = make_plan(seed, 180, 0).faults
    kinds = [fault.kind for fault in faults]

    assert len(faults) == 180 / FAULT_SPACING_SECONDS
    assert sum(kind.endswith(" leader") for kind in kinds) >= 8
    assert sum(kind in {"kill worker", "freeze worker", "freeze supervisor", "cut worker"} for kind in kinds) >= 12
    assert sum(kind.endswith(" database") for kind in kinds) >= 4


def test_what_the_workers_meet_last_are_answers_that_are_lost() -> None:
    for seed in range(20):
        *_, third, second, first, last = [fault.kind for fault in make_plan(seed, 60, 0).faults]

        assert last == "deafen workers"
        assert not {third, second, first} & {"kill worker", "freeze worker", "freeze supervisor", "cut worker"}


def test_schedules_are_told_to_fire_as_planned() -> None:
    plan = make_plan(1, 60, 1_800_000_000_000_000)
    spec = schedule_bodies(plan, "default")[0]["triggers"][0]

    assert spec["every_seconds"] * 1e6 == plan.triggers[0].every_us
    assert spec["end_at"] == "2027-01-15T08:01:00+00:00"


@pytest.mark.parametrize("seed", range(5))
def test_an_outage_comes_on_top_and_nothing_but_deaths_meets_it(seed: int) -> None:
    without, plan = make_plan(seed, 180, 0), make_plan(seed, 180, 0, outage_seconds=60)
    [outage] = [fault for fault in plan.faults if fault.kind == "outage database"]
    meanwhile = [one.kind for one in plan.faults if 0 < one.at_seconds - outage.at_seconds < outage.seconds]
    rest = [fault.kind for fault in plan.faults if fault.kind != "outage database"]

    assert outage.seconds == 60
    assert meanwhile == ["kill worker", "kill leader", "kill server"]
    assert Counter(rest) == Counter([*(fault.kind for fault in without.faults), *meanwhile])
    assert [fault.at_seconds for fault in plan.faults] == sorted(fault.at_seconds for fault in plan.faults)
    assert plan.end_us == 240 * 1_000_000 == max(trigger.end_us for trigger in plan.triggers)


@pytest.mark.parametrize("seed", range(5))
def test_subjects_are_told_and_due_within_the_run(seed: int) -> None:
    plan = make_plan(seed, 180, 1_800_000_000_000_000)
    due = [milestone.due_us for milestone in plan.milestones]

    assert len({milestone.label for milestone in plan.milestones}) == len(due) >= MILESTONES_MIN
    assert plan.start_us <= min(due) <= max(due) <= plan.end_us
    assert all(plan.start_us <= subject.told_us <= plan.end_us for subject in plan.subjects)
    assert sum(subject.ticks > 0 for subject in plan.subjects) == len(plan.subjects) // 2


@pytest.mark.parametrize("seed", range(5))
def test_every_full_plan_cuts_as_many_segments_as_the_bar_asks_for(seed: int) -> None:
    triggers = make_plan(seed, 180, 0).triggers

    assert sum(len(due_times(one)) * -(-one.items // SEGMENT_SIZE) for one in triggers) >= SEGMENTS_MIN


@pytest.mark.parametrize("seed", range(5))
def test_every_full_plan_has_as_many_that_wait_and_that_are_skipped_as_the_bar_asks_for(seed: int) -> None:
    plan = make_plan(seed, 180, 0)
    ends = expected_ends(plan.nodes)
    waiting = [ends[node.name] for node in plan.nodes if node.upstreams]

    assert waiting.count("skipped") >= SKIPPED_MIN
    assert len(waiting) - waiting.count("skipped") >= LET_GO_MIN
    assert {"failed", "succeeded"} < {*waiting}


def test_a_graph_is_asked_for_in_one_call_that_may_be_repeated() -> None:
    graphs = make_plan(1, 60, 0).graphs
    bodies = [body for graph in graphs for body in graph_body(graph)]
    waited_for = [upstream for body in bodies for upstream in body["depends_on"]]

    assert len({body["idempotency_key"] for body in bodies}) == len(bodies)
    assert {name for upstream in waited_for for name in upstream} == {"name", "key"}


def test_more_fire_together_than_their_limits_let_begin() -> None:
    most = {limit.name: limit.concurrency_max or limit.burst for limit in LIMITS}
    triggers = make_plan(1, 60, 0).triggers

    for name, least in most.items():
        limited = [trigger for trigger in triggers if trigger.limit == name]
        assert len(limited) > least


def test_a_guard_in_a_function_is_taken_out_of_the_one_in_force() -> None:
    places = [
        (SOURCES / breakage.file, breakage.old)
        for breakages in BREAKAGES.values()
        for breakage in breakages
        if "/migrations/" in breakage.file
    ]

    assert places
    assert [(file.name, old) for file, old in places if not is_in_force(file, old)] == []


@pytest.mark.parametrize("name", BREAKAGES)
def test_the_guards_that_can_be_taken_out_are_still_there(name: str, tmp_path: Path) -> None:
    copied = copy_sources(SOURCES, tmp_path, name)

    for breakage in BREAKAGES[name]:
        assert (SOURCES / breakage.file).read_bytes() != (copied / breakage.file).read_bytes()
