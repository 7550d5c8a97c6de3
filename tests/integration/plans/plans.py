"""What a statement reads, told by the server: rows that its scans of tables touched, under custom and generic plans.

The statement is prepared and explained with ANALYZE inside a transaction that is rolled back. A generic plan is what a
connection ends up with after some executions; it knows no values, so it is where a plan goes wrong.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from rota.storage.postgres.driver import Connection

PLAN_MODES = ("force_custom_plan", "force_generic_plan")

Plan = Mapping[str, Any]


async def rows_read(connection: Connection, mode: str, statement: str, *args: object) -> int:
    """How many rows of tables the statement read, under the plan of this mode."""
    return sum(_rows_of(node) for node in nodes_of(await explained(connection, mode, statement, *args)))


async def explained(connection: Connection, mode: str, statement: str, *args: object) -> Plan:
    """The plan with its actual figures. The caller's transaction must be rolled back."""
    await connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
    await connection.execute(f"PREPARE explained AS {statement}")
    try:
        values = f"({', '.join(_literal(value) for value in args)})" if args else ""
        said = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE explained{values}")
    finally:
        if not connection.is_closed():
            await connection.execute("DEALLOCATE explained")
    plan: Plan = (said if isinstance(said, list) else msgspec.json.decode(said))[0]["Plan"]
    return plan


def tables_scanned_whole(plan: Plan) -> set[str]:
    return {node["Relation Name"] for node in nodes_of(plan) if node["Node Type"] == "Seq Scan"}


def nodes_of(plan: Plan) -> Iterator[Plan]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes_of(child)


def _rows_of(node: Plan) -> int:
    if "Relation Name" not in node or not node["Node Type"].endswith("Scan"):
        return 0
    rejected = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return round((node["Actual Rows"] + rejected) * node["Actual Loops"])


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list | tuple):
        return _quoted("{" + ",".join(_element(item) for item in value) + "}")
    return _quoted(_text(value))


def _element(value: object) -> str:
    return "NULL" if value is None else '"' + re.sub(r'(["\\])', r"\\\1", _text(value)) + '"'


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str | int | float):
        return str(value)
    return msgspec.json.encode(value).decode()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
