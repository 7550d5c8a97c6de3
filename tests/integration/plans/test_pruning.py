"""No statement that waits for rows prunes partitions while it runs.

PostgreSQL 18.0 to 18.4 uses freed memory in such a statement once a row that it locks, changes or deletes was changed
meanwhile: the recheck of that row takes the state of the pruning with it. It is mended upstream after 18.4 ("use-after-
free in run-time partition pruning during EvalPlanQual rechecks"). Pruning by a statement's parameters is sound: it is
done before the statement runs. What must be pruned by what a statement has found goes into a plpgsql function.
"""

import re
from typing import cast

import asyncpg
import pytest

from rota.storage.postgres.driver import Connection
from rota.storage.postgres.query_files import PACKAGED_QUERIES

PRUNES_WHILE_RUNNING = re.compile(r":exec_pruning_steps \(")
# Row locks, and the changes and deletions of rows, by the numbers that the server has for them.
RECHECKS_ROWS = re.compile(r"\{LOCKROWS|:operation [24]\b")
LOOKS_UP = "CROSS JOIN LATERAL (SELECT r.id FROM scheduler.runs r WHERE r.id = h.id OFFSET 0) AS r"
WAITS_AND_PRUNES = (
    f"WITH h AS MATERIALIZED (SELECT w.id FROM scheduler.workers w FOR UPDATE) SELECT r.id FROM h {LOOKS_UP}"
)
DELETES_AND_PRUNES = f"WITH h AS (DELETE FROM scheduler.workers RETURNING id) SELECT r.id FROM h {LOOKS_UP}"
PRUNES = f"WITH h AS MATERIALIZED (SELECT w.id FROM scheduler.workers w) SELECT r.id FROM h {LOOKS_UP}"
WAITS = "SELECT id FROM scheduler.runs WHERE id = $1 FOR UPDATE"
SETTINGS = ("debug_print_plan = on", "debug_pretty_print = off", "client_min_messages = log", "enable_seqscan = off")


async def is_dangerous(connection: Connection, statement: str) -> bool:
    """Judged by the plan that the server makes for parameters that it does not know, and sends along."""
    told: list[str] = []

    def hear(_: object, message: object) -> None:
        told.append(str(getattr(message, "detail", "")))

    session = cast("asyncpg.Connection", connection)
    session.add_log_listener(hear)
    await connection.execute(f"EXPLAIN (GENERIC_PLAN) {statement}")
    session.remove_log_listener(hear)
    plan = max(told, key=len, default="")
    assert plan.lstrip().startswith("{PLANNEDSTMT")
    return bool(PRUNES_WHILE_RUNNING.search(plan) and RECHECKS_ROWS.search(plan))


@pytest.fixture
async def told_plans(admin_connection: Connection) -> Connection:
    """A session that is told the plan of each statement, and in which no table is small enough to be read whole."""
    for setting in SETTINGS:
        await admin_connection.execute(f"SET {setting}")
    return admin_connection


async def test_a_statement_that_does_both_is_told_from_one_that_does_either(told_plans: Connection) -> None:
    assert await is_dangerous(told_plans, WAITS_AND_PRUNES)
    assert await is_dangerous(told_plans, DELETES_AND_PRUNES)
    assert not await is_dangerous(told_plans, PRUNES)
    assert not await is_dangerous(told_plans, WAITS)


async def test_no_statement_of_the_stores_does_both(told_plans: Connection) -> None:
    names = PACKAGED_QUERIES.names()
    assert [name for name in names if await is_dangerous(told_plans, PACKAGED_QUERIES.text(name))] == []
