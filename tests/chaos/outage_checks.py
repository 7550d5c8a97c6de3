"""Judges a long outage of the database: that there was one, and that everything went on after it. Pure."""

from collections.abc import Iterator

from tests.chaos.facts import Facts
from tests.chaos.violation import Violation

# Of an outage of a minute there are 12,000 runs to catch up, beside those that go on falling due, amid faults.
CATCH_UP_SECONDS_MAX = 90.0


def away_us(facts: Facts, from_us: int, until_us: int) -> int:
    """For how long of that the database was away."""
    overlaps = (min(until_us, outage.until_us) - max(from_us, outage.from_us) for outage in facts.outages)
    return sum(max(0, overlap) for overlap in overlaps)


def the_outage_was_one(facts: Facts) -> Iterator[Violation]:
    """It lasted as long as was asked for, meanwhile nothing was claimed or ended, and something was due."""
    longest = max(((one.until_us - one.from_us) / 1e6 for one in facts.outages), default=0.0)
    if longest < facts.outage_seconds:
        yield Violation("no outage", "database", f"away for {longest:.1f} s, {facts.outage_seconds:g} s are asked for")
    for outage in facts.outages:
        span = range(outage.from_us, outage.until_us)
        if not any(run.fire_at_us in span for run in facts.runs):
            yield Violation("no outage", "database", "nothing was due in it")
        for run in facts.runs:
            if run.started_us in span or run.finished_us in span:
                yield Violation("worked in the outage", run.id, f"{run.state} at {run.finished_us}")


def what_was_due_in_an_outage_is_caught_up(facts: Facts) -> Iterator[Violation]:
    """Soon, not at some time. That nothing is missing is another check's sentence."""
    for outage in facts.outages:
        span = range(outage.from_us, outage.until_us)
        for run in facts.runs:
            late = ((run.finished_us or outage.until_us) - outage.until_us) / 1e6
            if run.fire_at_us in span and run.origin == "interval" and late > CATCH_UP_SECONDS_MAX:
                yield Violation("caught up late", run.id, f"ended {late:.1f} s after the database was back")


CHECKS = (the_outage_was_one, what_was_due_in_an_outage_is_caught_up)


def caught_up_seconds(facts: Facts) -> float:
    """From the end of the outage to the end of the last run that fell due in it; nought without an outage."""
    spans = [(range(one.from_us, one.until_us), one.until_us) for one in facts.outages]
    ends = [
        (run.finished_us - until_us) / 1e6
        for span, until_us in spans
        for run in facts.runs
        if run.fire_at_us in span and run.finished_us is not None and run.origin == "interval"
    ]
    return max(ends, default=0.0)
