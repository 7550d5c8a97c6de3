"""Every zone, around each of its clock changes from 1970 to 2037, against the oracle.

The suite takes a part of the changes and every unusual one (`test_zone_sweep.py`). All of them, with jobs drawn anew:

    python -m tests.property.occurrences.sweep --seed 7
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random  # noqa: TID251  a seed draws the same jobs again

from rota.core.occurrences import compile_trigger
from rota.core.occurrences.zones import ClockChange, zone_names, zone_of
from rota.domain.triggers import CronTrigger, Gap, OverlapHour
from tests.property.occurrences.oracle import Job, fires, readings

FIRST = datetime(1970, 1, 1, 12, tzinfo=UTC)
LAST = datetime(2037, 12, 31, tzinfo=UTC)
AROUND = timedelta(hours=4)
MARGIN = timedelta(hours=3, minutes=30)
JOBS_PER_CHANGE = 3
USUAL_SECONDS = 3600

GAPS: tuple[Gap, ...] = ("next_valid", "skip", "shift")
OVERLAPS: tuple[OverlapHour, ...] = ("first", "second", "both")


@dataclass(frozen=True)
class DrawnJob:
    """A job that has something to do near a change: its hours are those that the clock shows around it."""

    expression: str
    job: Job
    gap: Gap
    overlap_hour: OverlapHour


def changes_of(zone_name: str) -> list[ClockChange]:
    return list(zone_of(zone_name).changes(int(FIRST.timestamp()), int(LAST.timestamp())))


def sampled_changes(seed: int, *, one_in: int) -> Iterator[tuple[str, ClockChange]]:
    """Every unusual change, and of the others those whose turn it is."""
    for number, zone_name in enumerate(sorted(zone_names())):
        for place, change in enumerate(changes_of(zone_name)):
            if abs(change.gained) != USUAL_SECONDS or (place + number + seed) % one_in == 0:
                yield zone_name, change


def draw_job(rng: Random, change: ClockChange) -> DrawnJob:
    middle = datetime.fromtimestamp(change.at + rng.choice((change.before, change.after)), UTC)
    hours = {(middle + timedelta(hours=shift)).hour for shift in rng.sample(range(-2, 3), rng.randint(1, 3))}
    minutes = set(rng.sample(range(60), rng.randint(1, 4))) | ({0} if rng.random() < 0.3 else set())
    step = rng.choice((1, 2, 5, 15, 20, 30))
    stars = {"minute": rng.random() < 0.2, "hour": rng.random() < 0.2}
    minutes = set(range(0, 60, step)) if stars["minute"] else minutes
    hours = set(range(24)) if stars["hour"] else hours
    minute_text = f"*/{step}" if stars["minute"] else ",".join(map(str, sorted(minutes)))
    hour_text = "*" if stars["hour"] else ",".join(map(str, sorted(hours)))
    gap, overlap_hour = rng.choice(GAPS), rng.choice(OVERLAPS)

    def names(local: datetime) -> bool:
        return local.minute in minutes and local.hour in hours and local.second == 0

    job = Job(names, stars["minute"] or stars["hour"], gap, overlap_hour)
    return DrawnJob(f"{minute_text} {hour_text} * * *", job, gap, overlap_hour)


def disagreements(zone_name: str, change: ClockChange, rng: Random) -> Iterator[str]:
    """What the compiled trigger and the oracle see differently around one change."""
    at = datetime.fromtimestamp(change.at, UTC)
    whole_minutes = change.at % 60 == change.before % 60 == change.after % 60 == 0
    step = timedelta(minutes=1) if whole_minutes else timedelta(seconds=30)
    watched = readings(zone_name, at - AROUND - MARGIN, at + AROUND + MARGIN, step)
    for _ in range(JOBS_PER_CHANGE):
        drawn = draw_job(rng, change)
        trigger = CronTrigger(drawn.expression, timezone=zone_name, gap=drawn.gap, overlap_hour=drawn.overlap_hour)
        found = compile_trigger(trigger, hash_key="", anchor=FIRST).between(at - AROUND, at + AROUND, 10_000)
        expected = sorted(fire for fire in fires(drawn.job, watched, step) if at - AROUND < fire <= at + AROUND)
        if found != expected:
            only = sorted(set(found) ^ set(expected))
            yield f"{zone_name} at {at}: {drawn.expression} {drawn.gap} {drawn.overlap_hour}: differ at {only[:5]}"


def sweep(seed: int, *, one_in: int) -> tuple[int, list[str]]:
    """How many changes were looked at, and every disagreement."""
    looked_at, found = 0, list[str]()
    for zone_name, change in sampled_changes(seed, one_in=one_in):
        looked_at += 1
        found += disagreements(zone_name, change, Random(f"{seed} {zone_name} {change.at}"))
    return looked_at, found


def main() -> int:
    parser = argparse.ArgumentParser(description="Every clock change of every zone against the oracle.")
    parser.add_argument("--seed", type=int, default=0, help="draws other jobs")
    parser.add_argument("--one-in", type=int, default=1, help="look at one change in so many")
    arguments = parser.parse_args()
    looked_at, found = sweep(arguments.seed, one_in=arguments.one_in)
    print("\n".join([*found, f"{looked_at} changes, {len(found)} disagreements, seed {arguments.seed}"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
