"""Runs measurements, each a process of its own, and merges their rows into one file, a table and a picture.

A measurement is a module `bench/<name>.py` that prints its rows as a JSON array when it is called with `--json`; what
it says to people goes to stderr. One that fails, prints something else or passes the common time limit makes the whole
run fail, after the rows of the others have been written. Those of `bench/long/` take hours: each one's rows are kept as
soon as it has ended, and it is not run again while they are there.
"""

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from os import environ
from pathlib import Path

import msgspec
from msgspec import Struct

from bench.harness import plot, report
from bench.harness.rows import Row, heed_termination, say
from bench.harness.systems import python_path

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench"
PAGE = ROOT / "docs" / "performance.md"
SECONDS_MAX = 15 * 60
LONG_SECONDS_MAX = 4 * 60 * 60
INTERRUPTED_SECONDS_MAX = 45.0
# What would be missed most comes first, for a machine on which the time does not suffice.
FIRST = ("runs", "pickup", "schedules", "firing")
# Looks at one part of what `runs` and `pickup` measure whole, for who works on it: measured when they are named.
ON_REQUEST = ("end_to_end", "limits", "queue")
PASSED_ON = {
    "rounds": "how often each figure is taken",
    "scale": "shrink counts and durations, for a trial",
    "systems": "only these, separated by commas",
}


class BenchFailed(Exception):
    """One measurement gave no rows; the message says why."""


class Request(Struct, frozen=True):
    """What to run. `more` goes to every module as it is."""

    names: tuple[str, ...] = ()
    is_long: bool = False
    again: bool = False
    publish: bool = False
    more: tuple[str, ...] = ()


def measurements(directory: Path, names: Sequence[str]) -> list[Path]:
    """The modules to run: those called *names*, or all but what is measured on request."""
    found = {path.stem: path for path in sorted(directory.glob("*.py")) if path.stem != "run" and path.stem[0] != "_"}
    unknown = [name for name in names if name not in found]
    if unknown:
        raise BenchFailed(f"there is no measurement {', '.join(unknown)}; there are: {', '.join(found)}")
    if names:
        return [found[name] for name in names]
    places = {name: place for place, name in enumerate(FIRST)}
    ordered = sorted(found, key=lambda name: places.get(name, len(FIRST)))
    return [found[name] for name in ordered if name not in ON_REQUEST]


def measure(module: Path, timeout_seconds: float, more: Sequence[str] = ()) -> list[Row]:
    """The rows of one module. Its stderr goes through to the reader."""
    # Safe path, because bench/ holds modules that are named like some of the standard library.
    command = [sys.executable, "-P", str(module), "--json", *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**environ, "PYTHONPATH": python_path()}) as process:
        try:
            printed, _ = process.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired as error:
            _interrupt(process)
            raise BenchFailed(f"{module.stem} was still running when the time of all was over") from error
        except KeyboardInterrupt:
            _interrupt(process)
            raise
    if process.returncode != 0:
        raise BenchFailed(f"{module.stem} ended with status {process.returncode}")
    try:
        return msgspec.json.decode(printed, type=list[Row])
    except msgspec.DecodeError as error:
        raise BenchFailed(f"{module.stem} printed no array of rows: {error}") from error


def _interrupt(process: "subprocess.Popen[bytes]") -> None:
    """Ends a measurement as Ctrl-C would, so that it stops the servers that it has started."""
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=INTERRUPTED_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()


def measure_all(modules: Sequence[Path], deadline: float, more: Sequence[str] = ()) -> tuple[list[Row], list[str]]:
    """The rows of all modules, in order, and what went wrong. `deadline` is in seconds of the monotonic clock."""
    rows: list[Row] = []
    failures: list[str] = []
    for module in modules:
        say(f"measuring {module.stem}")
        began = time.monotonic()
        try:
            rows += measure(module, max(deadline - began, 0.001), more)
        except BenchFailed as error:
            failures.append(str(error))
        say(f"{module.stem} took {time.monotonic() - began:.0f} s")
    return rows, failures


def measure_long(modules: Sequence[Path], kept: Path, request: Request) -> tuple[list[Row], list[str]]:
    """As `measure_all`, but what was measured before is taken from the directory *kept*."""
    kept.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    failures: list[str] = []
    for module in modules:
        file = kept / f"{module.stem}.json"
        if request.again or not file.exists():
            found, failed = measure_all([module], time.monotonic() + LONG_SECONDS_MAX, request.more)
            failures += failed
            if failed:
                continue
            file.write_bytes(msgspec.json.encode(found))
        else:
            say(f"{module.stem} was measured before; to measure it anew: --again, or delete {file}")
        rows += msgspec.json.decode(file.read_bytes(), type=list[Row])
    return rows, failures


def collect(request: Request, directory: Path) -> tuple[list[Row], list[str]]:
    """The rows that were asked for. Raises BenchFailed for a name that is unknown."""
    if request.is_long:
        modules = measurements(directory / "long", request.names)
        return measure_long(modules, directory / "out" / "long", request)
    return measure_all(measurements(directory, request.names), time.monotonic() + SECONDS_MAX, request.more)


def parsed(arguments: Sequence[str]) -> Request:
    parser = argparse.ArgumentParser(description="Run measurements and write bench/out/latest.json.")
    parser.add_argument("names", nargs="*", help="measurements to run; all when none is named")
    parser.add_argument("--long", action="store_true", help="those of bench/long, which take hours; resumable")
    parser.add_argument("--again", action="store_true", help="with --long: also those that were measured before")
    parser.add_argument("--publish", action="store_true", help="put table and picture into docs/performance.md")
    for option, about in PASSED_ON.items():
        parser.add_argument(f"--{option}", help=f"for measurements that know it: {about}")
    given = parser.parse_args(arguments)
    passed = {option: getattr(given, option) for option in PASSED_ON}
    more = [part for option, value in passed.items() if value is not None for part in (f"--{option}", value)]
    return Request(tuple(given.names), given.long, given.again, given.publish, tuple(more))


def _kept(file: Path) -> list[Row]:
    """The rows of the other kind of run, where there was one."""
    return msgspec.json.decode(file.read_bytes(), type=list[Row]) if file.exists() else []


def main(arguments: Sequence[str], directory: Path = BENCH, page: Path = PAGE) -> int:
    request = parsed(arguments)
    heed_termination()
    try:
        rows, failures = collect(request, directory)
    except BenchFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    out = directory / "out"
    out.mkdir(exist_ok=True)
    name = "long" if request.is_long else "latest"
    (out / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n")
    (out / f"{name}.svg").write_text(plot.svg(rows), encoding="utf-8")
    if request.publish:
        report.publish([*rows, *_kept(out / f"{'latest' if request.is_long else 'long'}.json")], page)
    print(report.text(rows))
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    say(f"{len(rows)} rows in {out / name}.json, a picture in {out / name}.svg")
    return 1 if failures else 0
