"""What a tidy rule reports, and the ratchet that lets old findings shrink but never grow.

A line of grandfathered.txt reads `rule place value  # reason`. It excuses one finding of exactly that size: a larger
one fails, a smaller one asks for the line to be lowered, and a line without its finding must go.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SKIPPED_DIRECTORIES = frozenset({"__pycache__", "out", "node_modules", ".hypothesis", ".pytest_cache"})


class Finding(NamedTuple):
    """`place` is a path, with `::name` where it is narrower; `value` is the measured size, 1 where there is none."""

    rule: str
    place: str
    message: str
    value: int = 1

    def __str__(self) -> str:
        return f"{self.place}: {self.message} [{self.rule}]"


def files(*suffixes: str, under: Iterable[str], root: Path = ROOT) -> list[str]:
    """The repository's files with one of *suffixes*, below the directories *under*, as paths relative to the root."""
    return sorted(
        path.relative_to(root).as_posix()
        for directory in under
        for path in (root / directory).rglob("*")
        if path.suffix in suffixes and path.is_file() and not SKIPPED_DIRECTORIES.intersection(path.parts)
    )


def parse_grandfathered(text: str) -> dict[tuple[str, str], int]:
    """The excused findings: (rule, place) → size. A line without a reason is refused."""
    excused: dict[tuple[str, str], int] = {}
    for line in text.splitlines():
        entry, _, reason = line.partition("#")
        if not entry.strip():
            continue
        assert reason.strip(), f"give the reason after '#': {line}"
        rule, place, value = entry.split()
        excused[rule, place] = int(value)
    return excused


def ratchet(found: Iterable[Finding], excused: Mapping[tuple[str, str], int]) -> list[str]:
    """Every complaint that is left once *excused* has been applied; also the excuses that are too generous."""
    complaints: list[str] = []
    unused = dict(excused)
    for finding in found:
        allowed = unused.pop((finding.rule, finding.place), None)
        if allowed is None or finding.value > allowed:
            complaints.append(str(finding))
        elif finding.value < allowed:
            complaints.append(f"{finding.place}: grandfathered.txt allows {allowed}; lower it to {finding.value}")
    complaints += [f"{place}: grandfathered.txt excuses {rule} in vain; remove the line" for rule, place in unused]
    return complaints
