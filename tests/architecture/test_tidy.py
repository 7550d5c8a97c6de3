"""The repository keeps its own rules. `grandfathered.txt` excuses old findings and may only shrink."""

import re

import pytest

from tests.architecture import tidy_python, tidy_sql
from tests.architecture.findings import ROOT, Finding, files, parse_grandfathered, ratchet

PYTHON_DIRECTORIES = ("src", "tests", "scripts", "bench")
ENTRY_POINTS = frozenset({"rota.cli.main", "rota.__main__", "rota.contrib.celery"})
HERE = ROOT / "tests/architecture"
# Written in two halves, so that the rule does not find itself.
LEFTOVER = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
TEXT_SUFFIXES = (
    ".py",
    ".sql",
    ".md",
    ".sh",
    ".toml",
    ".yaml",
    ".yml",
    ".html",
    ".js",
    ".css",
    ".proto",
    ".txt",
    ".service",
)


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def modules() -> list[tidy_python.Module]:
    return [tidy_python.parse(path, read(path)) for path in files(".py", under=PYTHON_DIRECTORIES)]


@pytest.fixture(scope="module")
def queries() -> list[tidy_sql.QueryFile]:
    return [tidy_sql.QueryFile(path, read(path)) for path in files(".sql", under=["src"]) if "/queries/" in path]


def leftovers() -> list[Finding]:
    """Notes to oneself, in any text of the repository."""
    paths = [*files(*TEXT_SUFFIXES, under=[*PYTHON_DIRECTORIES, "docs", "proto"]), *(p.name for p in ROOT.glob("*.md"))]
    return [
        Finding("leftover", f"{path}:{number}", "do it now, or leave it to an issue")
        for path in paths
        for number, line in enumerate(read(path).splitlines(), 1)
        if LEFTOVER.search(line)
    ]


def test_the_repository_is_tidy(modules: list[tidy_python.Module], queries: list[tidy_sql.QueryFile]) -> None:
    supervisors = {place.strip(): reason for place, reason in listed("supervisors.txt")}
    migrations = [read(path) for path in files(".sql", under=["src"]) if "/migrations/" in path]
    tables = tidy_sql.tenant_tables(migrations)
    found = [
        *(finding for module in modules for rule in tidy_python.RULES for finding in rule(module)),
        *tidy_python.broad_catch(modules, supervisors),
        *tidy_python.dead_module(modules, ENTRY_POINTS),
        *(finding for file in queries for rule in tidy_sql.RULES for finding in rule(file)),
        *(finding for file in queries for finding in tidy_sql.tenant_leak(file, tables)),
        *tidy_sql.unmatched(queries, [module.tree for module in modules if module.is_under("src")]),
        *leftovers(),
    ]

    complaints = ratchet(found, parse_grandfathered((HERE / "grandfathered.txt").read_text()))

    assert complaints == [], "\n" + "\n".join(complaints)


def listed(name: str) -> list[tuple[str, str]]:
    """The entries of a list file with their reasons."""
    entries = [line.partition("#") for line in (HERE / name).read_text().splitlines() if not line.startswith("#")]
    assert all(reason.strip() for place, _, reason in entries if place.strip()), f"{name}: give every entry its reason"
    return [(place, reason) for place, _, reason in entries if place.strip()]


def test_functions_are_short(modules: list[tidy_python.Module]) -> None:
    measured = tidy_python.median_function_lines(module for module in modules if module.is_under("src"))
    print(f"median function of src: {measured:g} lines")

    assert measured < tidy_python.FUNCTION_LINES_MEDIAN_MAX
