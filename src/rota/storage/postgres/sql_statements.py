"""Splits a SQL file into its statements, so that an error can name the one that failed and its line.

Pure. It knows what may contain a semicolon without ending a statement: string constants, quoted names, dollar-quoted
text, comments (nested ones too) and the `BEGIN ATOMIC … END` body of a function.
"""

import re

import msgspec


class SqlStatement(msgspec.Struct, frozen=True):
    """One statement without its semicolon; `line` is that of its first word, counted from 1."""

    text: str
    line: int


_TOKEN = re.compile(
    r"""
      (?P<comment>--[^\n]*)
    | (?P<block>/\*)
    | (?P<quoted>\b[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|"(?:[^"]|"")*")
    | (?P<dollar>(?<![\w$])\$(?P<tag>[A-Za-z_]\w*)?\$)
    | (?P<atomic>\bbegin\s+atomic\b)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<end>;)
    | (?P<space>\s+)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")


def split_statements(sql: str) -> list[SqlStatement]:
    """The statements of *sql* in order; comments alone are none."""
    statements: list[SqlStatement] = []
    start: int | None = None
    bodies = 0
    position = 0
    while match := _TOKEN.match(sql, position):
        kind = match.lastgroup
        position = _end_of_token(sql, match)
        if kind == "end" and bodies == 0:
            if start is not None:
                statements.append(_statement(sql, start, match.start()))
            start = None
        elif kind not in {"comment", "block", "space", "end"}:
            start = match.start() if start is None else start
            bodies = _open_bodies(bodies, kind, match.group().lower())
    if start is not None:
        statements.append(_statement(sql, start, len(sql)))
    return statements


def _open_bodies(bodies: int, kind: str | None, word: str) -> int:
    if kind == "atomic":
        return bodies + 1
    if bodies and kind == "word":
        return bodies + {"case": 1, "end": -1}.get(word, 0)
    return bodies


def _end_of_token(sql: str, match: re.Match[str]) -> int:
    if match.lastgroup == "block":
        return _end_of_block_comment(sql, match.end())
    if match.group("dollar"):
        closing = sql.find(match.group("dollar"), match.end())
        return len(sql) if closing < 0 else closing + len(match.group("dollar"))
    return match.end()


def _end_of_block_comment(sql: str, position: int) -> int:
    depth = 1
    while depth and (edge := _BLOCK_EDGE.search(sql, position)):
        depth += 1 if edge.group() == "/*" else -1
        position = edge.end()
    return len(sql) if depth else position


def _statement(sql: str, start: int, end: int) -> SqlStatement:
    return SqlStatement(text=sql[start:end].rstrip(), line=sql.count("\n", 0, start) + 1)
