"""Proves the locks: every pin has hashes, no index address is named, and run.txt is a subset of dev.txt.

The subset is what lets one `.venv` serve both locks; the locks of the benchmark's peers stand apart. Needs only the
standard library, so that it can run before any environment exists.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
APART = ("bench", "bench-apscheduler4")
PIN = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;\\]+)", re.MULTILINE)
ADDRESS = re.compile(
    r"https?://|file:|^\s*(?:-i|-f|--index-url|--extra-index-url|--find-links|--trusted-host)\b", re.MULTILINE
)
REQUIREMENT_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins_of(lock: str) -> dict[str, str]:
    return {canonical(found["name"]): found["version"] for found in PIN.finditer(lock)}


def problems_of(name: str, lock: str) -> list[str]:
    """What is wrong with one lock by itself."""
    problems = [f"{name} names an address or an index: {found.group().strip()!r}" for found in ADDRESS.finditer(lock)]
    blocks = re.split(r"\n(?=\S)", lock)
    for block in blocks:
        if PIN.match(block) and "--hash=sha256:" not in block:
            problems.append(f"{name} pins {block.split()[0]} without a hash")
        elif not PIN.match(block) and not all(line.startswith("#") for line in block.strip().splitlines()):
            problems.append(f"{name} holds a line that is no pin: {block.splitlines()[0]!r}")
    return problems


def missing_from(pins: dict[str, str], requirements: list[str]) -> list[str]:
    """The requirements that no pin answers, by canonical name."""
    names = [canonical(found.group()) for text in requirements if (found := REQUIREMENT_NAME.match(text))]
    return [name for name in names if name not in pins]


def declared(pyproject: str) -> tuple[list[str], list[str]]:
    """What run.txt and dev.txt must hold, as pyproject.toml declares it."""
    document = tomllib.loads(pyproject)
    project, groups = document["project"], document["dependency-groups"]
    run = [*project["dependencies"], *project["optional-dependencies"]["embedded"], *groups["build"]]
    return run, [*run, *(entry for entry in groups["dev"] if isinstance(entry, str))]


def check(pyproject: str, run: str, dev: str) -> list[str]:
    """Every problem of the two locks together; empty when they are sound."""
    run_pins, dev_pins = pins_of(run), pins_of(dev)
    run_declared, dev_declared = declared(pyproject)
    return [
        *problems_of("run.txt", run),
        *problems_of("dev.txt", dev),
        *(
            f"run.txt has {name} {version}, dev.txt {dev_pins.get(name, 'has not')}"
            for name, version in run_pins.items()
            if dev_pins.get(name) != version
        ),
        *(f"run.txt lacks {name}, which pyproject.toml asks for" for name in missing_from(run_pins, run_declared)),
        *(f"dev.txt lacks {name}, which pyproject.toml asks for" for name in missing_from(dev_pins, dev_declared)),
    ]


def check_apart(pyproject: str, group: str, lock: str) -> list[str]:
    """Every problem of the lock of one dependency group that has an environment of its own."""
    name = f"{group}.txt"
    missing = missing_from(pins_of(lock), tomllib.loads(pyproject)["dependency-groups"][group])
    return [
        *problems_of(name, lock),
        *(f"{name} lacks {requirement}, which pyproject.toml asks for" for requirement in missing),
    ]


def main() -> int:
    pyproject = (ROOT / "pyproject.toml").read_text()
    lock = {name: (ROOT / f"requirements/{name}.txt").read_text() for name in ("run", "dev", *APART)}
    found = [
        *check(pyproject, lock["run"], lock["dev"]),
        *(problem for group in APART for problem in check_apart(pyproject, group, lock[group])),
    ]
    for problem in found:
        print(f"{problem}; remedy: make lock", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
