"""The facts of a small run in which everything is as promised, for tests that plant one bug each."""

from tests.chaos.facts import (
    AdvanceFact,
    AttemptFact,
    EffectFact,
    Facts,
    FrozenFact,
    PlannedTrigger,
    RunFact,
    TermFact,
    TriggerFact,
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


def sound_facts() -> Facts:
    firings = [(trigger.name, second) for trigger in TRIGGERS for second in range(SECONDS + 1)]
    return Facts(
        seconds=SECONDS,
        faults_count=5,
        planned=TRIGGERS,
        runs=tuple(_run(name, second) for name, second in firings),
        attempts=(_attempt(1, "w1", "lost", 0), _attempt(2, "w2", "failed", 4)),
        effects=(*(_effect(name, second) for name, second in firings), _troubled_effect(2, 4)),
        advances=tuple(
            AdvanceFact(name, (second - 1) * SECOND if second else None, second * SECOND) for name, second in firings
        ),
        triggers=tuple(TriggerFact(trigger.name, SECONDS + 1, SECONDS * SECOND, None) for trigger in TRIGGERS),
        terms=(TermFact(1, "a:1"), TermFact(2, "b:2"), TermFact(3, "b:2"), TermFact(4, "a:3")),
        claimed_terms=(TermFact(2, "b:2"), TermFact(4, "a:3")),
        worker_losses=(WorkerLossFact("w1", _at(3, 1)),),
        frozen=(FrozenFact("worker-1.1", 20 * SECOND, 25 * SECOND),),
    )


def _at(second: int, tenths: int) -> int:
    return second * SECOND + tenths * SECOND // 10


def _run(name: str, second: int) -> RunFact:
    attempts = 3 if run_id(name, second) == TROUBLED else 1
    return RunFact(
        id=run_id(name, second),
        trigger=name,
        fire_at_us=second * SECOND,
        state="succeeded",
        attempts_count=attempts,
        started_us=_at(second, 6),
        finished_us=_at(second, 8),
        result_attempt=attempts,
    )


def _effect(name: str, second: int) -> EffectFact:
    attempt_no = 3 if run_id(name, second) == TROUBLED else 1
    fire_at_us, started_us, finished_us = second * SECOND, _at(second, 6), _at(second, 7)
    return EffectFact(run_id(name, second), attempt_no, name, fire_at_us, started_us, finished_us, "worker-2.1")


def _attempt(attempt_no: int, worker_id: str, outcome: str, tenths: int) -> AttemptFact:
    return AttemptFact(TROUBLED, attempt_no, worker_id, outcome, _at(3, tenths), _at(3, tenths + 2))


def _troubled_effect(attempt_no: int, tenths: int) -> EffectFact:
    return EffectFact(TROUBLED, attempt_no, "t0", 3 * SECOND, _at(3, tenths), _at(3, tenths + 1), "worker-2.1")
