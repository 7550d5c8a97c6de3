"""The facts of a small run in which everything is as promised, for tests that plant one bug each."""

from tests.chaos.facts import (
    FEW_QUEUE,
    METERED_QUEUE,
    NARROW_TENANT,
    AdvanceFact,
    AttemptFact,
    EffectFact,
    Facts,
    FanOutFact,
    FrozenFact,
    MarkerFact,
    MilestoneFact,
    OutageFact,
    PlannedLimit,
    PlannedMilestone,
    PlannedNode,
    PlannedTrigger,
    RunFact,
    SegmentFact,
    TermFact,
    TriggerFact,
    TurnFact,
    WorkerLossFact,
)

SECOND = 1_000_000
SECONDS = 10
# As many a second as the bar asks for: 167 triggers that fire every second, from 0 to 10 s.
TRIGGERS = tuple(PlannedTrigger(f"t{no}", 0, SECOND, SECONDS * SECOND) for no in range(167))


def run_id(trigger: str, second: int) -> str:
    return f"{trigger}@{second}"


# Its first attempt was lost with worker `w1`, the second failed, the third succeeded.
TROUBLED = run_id("t0", 3)

# Two that fire every second, too, and take both turns each time.
NARROW = PlannedTrigger("n0", 0, SECOND, SECONDS * SECOND, tenant=NARROW_TENANT)
NARROW_TWIN = PlannedTrigger("n1", 0, SECOND, SECONDS * SECOND, tenant=NARROW_TENANT)
# And one that fills its queue, and one that takes the last of what its bucket holds.
FEW = PlannedTrigger("q0", 0, SECOND, SECONDS * SECOND, queue=FEW_QUEUE)
METERED = PlannedTrigger("m0", 0, SECOND, SECONDS * SECOND, queue=METERED_QUEUE)
LIMITED = (NARROW, NARROW_TWIN, FEW, METERED)
LIMITS = (
    PlannedLimit(NARROW_TENANT, concurrency_max=2),
    PlannedLimit(FEW_QUEUE, concurrency_max=1),
    PlannedLimit(METERED_QUEUE, rate=1.0, burst=1),
)
PLAIN_TRIGGERS = (*TRIGGERS, *LIMITED)

# Nine times: of four nodes one fails for good, one comes whatever became of it, one does not come, and one for the sake
# of the other that it waited for.
NODES = tuple(
    node
    for no in range(9)
    for node in (
        PlannedNode(f"g{no}/a", (), "all_succeeded", fails=True),
        PlannedNode(f"g{no}/b", (f"g{no}/a",), "always", fails=False),
        PlannedNode(f"g{no}/c", (f"g{no}/a", f"g{no}/b"), "all_succeeded", fails=False),
        PlannedNode(f"g{no}/d", (f"g{no}/b", f"g{no}/c"), "any_succeeded", fails=False),
    )
)

# Fires every second, too: 25 items in three segments each time.
FAN_OUT = PlannedTrigger("f0", 0, SECOND, SECONDS * SECOND, 25)
SIZES = (10, 10, 5)

# Due at 4 s; of the first one an attempt fails, after its work; the leader begins six of the attempts.
MILESTONES = tuple(
    PlannedMilestone(name, f"s{no}", 4 * SECOND, 0 if (name, no) != ("SOON", 0) else 1)
    for no in range(9)
    for name in ("SOON", "LATER")
)
RETRIED = MILESTONES[0].label
TICKED = tuple(milestone.label for milestone in MILESTONES[7:])


def segment_run_id(second: int, segment_no: int) -> str:
    return f"{run_id(FAN_OUT.name, second)}/{segment_no}"


# A segment whose first attempt failed.
RETRIED_SEGMENT = segment_run_id(3, 2)


def milestone_run_id(label: str, order_no: int) -> str:
    return f"{label}#{order_no}"


def sound_facts() -> Facts:
    made = [(one, order_no) for one in MILESTONES for order_no in range(1, one.failures + 2)]
    failed = milestone_run_id(RETRIED, 1)
    firings = [(trigger.name, second) for trigger in (*PLAIN_TRIGGERS, FAN_OUT) for second in range(SECONDS + 1)]
    segments = [(second, place) for second in range(SECONDS + 1) for place in range(len(SIZES))]
    return Facts(
        seconds=SECONDS,
        faults_count=5,
        planned=(*PLAIN_TRIGGERS, FAN_OUT),
        runs=(
            *(_run(name, second) for name, second in firings),
            *(_milestone_run(*one) for one in made),
            *(_segment_run(*one) for one in segments),
            *(_node_run(node) for node in NODES),
        ),
        attempts=(
            _attempt(1, "w1", "lost", 0),
            _attempt(2, "w2", "failed", 4),
            AttemptFact(failed, 1, "w2", "failed", _at(4, 1), _at(4, 3)),
            AttemptFact(RETRIED_SEGMENT, 1, "w2", "failed", _at(3, 5), _at(3, 6)),
            *(AttemptFact(node.name, 1, "w2", "failed", *_node_times(node)) for node in NODES if node.fails),
        ),
        effects=(
            *(_effect(name, second) for name, second in firings),
            _troubled_effect(2, 4),
            *(_milestone_effect(*one) for one in made),
            *(_segment_effect(*one) for one in segments),
            *(_node_effect(node) for node in NODES if not node.name.endswith("/c")),
        ),
        advances=tuple(
            AdvanceFact(name, (second - 1) * SECOND if second else None, second * SECOND) for name, second in firings
        ),
        triggers=tuple(
            TriggerFact(trigger.name, SECONDS + 1, SECONDS * SECOND, None) for trigger in (*PLAIN_TRIGGERS, FAN_OUT)
        ),
        terms=(TermFact(1, "a:1"), TermFact(2, "b:2"), TermFact(3, "b:2"), TermFact(4, "a:3")),
        claimed_terms=(TermFact(2, "b:2"), TermFact(4, "a:3")),
        worker_losses=(WorkerLossFact("w1", _at(3, 1)),),
        frozen=(FrozenFact("worker-1.1", 20 * SECOND, 25 * SECOND),),
        milestones_planned=MILESTONES,
        milestones=tuple(MilestoneFact(one.label, "done", one.failures + 1) for one in MILESTONES),
        markers=tuple(_marker(one) for one in MILESTONES),
        outage_seconds=0.5,
        outages=(OutageFact(_at(6, 9), _at(7, 5)),),
        fan_outs=tuple(_fan_out(second) for second in range(SECONDS + 1)),
        segments=tuple(_segment(*one) for one in segments),
        limits=LIMITS,
        turns=tuple(turn for second in range(SECONDS + 1) for turn in _turns(second)),
        nodes_planned=NODES,
    )


def _at(second: int, tenths: int) -> int:
    return second * SECOND + tenths * SECOND // 10


def _run(name: str, second: int) -> RunFact:
    attempts = 3 if run_id(name, second) == TROUBLED else 1
    spreads = name == FAN_OUT.name
    return RunFact(
        id=run_id(name, second),
        trigger=name,
        fire_at_us=second * SECOND,
        state="succeeded",
        attempts_count=attempts,
        started_us=_at(second, 6),
        finished_us=_at(second, 8),
        result_attempt=None if spreads else attempts,
        origin="fan-out" if spreads else "interval",
    )


def _effect(name: str, second: int) -> EffectFact:
    attempt_no = 3 if run_id(name, second) == TROUBLED else 1
    fire_at_us, started_us, finished_us = second * SECOND, _at(second, 6), _at(second, 7)
    return EffectFact(run_id(name, second), attempt_no, name, fire_at_us, started_us, finished_us, "worker-2.1")


def _attempt(attempt_no: int, worker_id: str, outcome: str, tenths: int) -> AttemptFact:
    return AttemptFact(TROUBLED, attempt_no, worker_id, outcome, _at(3, tenths), _at(3, tenths + 2))


def _troubled_effect(attempt_no: int, tenths: int) -> EffectFact:
    return EffectFact(TROUBLED, attempt_no, "t0", 3 * SECOND, _at(3, tenths), _at(3, tenths + 1), "worker-2.1")


def _milestone_tenths(order_no: int) -> int:
    """When the attempt begins, after 4 s: the second when the back-off of half a second is over."""
    return 1 if order_no == 1 else 9


def _milestone_run(planned: PlannedMilestone, order_no: int) -> RunFact:
    is_last, tenths = order_no > planned.failures, _milestone_tenths(order_no)
    return RunFact(
        id=milestone_run_id(planned.label, order_no),
        trigger=planned.label,
        fire_at_us=planned.due_us,
        state="succeeded" if is_last else "failed",
        attempts_count=1,
        started_us=_at(4, tenths),
        finished_us=_at(4, tenths + 2),
        result_attempt=1 if is_last else None,
        origin="milestone",
        order_no=order_no,
        created_by="ticker" if planned.label in TICKED else "leader",
    )


def _milestone_effect(planned: PlannedMilestone, order_no: int) -> EffectFact:
    tenths, name = _milestone_tenths(order_no), milestone_run_id(planned.label, order_no)
    return EffectFact(name, 1, planned.label, planned.due_us, _at(4, tenths), _at(4, tenths + 1), "worker-2.1")


def _marker(planned: PlannedMilestone) -> MarkerFact:
    last = planned.failures + 1
    name = milestone_run_id(planned.label, last)
    return MarkerFact(planned.label, name, last, _at(4, _milestone_tenths(last) + 2), name, 1)


def _fan_out(second: int) -> FanOutFact:
    return FanOutFact(run_id(FAN_OUT.name, second), FAN_OUT.items, len(SIZES), FAN_OUT.items, len(SIZES), len(SIZES))


def _segment(second: int, place: int) -> SegmentFact:
    child = segment_run_id(second, place + 1)
    return SegmentFact(run_id(FAN_OUT.name, second), place + 1, SIZES[place], child, "succeeded")


def _segment_run(second: int, place: int) -> RunFact:
    name = segment_run_id(second, place + 1)
    attempts = 2 if name == RETRIED_SEGMENT else 1
    return RunFact(
        id=name,
        trigger=FAN_OUT.name,
        fire_at_us=second * SECOND,
        state="succeeded",
        attempts_count=attempts,
        started_us=_at(second, 6),
        finished_us=_at(second, 8) - 1,
        result_attempt=attempts,
        is_keyed=False,
        origin="segment",
        order_no=place + 1,
        parent_id=run_id(FAN_OUT.name, second),
    )


def _segment_effect(second: int, place: int) -> EffectFact:
    run, first = _segment_run(second, place), sum(SIZES[:place])
    times = (second * SECOND, _at(second, 6), _at(second, 7))
    items = tuple(range(first, first + SIZES[place]))
    return EffectFact(run.id, run.attempts_count, FAN_OUT.name, *times, "worker-2.1", items)


def _turns(second: int) -> tuple[TurnFact, ...]:
    """All take theirs, and each gives it back."""
    return tuple(
        TurnFact(run_id(trigger.name, second), 1, begins, trigger.limit or "", _at(second, 6 if begins else 8))
        for begins in (True, False)
        for trigger in LIMITED
    )


def _node_times(node: PlannedNode) -> tuple[int, int]:
    tenths = 2 * "abcd".index(node.name[-1])
    return _at(5, tenths), _at(5, tenths + 2)


def _node_run(node: PlannedNode) -> RunFact:
    is_skipped = node.name.endswith("/c")
    started_us, finished_us = _node_times(node)
    return RunFact(
        id=node.name,
        trigger=node.name,
        fire_at_us=0,
        state="skipped" if is_skipped else "failed" if node.fails else "succeeded",
        attempts_count=0 if is_skipped else 1,
        started_us=None if is_skipped else started_us,
        finished_us=finished_us,
        result_attempt=None if is_skipped or node.fails else 1,
        origin="node",
    )


def _node_effect(node: PlannedNode) -> EffectFact:
    started_us, finished_us = _node_times(node)
    return EffectFact(node.name, 1, node.name, 0, started_us, finished_us - SECOND // 10, "worker-2.1")
