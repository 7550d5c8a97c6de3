"""The leader's looks at milestones read what is due, however many wait or are done beside it."""

import pytest

from rota.storage.postgres.driver import Pool
from rota.storage.postgres.query_files import query
from tests.integration.plans.plans import PLAN_MODES, rows_read

pytestmark = pytest.mark.both_engines

FEW = 5
DUE_COUNT = 10
CROWD = """
INSERT INTO scheduler.milestones (tenant_id, subject, name, state, schedule_id, due_at, next_at)
SELECT 'acme', n::text, 'AUTO_12H', CASE WHEN n % 2 = 0 THEN 'done' ELSE 'waiting' END, gen_random_uuid(), now(),
       CASE WHEN n % 2 = 1 THEN now() + make_interval(secs => CASE WHEN n <= 20 THEN -n ELSE n END) END
  FROM generate_series(1, 20000) AS n
"""


async def test_looks_at_milestones_read_what_is_due(service_pool: Pool, owner_pool: Pool) -> None:
    await owner_pool.execute(CROWD)
    await owner_pool.execute("ANALYZE scheduler.milestones")
    found: dict[tuple[str, str], int] = {}
    statements = {"look_next": (), "list_due": (100,), "count_failing": ()}
    for name, arguments in statements.items():
        for mode in PLAN_MODES:
            async with service_pool.acquire() as connection, connection.transaction():
                statement = query(f"milestone_duties/{name}")
                found[name, mode] = await rows_read(connection, mode, statement, *arguments)
    assert {key: rows for key, rows in found.items() if rows > DUE_COUNT + FEW} == {}
