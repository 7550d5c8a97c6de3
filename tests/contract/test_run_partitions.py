import asyncio

import pytest

from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.partitions import PARTITION_DAYS_AHEAD, PostgresPartitions


@pytest.mark.both_engines
async def test_partitions_are_made_once_however_often_and_by_whomever_they_are_asked_for(service_pool: Pool) -> None:
    partitions = PostgresPartitions(service_pool)
    first = await partitions.ensure_ahead()
    further = await asyncio.gather(*(partitions.ensure_ahead(PARTITION_DAYS_AHEAD + 2) for _ in range(4)))

    tables_count = await service_pool.fetchval("SELECT count(*) FROM scheduler.partitioned_tables")

    assert first == 0
    assert tables_count > 5
    assert sorted(further) == [0, 0, 0, 2 * tables_count]


@pytest.mark.both_engines
async def test_a_runs_page_has_room_for_each_rows_second_version(
    service_pool: Pool, admin_connection: Connection
) -> None:
    await PostgresPartitions(service_pool).ensure_ahead(PARTITION_DAYS_AHEAD + 1)
    rows = await admin_connection.fetch(
        "SELECT c.reloptions FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'scheduler.runs'::regclass"
    )

    assert len(rows) == PARTITION_DAYS_AHEAD + 1 + 3
    assert {option for row in rows for option in row["reloptions"]} == {"fillfactor=45"}
