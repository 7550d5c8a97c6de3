"""Rules for the query files of the stores: `queries/<aggregate>/<verb_noun>.sql`, one statement each.

A statement on a tenant's table compares `tenant_id` with a parameter or inserts it. One that does neither needs the
line `-- service: <why it looks across tenants>` in its leading comment: whoever reviews isolation finds them all.
"""

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from tests.architecture.findings import Finding

NOISE = re.compile(r"--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$|'(?:[^']|'')*'", re.DOTALL)
REASON = re.compile(r"--[ ]*\S+(?:[ ]+\S+){2,}")
SERVICE = re.compile(r"^--\s*service:\s*\S+(?:\s+\S+)+", re.MULTILINE)
VERB_NOUN = re.compile(r"[a-z]+(?:_[a-z0-9]+)+")
WALL_CLOCK = re.compile(
    r"\b(?:now|clock_timestamp|statement_timestamp|transaction_timestamp)\s*\(|\b(?:current_timestamp|localtimestamp|current_date)\b",
    re.IGNORECASE,
)
CONFINED = re.compile(
    r"\btenant_id\s*(?:=|IS NOT DISTINCT FROM)\s*(?:ANY\s*\(\s*)?\$\d"
    r"|\$\d+(?:::\w+)?\s*=\s*(?:\w+\.)?tenant_id\b"
    r"|\bINSERT\s+INTO\s+scheduler\.\w+[^()]*\([^)]*\btenant_id\b",
    re.IGNORECASE,
)
CREATE_TABLE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?scheduler\.(\w+)\s*\((.*?)\n\)", re.DOTALL | re.IGNORECASE)
CREATE_VIEW = re.compile(r"CREATE (?:OR REPLACE )?VIEW scheduler\.(\w+)\b(.*?);", re.DOTALL | re.IGNORECASE)


class QueryFile(NamedTuple):
    """A query file: its path below the repository's root, and its text."""

    path: str
    text: str

    @property
    def name(self) -> str:
        """`<aggregate>/<verb_noun>`, as the stores ask for it."""
        return "/".join(self.path.removesuffix(".sql").split("/")[-2:])

    @property
    def code(self) -> str:
        """The statement without comments and literals."""
        return NOISE.sub(" ", self.text).strip()


def tenant_tables(migrations: Iterable[str]) -> frozenset[str]:
    """Tables and views of the schema that carry `tenant_id`, read from the migrations."""
    return frozenset(
        found.group(1)
        for text in migrations
        for pattern in (CREATE_TABLE, CREATE_VIEW)
        for found in pattern.finditer(text)
        if re.search(r"\btenant_id\b", found.group(2))
    )


def no_reason(file: QueryFile) -> Iterator[Finding]:
    if not REASON.match(file.text):
        yield Finding("sql-no-reason", file.path, "line 1 is a comment that gives the statement's reason")


def many_statements(file: QueryFile) -> Iterator[Finding]:
    statements = [part for part in file.code.split(";") if part.strip()]
    if len(statements) != 1:
        yield Finding(
            "sql-many-statements", file.path, f"{len(statements)} statements; a file holds one", len(statements)
        )


def unclear_name(file: QueryFile) -> Iterator[Finding]:
    verb_noun = file.name.split("/")[-1]
    if not VERB_NOUN.fullmatch(verb_noun):
        yield Finding("sql-unclear-name", file.path, "name it <verb>_<noun>, with its precondition: renew_if_held")


def wall_clock(file: QueryFile) -> Iterator[Finding]:
    found = WALL_CLOCK.search(file.code)
    if found:
        message = f"{found.group().strip('( ')} cannot be set by a test; read scheduler.current_time()"
        yield Finding("sql-wall-clock", file.path, message)


RULES: tuple[Callable[[QueryFile], Iterator[Finding]], ...] = (no_reason, many_statements, unclear_name, wall_clock)


def tenant_leak(file: QueryFile, tables: frozenset[str]) -> Iterator[Finding]:
    touched = sorted(table for table in tables if re.search(rf"\bscheduler\.{table}\b", file.code))
    needs_reason = bool(touched) and not CONFINED.search(file.code)
    if needs_reason and not SERVICE.search(file.text):
        message = f"{', '.join(touched)}: compare tenant_id with a parameter, or say '-- service: <why>' below line 1"
        yield Finding("sql-tenant-leak", file.path, message)
    if SERVICE.search(file.text) and not needs_reason:
        yield Finding("sql-tenant-leak", file.path, "says '-- service:' in vain; remove the line")


def names_asked_for(tree: ast.Module) -> Iterator[str]:
    """The literal names in calls of `query(...)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "query":
            yield from (
                name.value for name in node.args if isinstance(name, ast.Constant) and isinstance(name.value, str)
            )


def unmatched(files: Iterable[QueryFile], trees: Iterable[ast.Module]) -> Iterator[Finding]:
    """Query files that no code asks for, and names that are asked for in vain."""
    by_name = {file.name: file for file in files}
    asked = {name for tree in trees for name in names_asked_for(tree)}
    for name in sorted(by_name.keys() - asked):
        yield Finding("sql-dead", by_name[name].path, "no code asks for this statement; remove it")
    for name in sorted(asked - by_name.keys()):
        yield Finding("sql-missing", f"queries/{name}.sql", "code asks for this statement, and there is none")
