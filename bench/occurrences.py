"""Next-occurrence against croniter: the same expressions in the same zones, one question after the other.

Two figures, each for the whole mix and as the ratio of croniter's time to Rota's:

- stepping: from one fire to the next, with everything prepared; croniter keeps its iterator;
- asking: from a stored text to its next fire, as a scheduler does that keeps no object per schedule.

Runs alternate between the two sides, so that a busy machine slows both.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from croniter import croniter

from rota.core.occurrences import compile_trigger
from rota.domain.triggers import CronTrigger

RATIO_MIN = 20.0
RUNS = 5
STEPS = 60
START = datetime(2026, 1, 15, 12, 34, tzinfo=UTC)
ZONES = ("UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata")
EXPRESSIONS = (
    "* * * * *",
    "*/5 * * * *",
    "17 * * * *",
    "0 2 * * *",
    "30 9 * * 1-5",
    "0 */6 * * *",
    "0,30 8-18 * * MON-FRI",
    "0 0 1 * *",
    "0 0 L * *",
    "0 0 * * 5#3",
    "0 0 13 * 5",
    "0 12 1 */3 *",
)
MIX = tuple((expression, zone) for expression in EXPRESSIONS for zone in ZONES)


def rota_steps() -> int:
    fires = 0
    for expression, zone in MIX:
        occurrences = compile_trigger(CronTrigger(expression, timezone=zone), hash_key="", anchor=START)
        fire = START
        for _ in range(STEPS):
            after = occurrences.next_after(fire)
            assert after is not None
            fire = after
            fires += 1
    return fires


def croniter_steps() -> int:
    fires = 0
    for expression, zone in MIX:
        iterator = croniter(expression, START.astimezone(ZoneInfo(zone)), ret_type=datetime)
        for _ in range(STEPS):
            iterator.get_next(datetime)
            fires += 1
    return fires


def rota_asks() -> int:
    for expression, zone in MIX:
        occurrences = compile_trigger(CronTrigger(expression, timezone=zone), hash_key="", anchor=START)
        occurrences.next_after(START)
    return len(MIX)


def croniter_asks() -> int:
    for expression, zone in MIX:
        croniter(expression, START.astimezone(ZoneInfo(zone))).get_next(datetime)
    return len(MIX)


def microseconds_each(work: Callable[[], int]) -> float:
    began = time.perf_counter()
    done = work()
    return (time.perf_counter() - began) * 1e6 / done


def measure(name: str, ours: Callable[[], int], theirs: Callable[[], int]) -> list[dict[str, object]]:
    """Rows for one kind of question: our time with croniter's beside it, and the ratio."""
    ours()
    theirs()
    pairs = [(microseconds_each(ours), microseconds_each(theirs)) for _ in range(RUNS)]
    own, peer = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    ratios = [their_time / own_time for own_time, their_time in pairs]
    peers = {"croniter": statistics.median(peer)}
    return [
        {"name": f"next_occurrence_{name}", "value": statistics.median(own), "unit": "us", "runs": own, "peers": peers},
        {"name": f"next_occurrence_{name}_ratio", "value": statistics.median(ratios), "unit": "x", "runs": ratios},
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="Next occurrence: Rota against croniter.")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    rows = [*measure("stepping", rota_steps, croniter_steps), *measure("asking", rota_asks, croniter_asks)]
    if arguments.json:
        print(json.dumps(rows))
    for row in rows:
        print(f"{row['name']}: {row['value']:.2f} {row['unit']} {row.get('peers', '')}", file=sys.stderr)
    slow = [row for row in rows if row["unit"] == "x" and float(str(row["value"])) < RATIO_MIN]
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
