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
from tests.chaos.callers import Callers
from tests.chaos.checker import FULL_SECONDS, bars_of, check, figures_of
from tests.chaos.database import ChaosDatabase
from tests.chaos.facts import NARROW_TENANT, Facts, PlannedLimit
from tests.chaos.faults import FaultInjector
from tests.chaos.fleet import Fleet
from tests.chaos.outage_checks import caught_up_seconds
from tests.chaos.plan import LIMITS, ChaosPlan, make_plan, milestone_body, schedule_bodies
from tests.chaos.sources import BREAKAGES, copy_sources
from tests.chaos.violation import Violation
from tests.chaos.witnesses import read_facts, read_lags
from tests.support.waiting import loop_sleep

SECONDS_MIN = 20
OUTAGE_SECONDS = 60
LEAD_SECONDS = 4
CONVERGE_SECONDS_MAX = 90.0
SHOWN_MAX = 5

_clock = SystemClock()


class ChaosOptions(msgspec.Struct, frozen=True):
    """The command line."""

    seconds: int
    outage_seconds: int
    seed: int
    broken: str | None
    keep: bool


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    root = Path(tempfile.mkdtemp(prefix="rota-chaos-"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    length = f"{options.seconds} s and an outage of {options.outage_seconds} s"
    print(f"seed {options.seed}, {length}; repeat it with --seed {options.seed}", flush=True)
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
    parser.add_argument(
        "--outage",
        type=int,
        default=None,
        metavar="SECONDS",
        help=f"of the database, on top; default: {OUTAGE_SECONDS} from {FULL_SECONDS} s on, none below; 0: none",
    )
    parser.add_argument("--seed", type=int, default=None, help="of the faults and schedules; default: a fresh one")
    parser.add_argument("--broken", choices=sorted(BREAKAGES), help="take this guard out of Rota, and expect to see it")
    parser.add_argument("--keep", action="store_true", help="keep everything for a look, also when all is well")
    given = parser.parse_args(arguments)
    if given.seconds < SECONDS_MIN:
        parser.error(f"SECONDS is {given.seconds}; give at least {SECONDS_MIN}, or nothing can be seen")
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed  # noqa: TID251 - printed for repetition
    outage = given.outage if given.outage is not None else OUTAGE_SECONDS if given.seconds >= FULL_SECONDS else 0
    if outage < 0:
        parser.error(f"--outage is {outage}; give 0 for none, or some seconds")
    return ChaosOptions(given.seconds, outage, seed, given.broken, given.keep)


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
    plan = make_plan(options.seed, options.seconds, start_us, options.outage_seconds)
    url = fleet.servers[0].url
    assert url is not None
    token = await database.issue_token("default", "platform_admin")
    with ApiClient(ApiContext(url, token, "default")) as client:
        client.call("POST", "/tenants", body={"id": NARROW_TENANT, "name": NARROW_TENANT})
        for limit in LIMITS:
            kind = "tenants" if limit.name == NARROW_TENANT else "queues"
            client.call("PUT", f"/limits/{kind}/{limit.name}", body=_limit_body(limit))
        client.call("POST", "/schedules/bulk", body=[*schedule_bodies(plan, "default"), milestone_body("SOON")])
    narrow = ApiContext(url, await database.issue_token(NARROW_TENANT, "admin"), NARROW_TENANT)
    with ApiClient(narrow) as client:
        client.call("POST", "/schedules/bulk", body=schedule_bodies(plan, NARROW_TENANT))
    assert _now_us() < start_us, "the schedules were registered too late for their first firing"
    print(f"{len(plan.triggers)} schedules, {len(plan.subjects)} subjects, {len(plan.faults)} faults", flush=True)
    await loop_sleep((start_us - _now_us()) / 1e6)
    injector, callers = FaultInjector(fleet, database), Callers(plan, fleet, token)
    async with asyncio.TaskGroup() as group:
        group.create_task(callers.call_all())
        group.create_task(injector.inject_all(plan.faults))
    await loop_sleep(max(0.0, (plan.end_us - _now_us()) / 1e6))
    converged = await _converge(database)
    keeping.cancel()
    unruly = [*converged, *callers.complaints, *fleet.crashes, *await fleet.stop()]
    session = await database.connect()
    facts = await read_facts(plan, session, fleet.effects_dir, injector)
    _describe(plan, facts, *await read_lags(session), fleet)
    print(f"{'ticks':>12}: {dict(callers.answers)}")
    await session.close()
    (root / "facts.json").write_bytes(msgspec.json.encode(facts))
    return (*check(facts), *(Violation("harness", "", problem) for problem in unruly))


def _limit_body(limit: PlannedLimit) -> dict[str, float]:
    if limit.rate is None:
        return {"concurrency_max": limit.concurrency_max or 0}
    return {"rate_per_second": limit.rate, "burst": limit.burst}


async def _converge(database: ChaosDatabase) -> list[str]:
    """Waits until nothing is due, queued or running; what is left then is a complaint."""
    began = _clock.monotonic_seconds()
    while any(left := await database.unfinished()):
        if _clock.monotonic_seconds() - began > CONVERGE_SECONDS_MAX:
            names = ("triggers", "live runs", "milestones")
            found = ", ".join(f"{count} {name}" for count, name in zip(left, names, strict=True))
            return [f"{CONVERGE_SECONDS_MAX:g} s after the last fault there are left: {found}"]
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
    for outage in facts.outages:
        away = (outage.until_us - outage.from_us) / 1e6
        print(f"{'outage':>12}: {away:.1f} s, caught up {caught_up_seconds(facts):.1f} s after it")
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
