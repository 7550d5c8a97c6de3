"""Runs every measurement in bench/ and merges their rows into bench/out/latest.json.

A measurement is a module `bench/<name>.py` that prints its rows as a JSON array when it is called with `--json`; what
it says to people goes to stderr. One that fails, prints something else or passes the common time limit makes the
whole run fail, after the rows of the others have been written.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

BENCH = Path(__file__).resolve().parent
SECONDS_MAX = 15 * 60


class Row(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One figure. `value` is the median of `runs`; `peers` were measured in the same run, in the same unit."""

    name: str
    value: float
    unit: str
    runs: list[float]
    ratio_to_limit: float | None = None
    peers: dict[str, float] = {}


class BenchFailed(Exception):
    """One measurement gave no rows; the message says why."""


def measurements(directory: Path, names: Sequence[str]) -> list[Path]:
    """The modules to run: those called *names*, or all."""
    found = {path.stem: path for path in sorted(directory.glob("*.py")) if path.stem != "run" and path.stem[0] != "_"}
    unknown = [name for name in names if name not in found]
    if unknown:
        raise BenchFailed(f"there is no measurement {', '.join(unknown)}; there are: {', '.join(found)}")
    return [found[name] for name in names] if names else list(found.values())


def measure(module: Path, timeout_seconds: float) -> list[Row]:
    """The rows of one module. Its stderr goes through to the reader."""
    try:
        done = subprocess.run(
            [sys.executable, module, "--json"], stdout=subprocess.PIPE, timeout=timeout_seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BenchFailed(f"{module.stem} was still running when the {SECONDS_MAX} s of all were over") from error
    if done.returncode != 0:
        raise BenchFailed(f"{module.stem} ended with status {done.returncode}")
    try:
        return msgspec.json.decode(done.stdout, type=list[Row])
    except msgspec.DecodeError as error:
        raise BenchFailed(f"{module.stem} printed no array of rows: {error}") from error


def measure_all(modules: Sequence[Path], deadline: float) -> tuple[list[Row], list[str]]:
    """The rows of all modules, in order, and what went wrong. `deadline` is in seconds of the monotonic clock."""
    rows: list[Row] = []
    failures: list[str] = []
    for module in modules:
        print(f"measuring {module.stem}", file=sys.stderr)
        try:
            rows += measure(module, max(deadline - time.monotonic(), 0.001))
        except BenchFailed as error:
            failures.append(str(error))
    return rows, failures


def line(row: Row) -> str:
    """One row for people."""
    peers = "".join(f", {name} {value:,.4g}" for name, value in row.peers.items())
    limit = f", {row.ratio_to_limit:.2f} × the limit" if row.ratio_to_limit is not None else ""
    return f"{row.name}: {row.value:,.4g} {row.unit}{limit}{peers}"


def main(arguments: Sequence[str], directory: Path = BENCH) -> int:
    parser = argparse.ArgumentParser(description="Run the measurements and write bench/out/latest.json.")
    parser.add_argument("names", nargs="*", help="measurements to run; all when none is named")
    try:
        modules = measurements(directory, parser.parse_args(arguments).names)
    except BenchFailed as error:
        parser.error(str(error))
    rows, failures = measure_all(modules, time.monotonic() + SECONDS_MAX)
    target = directory / "out" / "latest.json"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n")
    for row in rows:
        print(line(row))
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    print(f"{len(rows)} rows in {target}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
