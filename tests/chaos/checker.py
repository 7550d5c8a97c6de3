"""Judges the facts of a chaos run: "one run per firing, and its end recorded once, through anything".

Pure: facts in, violations out. It knows nothing of how the facts were made, and computes what was due by itself, in
whole microseconds, without Rota's own code for occurrences. Each check is one sentence of the promise.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator

from msgspec import Struct

from tests.chaos import fan_out_checks, graph_checks, limit_checks, milestone_checks, outage_checks
from tests.chaos.facts import (
    FEW_QUEUE,
    METERED_QUEUE,
    NARROW_TENANT,
    AttemptFact,
    EffectFact,
    Facts,
    PlannedTrigger,
    RunFact,
)
from tests.chaos.outage_checks import away_us
from tests.chaos.violation import Violation

# What its trigger gives birth to.
FIRED = frozenset({"interval", "fan-out"})
# Some of whose runs end without success as planned; their own checks tell which.
MAY_FAIL = frozenset({"milestone", "node"})
TERMINAL_STATES = frozenset({"succeeded", "failed", "cancelled", "skipped"})
ATTEMPTED_STATES = frozenset({"succeeded", "failed"})
UNSUCCESSFUL_OUTCOMES = frozenset({"failed", "timed_out", "lost", "cancelled"})

FULL_SECONDS = 180
FIRES_MIN, FAULTS_MIN, TAKEOVERS_MIN, RESCUES_MIN = 30_000, 30, 5, 5
MILESTONES_MIN, TICKED_MIN, LED_MIN = 300, 20, 100
SEGMENTS_MIN = 500
NARROW_MIN, FEW_MIN, METERED_MIN = 30, 60, 20
LET_GO_MIN, SKIPPED_MIN = 150, 60
# Handlers take 6 s at most, a freeze 8, a lease 3.5: whatever is held for longer was forgotten.
HELD_SECONDS_MAX = 30.0
# A frozen machine that wakes needs a moment to learn that its time is over.
THAW_SECONDS = 2.0


class Figures(Struct, frozen=True):
    """How much a run has seen. A takeover changes the holder; a rescue takes the runs of one lost worker back.

    `milestones` were made; of the attempts at them so many were begun by a tick, and by the leader. `segments` of
    fan-outs were ended. `narrow`, `few` and `metered` are how often the limit of that tenant or queue was reached.
    `let_go` are runs that waited for others and then ran, `skipped` those whose rule did not hold.
    """

    fires: int
    faults: int
    takeovers: int
    rescues: int
    milestones: int
    ticked: int
    led: int
    segments: int
    narrow: int
    few: int
    metered: int
    let_go: int
    skipped: int


def check(facts: Facts) -> tuple[Violation, ...]:
    """Every violation, sorted. None at all is the proof."""
    return tuple(sorted(violation for judge in CHECKS for violation in judge(facts)))


def figures_of(facts: Facts) -> Figures:
    holders = [term.holder for term in facts.terms]
    takeovers = sum(before != after for before, after in itertools.pairwise(holders))
    lost_at = {loss.worker_id: loss.at_us for loss in facts.worker_losses}
    rescued = {
        attempt.worker_id
        for attempt in facts.attempts
        if attempt.outcome == "lost" and attempt.finished_us >= lost_at.get(attempt.worker_id, attempt.finished_us + 1)
    }
    ticked, led = milestone_checks.begun_by_ticks_and_leader(facts)
    made = milestone_checks.made_labels(facts)
    let_go, skipped = graph_checks.let_go_and_skipped(facts)
    return Figures(
        fires=len(_planned_runs(facts)),
        faults=facts.faults_count,
        takeovers=takeovers,
        rescues=len(rescued),
        milestones=len(made),
        ticked=ticked,
        led=led,
        segments=fan_out_checks.ended_segments_count(facts),
        narrow=limit_checks.times_at_the_limit(facts, NARROW_TENANT),
        few=limit_checks.times_at_the_limit(facts, FEW_QUEUE),
        metered=limit_checks.times_at_the_limit(facts, METERED_QUEUE),
        let_go=let_go,
        skipped=skipped,
    )


def bars_of(seconds: int) -> Figures:
    """The least that a run of so many seconds must have seen: the bars of 180 s in proportion, rounded up.

    A longer run is held to more; a shorter one to less, and may not claim what 180 seconds prove.
    """
    bars = (
        FIRES_MIN,
        FAULTS_MIN,
        TAKEOVERS_MIN,
        RESCUES_MIN,
        MILESTONES_MIN,
        TICKED_MIN,
        LED_MIN,
        SEGMENTS_MIN,
        NARROW_MIN,
        FEW_MIN,
        METERED_MIN,
        LET_GO_MIN,
        SKIPPED_MIN,
    )
    return Figures(*(-(-bar * seconds // FULL_SECONDS) for bar in bars))


def due_times(trigger: PlannedTrigger) -> range:
    return range(trigger.start_us, trigger.end_us + 1, trigger.every_us)


def each_due_time_has_one_run(facts: Facts) -> Iterator[Violation]:
    counts = Counter((run.trigger, run.fire_at_us) for run in facts.runs if run.origin in FIRED)
    due = {(trigger.name, at) for trigger in facts.planned for at in due_times(trigger)}
    for name, at in due - counts.keys():
        yield Violation("missing run", name, f"nothing fired for {at}")
    for name, at in counts.keys() - due:
        yield Violation("run out of plan", name, f"fired for {at}, which was not due")
    for (name, at), count in counts.items():
        if count > 1:
            yield Violation("fired twice", name, f"{count} runs for {at}")


def each_run_has_its_fire_key(facts: Facts) -> Iterator[Violation]:
    for run in facts.runs:
        if not run.is_keyed and run.origin != "segment":
            yield Violation("no fire key", run.id, "nothing keeps its firing from being repeated")


def each_run_has_ended(facts: Facts) -> Iterator[Violation]:
    for run in facts.runs:
        if run.state not in TERMINAL_STATES:
            kind = "still live" if run.is_live else "orphan"
            yield Violation(kind, run.id, f"{run.state} at the end, {'' if run.is_live else 'not '}among the live ones")
        elif run.is_live:
            yield Violation("ended but live", run.id, f"{run.state}, and can be claimed again")
        elif run.state != "succeeded" and run.origin not in MAY_FAIL:
            yield Violation("unexpected end", run.id, f"{run.state}, although its handler succeeds in the end")
        elif run.finished_us is None or (run.started_us is None and run.state != "skipped"):
            yield Violation("end without time", run.id, f"{run.state}, but nobody knows when")


def progress_only_grows(facts: Facts) -> Iterator[Violation]:
    """Each change begins where the last one ended, and never goes back."""
    reached: dict[str, int | None] = {}
    for advance in facts.advances:
        name, before, after = advance.trigger, advance.before_us, advance.after_us
        if before != reached.get(name):
            yield Violation("progress jumped", name, f"from {reached.get(name)} to {before} without a change between")
        if after is None or (before is not None and after < before):
            yield Violation("progress fell back", name, f"from {before} to {after}")
        reached[name] = after
    for trigger in facts.triggers:
        if trigger.fired_through_us != reached.get(trigger.name):
            problem = f"ends at {trigger.fired_through_us}, last changed to {reached.get(trigger.name)}"
            yield Violation("progress jumped", trigger.name, problem)


def each_trigger_is_done(facts: Facts) -> Iterator[Violation]:
    ended = {trigger.name: trigger for trigger in facts.triggers}
    for planned in facts.planned:
        trigger, due = ended.get(planned.name), due_times(planned)
        if trigger is None:
            yield Violation("no trigger", planned.name, "it was created and is gone")
            continue
        if trigger.next_fire_at_us is not None or trigger.fired_through_us != due[-1]:
            problem = f"fired through {trigger.fired_through_us}, next {trigger.next_fire_at_us}, last due {due[-1]}"
            yield Violation("trigger not done", planned.name, problem)
        if trigger.fires_count != len(due):
            yield Violation("miscounted", planned.name, f"counts {trigger.fires_count} firings of {len(due)}")


def attempts_are_told_without_gaps(facts: Facts) -> Iterator[Violation]:
    """Attempts 1 to n-1 ended without success, the nth as the run did: so each loss and failure costs exactly one."""
    tried = _attempts_by_run(facts)
    runs = {run.id for run in facts.runs}
    for run in facts.runs:
        numbers = [attempt.attempt_no for attempt in tried[run.id]]
        untold = 1 if run.state == "succeeded" else 0
        if run.state in ATTEMPTED_STATES and numbers != list(range(1, run.attempts_count + 1 - untold)):
            problem = f"{run.attempts_count} attempts, of which {numbers} ended without success"
            yield Violation("attempts not contiguous", run.id, problem)
    for attempt in facts.attempts:
        if attempt.run_id not in runs:
            yield Violation("attempt of no run", attempt.run_id, f"attempt {attempt.attempt_no}")
        if attempt.outcome not in UNSUCCESSFUL_OUTCOMES:
            yield Violation("two successes", attempt.run_id, f"attempt {attempt.attempt_no} {attempt.outcome}")


def one_attempt_holds_at_a_time(facts: Facts) -> Iterator[Violation]:
    tried = _attempts_by_run(facts)
    for run in facts.runs:
        spans = [(attempt.started_us, attempt.finished_us) for attempt in tried[run.id]]
        if run.state == "succeeded" and run.started_us is not None and run.finished_us is not None:
            spans.append((run.started_us, run.finished_us))
        for before, after in itertools.pairwise(spans):
            if after[0] < before[1]:
                yield Violation(
                    "held twice", run.id, f"claimed at {after[0]}, before {before[1]} ended the last attempt"
                )


def no_attempt_is_forgotten(facts: Facts) -> Iterator[Violation]:
    """A run that is held is worked on, or taken back: it does not wait for its time-out, only for the database."""
    spans = [(one.run_id, one.started_us, one.finished_us) for one in facts.attempts]
    spans += [
        (run.id, run.started_us, run.finished_us)
        for run in facts.runs
        if run.started_us and run.finished_us and run.origin != "fan-out"
    ]
    for name, started_us, finished_us in spans:
        held_us = finished_us - started_us - away_us(facts, started_us, finished_us)
        if (seconds := held_us / 1e6) > HELD_SECONDS_MAX:
            yield Violation("forgotten", name, f"held for {seconds:.1f} s")


def ends_are_told_by_their_own_attempt(facts: Facts) -> Iterator[Violation]:
    """The stored result names the attempt that returned it: another number means a stale token was accepted."""
    for run in facts.runs:
        told = run.origin != "fan-out"  # its result is what became of its segments
        if told and run.state == "succeeded" and run.result_attempt != run.attempts_count:
            problem = f"attempt {run.attempts_count} holds it, the result is that of attempt {run.result_attempt}"
            yield Violation("stale end", run.id, problem)


def each_success_did_its_work(facts: Facts) -> Iterator[Violation]:
    """The attempt that succeeded has its side effect, done before the success was recorded."""
    effects = {(effect.run_id, effect.attempt_no): effect for effect in facts.effects}
    for run in facts.runs:
        if run.state != "succeeded" or run.finished_us is None:
            continue
        effect = effects.get((run.id, run.attempts_count))
        if effect is None:
            yield Violation("success without effect", run.id, f"attempt {run.attempts_count} did nothing")
        elif effect.finished_us > run.finished_us:
            problem = f"recorded at {run.finished_us}, done at {effect.finished_us}"
            yield Violation("success before effect", run.id, problem)


def each_effect_is_of_a_recorded_attempt(facts: Facts) -> Iterator[Violation]:
    """More than one effect only with a lost or failed attempt for each further one."""
    runs = {run.id: run for run in facts.runs}
    recorded = {(attempt.run_id, attempt.attempt_no) for attempt in facts.attempts}
    for (run_id, attempt_no), count in Counter((one.run_id, one.attempt_no) for one in facts.effects).items():
        run = runs.get(run_id)
        if run is None:
            yield Violation("effect of no run", run_id, f"attempt {attempt_no}")
        elif (run_id, attempt_no) not in recorded and attempt_no != run.attempts_count:
            yield Violation("effect of no attempt", run_id, f"attempt {attempt_no} is not recorded")
        if count > 1:
            yield Violation("attempt worked twice", run_id, f"{count} effects of attempt {attempt_no}")
    for effect in facts.effects:
        run = runs.get(effect.run_id)
        if run is not None and (run.trigger, run.fire_at_us) != (effect.trigger, effect.fire_at_us):
            told = f"worked as {effect.trigger} {effect.fire_at_us}, is {run.trigger} {run.fire_at_us}"
            yield Violation("mistaken identity", run.id, told)


def nobody_works_after_being_given_up(facts: Facts) -> Iterator[Violation]:
    """A lost attempt's handler was dead before its run went on; only a worker that stood still as a whole may lag."""
    ends = {(attempt.run_id, attempt.attempt_no): attempt for attempt in facts.attempts if attempt.outcome == "lost"}
    for effect in facts.effects:
        end = ends.get((effect.run_id, effect.attempt_no))
        if end is not None and effect.finished_us > end.finished_us and not _had_stood_still(facts, effect):
            late = (effect.finished_us - end.finished_us) / 1e6
            yield Violation("work after loss", effect.run_id, f"attempt {effect.attempt_no} worked {late:.3f} s later")


def one_leader_in_one_epoch(facts: Facts) -> Iterator[Violation]:
    holders: defaultdict[int, set[str]] = defaultdict(set)
    for term in (*facts.terms, *facts.claimed_terms):
        holders[term.epoch].add(term.holder)
    for epoch, names in holders.items():
        if len(names) > 1:
            yield Violation("two leaders", str(epoch), " and ".join(sorted(names)))
    known = {term.epoch for term in facts.terms}
    for term in facts.claimed_terms:
        if term.epoch not in known:
            yield Violation("leader without lease", str(term.epoch), term.holder)


def epochs_only_grow(facts: Facts) -> Iterator[Violation]:
    for before, after in zip(facts.terms, facts.terms[1:], strict=False):
        if after.epoch <= before.epoch:
            yield Violation("epoch did not grow", str(after.epoch), f"{after.holder} after {before.holder}")


def enough_was_seen(facts: Facts) -> Iterator[Violation]:
    """A quiet run proves nothing."""
    seen, bars = figures_of(facts), bars_of(facts.seconds)
    for name in Figures.__struct_fields__:
        count, least = getattr(seen, name), getattr(bars, name)
        if count < least:
            yield Violation("too little seen", name, f"{count} in {facts.seconds} s, at least {least} are asked for")


CHECKS = (
    each_due_time_has_one_run,
    each_run_has_its_fire_key,
    each_run_has_ended,
    progress_only_grows,
    each_trigger_is_done,
    attempts_are_told_without_gaps,
    one_attempt_holds_at_a_time,
    no_attempt_is_forgotten,
    ends_are_told_by_their_own_attempt,
    each_success_did_its_work,
    each_effect_is_of_a_recorded_attempt,
    nobody_works_after_being_given_up,
    one_leader_in_one_epoch,
    epochs_only_grow,
    *milestone_checks.CHECKS,
    *fan_out_checks.CHECKS,
    *limit_checks.CHECKS,
    *graph_checks.CHECKS,
    *outage_checks.CHECKS,
    enough_was_seen,
)


def _planned_runs(facts: Facts) -> list[RunFact]:
    """Distinct firings of the plan, so that neither strays nor repetitions help to reach the bar."""
    ranges = {trigger.name: due_times(trigger) for trigger in facts.planned}
    firings = {
        (run.trigger, run.fire_at_us): run
        for run in facts.runs
        if run.origin in FIRED and run.fire_at_us in ranges.get(run.trigger, ())
    }
    return list(firings.values())


def _attempts_by_run(facts: Facts) -> defaultdict[str, list[AttemptFact]]:
    tried: defaultdict[str, list[AttemptFact]] = defaultdict(list)
    for attempt in sorted(facts.attempts, key=lambda one: one.attempt_no):
        tried[attempt.run_id].append(attempt)
    return tried


def _had_stood_still(facts: Facts, effect: EffectFact) -> bool:
    return any(
        frozen.worker == effect.worker
        and frozen.from_us <= effect.finished_us <= frozen.until_us + round(THAW_SECONDS * 1e6)
        for frozen in facts.frozen
    )
