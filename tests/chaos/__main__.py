"""`python -m tests.chaos SECONDS`: faults at random against real processes, then the proof (docs/chaos.md).

Exit code 0: nothing was lost, nothing done twice, and enough was seen. 1: the violations are printed, and everything
is kept for a look. With `--broken NAME` a guard is taken out of Rota, and 0 means that the checker saw it.
"""

import argparse
import asyncio
import secrets
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

import rota
from rota.adapters.system_clock import SystemClock
from rota.client.context import ApiContext
from rota.client.http import ApiClient
from tests.chaos.checker import FULL_SECONDS, Violation, bars_of, check, figures_of
from tests.chaos.database import ChaosDatabase
from tests.chaos.facts import Facts
from tests.chaos.faults import FaultInjector
from tests.chaos.fleet import Fleet
from tests.chaos.plan import ChaosPlan, make_plan, schedule_bodies
from tests.chaos.sources import BREAKAGES, copy_sources
from tests.chaos.witnesses import read_facts, read_lags
from tests.support.waiting import loop_sleep

SECONDS_MIN = 20
LEAD_SECONDS = 4
CONVERGE_SECONDS_MAX = 90.0
SHOWN_MAX = 5

_clock = SystemClock()


class ChaosOptions(msgspec.Struct, frozen=True):
    """The command line."""

    seconds: int
    seed: int
    broken: str | None
    keep: bool


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    root = Path(tempfile.mkdtemp(prefix="rota-chaos-"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"seed {options.seed}, {options.seconds} s; repeat it with --seed {options.seed}", flush=True)
    violations = asyncio.run(_run(options, root))
    _report(violations)
    passed = bool([one for one in violations if one.kind != "too little seen"]) if options.broken else not violations
    if options.broken:
        print(f"broken by {options.broken}: {'seen' if passed else 'NOT SEEN by the checker'}")
    if passed and not options.keep:
        shutil.rmtree(root)
    else:
        print(f"kept: {root} (facts.json, logs, effects, database)")
    return 0 if passed else 1


def _options(arguments: Sequence[str]) -> ChaosOptions:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("seconds", type=int, help=f"at least {SECONDS_MIN}")
    parser.add_argument("--seed", type=int, default=None, help="of the faults and schedules; default: a fresh one")
    parser.add_argument("--broken", choices=sorted(BREAKAGES), help="take this guard out of Rota, and expect to see it")
    parser.add_argument("--keep", action="store_true", help="keep everything for a look, also when all is well")
    given = parser.parse_args(arguments)
    if given.seconds < SECONDS_MIN:
        parser.error(f"SECONDS is {given.seconds}; give at least {SECONDS_MIN}, or nothing can be seen")
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed  # noqa: TID251 - printed for repetition
    return ChaosOptions(given.seconds, seed, given.broken, given.keep)


async def _run(options: ChaosOptions, root: Path) -> tuple[Violation, ...]:
    sources = copy_sources(Path(rota.__file__).parents[1], root / "sources", options.broken)
    database = ChaosDatabase(root / "database")
    await database.start()
    try:
        fleet = Fleet(database.url, root, sources)
        try:
            await fleet.start()
            return await _storm(options, root, database, fleet)
        finally:
            await fleet.close()
    finally:
        await database.stop()


async def _storm(options: ChaosOptions, root: Path, database: ChaosDatabase, fleet: Fleet) -> tuple[Violation, ...]:
    keeping = asyncio.create_task(fleet.keep())
    await database.install_journal()
    start_us = (_clock.wall_ns() // 1_000_000_000 + LEAD_SECONDS) * 1_000_000
    plan = make_plan(options.seed, options.seconds, start_us)
    url = fleet.servers[0].url
    assert url is not None
    context = ApiContext(url, await database.issue_token(), "default")
    with ApiClient(context) as client:
        client.call("POST", "/schedules/bulk", body=schedule_bodies(plan))
    assert _now_us() < start_us, "the schedules were registered too late for their first firing"
    print(f"{len(plan.triggers)} schedules, {len(plan.faults)} faults", flush=True)
    await loop_sleep((start_us - _now_us()) / 1e6)
    injector = FaultInjector(fleet, database)
    await injector.inject_all(plan.faults)
    await loop_sleep(max(0.0, (start_us - _now_us()) / 1e6 + plan.seconds))
    converged = await _converge(database)
    keeping.cancel()
    unruly = [*converged, *fleet.crashes, *await fleet.stop()]
    session = await database.connect()
    facts = await read_facts(plan, session, fleet.effects_dir, injector.done, injector.frozen)
    _describe(plan, facts, *await read_lags(session), fleet)
    await session.close()
    (root / "facts.json").write_bytes(msgspec.json.encode(facts))
    return (*check(facts), *(Violation("harness", "", problem) for problem in unruly))


async def _converge(database: ChaosDatabase) -> list[str]:
    """Waits until nothing is due, queued or running; what is left then is a complaint."""
    began = _clock.monotonic_seconds()
    while any(left := await database.unfinished()):
        if _clock.monotonic_seconds() - began > CONVERGE_SECONDS_MAX:
            return [f"{CONVERGE_SECONDS_MAX:g} s after the last fault: {left[0]} triggers, {left[1]} live runs left"]
        await loop_sleep(0.2)
    print(f"converged {_clock.monotonic_seconds() - began:.1f} s after the faults", flush=True)
    return []


def _describe(plan: ChaosPlan, facts: Facts, born: list[float], ended: list[float], fleet: Fleet) -> None:
    seen, bars = figures_of(facts), bars_of(plan.seconds)
    for name in seen.__struct_fields__:
        print(f"{name:>12}: {getattr(seen, name)} (at least {getattr(bars, name)})")
    outcomes = Counter(attempt.outcome for attempt in facts.attempts)
    print(f"{'attempts':>12}: {len(facts.runs)} runs, {dict(outcomes)}, {len(facts.effects)} effects")
    for name, lag in (("birth", born), ("end", ended)):
        p50, p90, p99, most = (f"{seconds:.3f}" for seconds in lag)
        print(f"{name + ' lag':>12}: p50 {p50} s, p90 {p90} s, p99 {p99} s, max {most} s")
    print(f"{'leaders':>12}: {', '.join(f'{term.epoch} {fleet.name_of(term.holder)}' for term in facts.terms)}")
    if plan.seconds < FULL_SECONDS:
        print(f"{'note':>12}: bars are those of {FULL_SECONDS} s in proportion; this run does not claim the full ones")


def _report(violations: tuple[Violation, ...]) -> None:
    kinds = Counter(violation.kind for violation in violations)
    for kind, count in kinds.items():
        print(f"VIOLATED {count} × {kind}")
        for violation in [one for one in violations if one.kind == kind][:SHOWN_MAX]:
            print(f"    {violation.subject}: {violation.detail}")
    print("FAILED" if violations else "PASSED: each firing once, each run to its end, each end by its own attempt")


def _now_us() -> int:
    return _clock.wall_ns() // 1000


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
